//! What can't be granted is refused by its name, before anything runs.

use std::fs;
use std::os::unix::fs::{lchown, symlink};
use std::os::unix::net::UnixListener;

use cordon_tests::setting::{is_root, skip};
use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::scene::{STRANGER, Scene};

fn asking_for(source: &str, access: &str) -> Scene {
    let requires = format!("files = [{{ path = \"/data\", access = \"{access}\" }}]");
    let rule = format!("path = \"/data\", source = \"{source}\", access = \"{access}\"");
    Scene::new(&requires, &format!("files = [{{ {rule} }}]"))
}

fn assert_refused(scene: &Scene, parts: &[&str]) {
    let (code, text) = scene.refusal();
    assert_eq!(code, Some(5), "{text}");
    for part in parts {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn fifos_and_sockets_are_refused() {
    let fifo = asking_for("BASE/in/odd", "read");
    mknodat(CWD, fifo.path("in/odd"), FileType::Fifo, Mode::RWXU, 0).unwrap();
    let socket = asking_for("BASE/in/odd", "write");
    let _listener = UnixListener::bind(socket.path("in/odd")).unwrap();

    assert_refused(&fifo, &["in/odd is a FIFO"]);
    assert_refused(&socket, &["in/odd is a socket"]);
}

#[test]
fn own_link_is_followed_and_that_of_somebody_else_refused() {
    let scene = asking_for("BASE/link/f", "read");
    symlink("in", scene.path("link")).unwrap();

    let [read] = scene.ask([("read", "/data")]);

    assert_eq!(read, "in");
    if !is_root() {
        return skip("link of somebody else", "only root can give one away");
    }
    lchown(scene.path("link"), Some(STRANGER.0), None).unwrap();
    let link = scene.path("link").display().to_string();
    assert_refused(&scene, &[&link, "is a symlink of uid 4000001"]);
}

#[test]
fn link_out_of_what_policy_names_is_refused_even_if_it_is_roots() {
    let requires = r#"files = [{ path = "/data/link/f", access = "read" }]"#;
    let grants = r#"files = [{ path = "/data", source = "BASE/in" }]"#;
    let scene = Scene::new(requires, grants);
    symlink("../out", scene.path("in/link")).unwrap();

    assert_refused(&scene, &["out/f isn't below anything that policy granted"]);
}

#[test]
fn what_is_missing_is_named() {
    let scene = asking_for("BASE/in/missing", "read");

    assert_refused(&scene, &["in/missing: No such file or directory"]);
}

#[test]
fn file_systems_of_the_kernel_are_refused() {
    assert_refused(
        &asking_for("/proc/sys", "read"),
        &["/proc/sys is of file system proc"],
    );
    assert_refused(&asking_for("/sys/kernel", "read"), &["file system sysfs"]);
}

#[test]
fn targets_of_the_sandbox_are_refused() {
    let requires = r#"files = [{ path = "/lib/x", access = "read" }]"#;
    let grants = r#"files = [{ path = "/lib", source = "BASE/in" }]"#;
    let scene = Scene::new(requires, grants);
    fs::write(scene.path("in/x"), "").unwrap();

    assert_refused(&scene, &["nothing can be granted at /lib/x"]);
}

#[test]
fn file_system_that_cant_be_id_mapped_is_refused_by_its_name() {
    // The one that every host has: of files, of nothing but the kernel's making, and unmapped.
    let (code, text) = asking_for("/dev", "read").refusal();

    let (wanted, why) = match is_root() {
        true => (10, "/dev can't be id-mapped on file system devtmpfs"),
        // Nothing is mapped then, but what is mounted in it would be uncovered.
        false => (5, "/dev has other mounts below it"),
    };
    assert_eq!(code, Some(wanted), "{text}");
    assert!(text.contains(why), "{text}");
}

#[test]
fn overlay_is_of_folders() {
    assert_refused(
        &asking_for("BASE/in/f", "overlay"),
        &["only folders can have an overlay"],
    );
}
