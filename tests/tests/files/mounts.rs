//! Sources that are mount points, or have some below them.

use std::fs;

use cordon_tests::setting::{is_root, skip};

use crate::scene::Scene;

/// Whether the test can mount anything.
fn can_mount() -> bool {
    if !is_root() {
        skip("mounts of the host", "only root can make them");
    }
    is_root()
}

#[test]
fn what_is_mounted_below_a_source_isnt_granted_with_it() {
    if !can_mount() {
        return;
    }
    let scene = Scene::standard();
    fs::create_dir(scene.path("in/sub")).unwrap();
    let scene = scene.after("mount -t tmpfs none BASE/in/sub && touch BASE/in/sub/hidden");

    let replies = scene.ask([("list", "/in"), ("list", "/in/sub")]);

    assert_eq!(replies, ["f sub", ""]);
}

#[test]
fn mount_that_is_named_is_granted() {
    if !can_mount() {
        return;
    }
    let tmpfs = "mount -t tmpfs none BASE/in && chown 4000001:4000002 BASE/in && touch BASE/in/t";
    let scene = Scene::standard().after(tmpfs);

    let [names] = scene.ask([("list", "/in")]);

    assert_eq!(names, "t");
}

#[test]
fn writing_needs_a_mount_that_can_be_written() {
    if !can_mount() {
        return;
    }
    let bound = "mount --bind BASE/out BASE/out && mount -o remount,bind,ro BASE/out";
    let scene = Scene::standard().after(bound);

    let (code, text) = scene.refusal();

    assert_eq!(code, Some(5), "{text}");
    assert!(
        text.contains("out is granted for writing and mounted read-only"),
        "{text}"
    );
}

#[test]
fn stricter_mount_of_the_host_stays_as_strict() {
    if !can_mount() {
        return;
    }
    let bound = "mount --bind BASE/out BASE/in && mount -o remount,bind,ro,noexec,nosuid BASE/in";
    let scene = Scene::standard().after(bound);

    let replies = scene.ask([("read", "/in/f"), ("read", "/out/f")]);

    assert_eq!(replies, ["out", "out"]);
}
