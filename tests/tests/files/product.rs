//! Granted files with every control in place.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::scene::{Scene, is_owned};

#[test]
fn all_that_is_granted_works() {
    let scene = Scene::standard().without(&[]);

    let replies = scene.ask([
        ("read", "/in/f"),
        ("list", "/in"),
        ("stat", "/in/f"),
        ("write", "/out/f mine"),
        ("create", "/out/new"),
        ("chmod", "/out/new 640"),
        ("mkdir", "/out/sub"),
        ("rename", "/out/new /out/sub/moved"),
        ("list", "/out/sub"),
        ("unlink", "/out/sub/moved"),
        ("rmdir", "/out/sub"),
        ("write", "/layer/f changed"),
        ("read", "/layer/f"),
        ("create", "/layer/new"),
        ("list", "/layer"),
    ]);

    let read = ["in", "f", "100644 0:0"];
    let written = ["", "", "", "", "", "moved", "", ""];
    let layered = ["", "changed", "", "f new"];
    assert_eq!(replies[..3], read);
    assert_eq!(replies[3..11], written);
    assert_eq!(replies[11..], layered);
    assert_eq!(fs::read(scene.path("out/f")).unwrap(), b"mine");
    assert!(is_owned(&scene.path("out/f")));
}

#[test]
fn nothing_that_lends_rights_or_leads_elsewhere_is_left_on_disk() {
    let scene = Scene::standard().without(&[]);

    let replies = scene.ask([
        ("chmod", "/out/f 4755"),
        ("chmod", "/out/f 2755"),
        ("symlink", "/etc/passwd /out/link"),
        ("link", "/out/f /out/g"),
        ("mknod", "/out/device"),
        ("capability", "/out/f"),
        ("list", "/out"),
    ]);

    for refused in &replies[..6] {
        assert_eq!(refused, "EPERM", "{replies:?}");
    }
    assert_eq!(replies[6], "f");
    let mode = fs::metadata(scene.path("out/f")).unwrap().permissions();
    assert_eq!(mode.mode() & 0o7000, 0);
}
