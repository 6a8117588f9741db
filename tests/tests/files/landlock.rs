//! What mounts can't say, and Landlock can.

use crate::scene::Scene;

#[test]
fn create_and_delete_are_granted_each_by_itself() {
    let scene = |create: bool, delete: bool| {
        let requires = r#"files = [{ path = "/out", access = "write" }]"#;
        let rights = format!("create = {create}, delete = {delete}");
        let source = "path = \"/out\", source = \"BASE/out\", access = \"write\"";
        Scene::new(requires, &format!("files = [{{ {source}, {rights} }}]"))
    };
    let tries = [
        ("write", "/out/f x"),
        ("create", "/out/new"),
        ("mkdir", "/out/folder"),
        ("unlink", "/out/f"),
    ];

    let neither = scene(false, false).ask(tries);
    let create = scene(true, false).ask(tries);
    let delete = scene(false, true).ask(tries);

    assert_eq!(neither, ["", "EACCES", "EACCES", "EACCES"]);
    assert_eq!(create, ["", "", "", "EACCES"]);
    assert_eq!(delete, ["", "EACCES", "EACCES", ""]);
}

#[test]
fn nothing_special_is_made_in_a_granted_folder() {
    let scene = Scene::standard();

    let replies = scene.ask([
        ("mknod", "/out/device"),
        ("mkfifo", "/out/fifo"),
        ("symlink", "/etc/passwd /out/link"),
        ("capability", "/out/f"),
        ("list", "/out"),
    ]);

    let [device, fifo, link, capability, names] = replies;
    assert!(["EPERM", "EACCES"].contains(&device.as_str()), "{device}");
    assert_eq!([fifo, link], ["EACCES", "EACCES"]);
    assert_eq!((capability.as_str(), names.as_str()), ("EPERM", "f"));
}

#[test]
fn read_path_is_closed_by_the_mount_alone_and_by_landlock_alone() {
    let tries = [
        ("write", "/in/f x"),
        ("create", "/in/new"),
        ("read", "/in/f"),
    ];

    let mount = Scene::standard()
        .without(&["seccomp", "landlock"])
        .ask(tries);
    let landlock = Scene::standard()
        .without(&["seccomp", "read_only"])
        .ask(tries);
    let neither = Scene::standard()
        .without(&["seccomp", "read_only", "landlock"])
        .ask(tries);

    assert_eq!(mount, ["EROFS", "EROFS", "in"]);
    assert_eq!(landlock, ["EACCES", "EACCES", "in"]);
    assert_eq!(neither, ["", "", "x"]);
}

#[test]
fn special_files_are_kept_out_by_landlock_alone() {
    let scene = Scene::standard().without(&["seccomp", "landlock"]);

    let replies = scene.ask([
        ("mkfifo", "/out/fifo"),
        ("symlink", "/etc/passwd /out/link"),
    ]);

    assert_eq!(replies, ["", ""]);
}
