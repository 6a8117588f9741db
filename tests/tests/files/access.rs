//! What is granted can be done, and nothing beyond.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use cordon_tests::setting::{is_root, skip};
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};

use crate::scene::{Scene, is_owned, own};

#[test]
fn read_path_is_readable_and_nothing_of_it_changes() {
    let scene = Scene::standard();
    fs::set_permissions(scene.path("in/f"), fs::Permissions::from_mode(0o600)).unwrap();

    let replies = scene.ask([
        ("read", "/in/f"),
        ("list", "/in"),
        ("write", "/in/f x"),
        ("create", "/in/new"),
        ("mkdir", "/in/new"),
        ("unlink", "/in/f"),
        ("rename", "/in/f /in/g"),
        ("chmod", "/in/f 777"),
    ]);

    assert_eq!(replies[..2], ["in", "f"]);
    for refused in &replies[2..] {
        assert!(
            ["EROFS", "EACCES"].contains(&refused.as_str()),
            "{replies:?}"
        );
    }
    assert_eq!(fs::read(scene.path("in/f")).unwrap(), b"in");
    assert_eq!(
        fs::metadata(scene.path("in/f")).unwrap().mode() & 0o777,
        0o600
    );
}

#[test]
fn what_is_written_is_the_plugins_to_itself_and_the_owners_on_disk() {
    let scene = Scene::standard();

    let replies = scene.ask([
        ("write", "/out/f mine"),
        ("create", "/out/new"),
        ("mkdir", "/out/sub"),
        ("create", "/out/sub/deep"),
        ("stat", "/out/f"),
        ("stat", "/out/new"),
        ("rename", "/out/new /out/sub/moved"),
        ("unlink", "/out/sub/deep"),
        ("list", "/out/sub"),
    ]);

    let (file, private) = ("100644 0:0", "100600 0:0");
    assert_eq!(replies, ["", "", "", "", file, private, "", "", "moved"]);
    assert_eq!(fs::read(scene.path("out/f")).unwrap(), b"mine");
    for made in ["out/f", "out/sub", "out/sub/moved"] {
        assert!(is_owned(&scene.path(made)), "{made}");
    }
}

#[test]
fn files_of_others_stay_theirs() {
    let requires = r#"files = [
        { path = "/public", access = "write" },
        { path = "/folder", access = "write" },
    ]"#;
    let grants = r#"files = [
        { path = "/public", source = "/etc/passwd", access = "write" },
        { path = "/folder", source = "BASE/out", access = "write" },
    ]"#;
    let mut scene = Scene::new(requires, grants);
    let mut public = "/public";
    if is_root() {
        // Whose files these are is whose the worker becomes; so the others' are within.
        scene = Scene::new(requires, &grants.replace("/etc/passwd", "BASE/in/f"));
        public = "/folder/public";
        fs::write(scene.path("out/public"), "text").unwrap();
        let anybody = fs::Permissions::from_mode(0o666);
        fs::set_permissions(scene.path("out/public"), anybody).unwrap();
    }

    let [stat, read, write, chmod, chown] = scene.ask([
        ("stat", public),
        ("read", public),
        ("write", &format!("{public} x")),
        ("chmod", &format!("{public} 777")),
        ("chown", &format!("{public} 0")),
    ]);

    assert!(stat.ends_with(" 65534:65534"), "{stat}");
    assert!(!read.is_empty() && !read.starts_with('E'), "{read}");
    // As root it has no id, and can't be changed whatever its mode says.
    assert_eq!(write, "EACCES");
    let refusals = ["EPERM", "EOVERFLOW", "EINVAL"].map(str::to_owned);
    assert!(
        refusals.contains(&chmod) && refusals.contains(&chown),
        "{chmod} {chown}"
    );
}

#[test]
fn file_is_granted_alone_and_under_another_name() {
    let requires = r#"files = [{ path = "/etc/deep/name", access = "write" }]"#;
    let grants =
        r#"files = [{ path = "/etc/deep/name", source = "BASE/out/f", access = "write" }]"#;
    let scene = Scene::new(requires, grants);

    let replies = scene.ask([
        ("read", "/etc/deep/name"),
        ("write", "/etc/deep/name x"),
        ("list", "/etc/deep"),
        ("unlink", "/etc/deep/name"),
        ("create", "/etc/deep/other"),
        ("read", "/etc/deep/../../out/f"),
    ]);

    assert_eq!(replies[..2], ["out", ""]);
    assert!(
        replies[3..].iter().all(|reply| reply.starts_with('E')),
        "{replies:?}"
    );
    assert_eq!(fs::read(scene.path("out/f")).unwrap(), b"x");
}

#[test]
fn no_path_leads_out_of_a_grant() {
    let scene = Scene::standard();
    fs::write(scene.path("secret"), "secret").unwrap();
    for (link, to) in [
        ("in/up", "../secret".into()),
        ("in/away", scene.path("secret")),
        ("in/shadow", "/etc/shadow".into()),
        ("in/lib", "/lib".into()),
    ] {
        symlink(to, scene.path(link)).unwrap();
    }

    let replies = scene.ask([
        ("read", "/in/up"),
        ("read", "/in/away"),
        ("read", "/in/shadow"),
        ("read", "/in/../secret"),
        ("list", "/in/../in"),
        // A link means what it says in the worker's own root.
        ("stat", "/in/lib/."),
    ]);

    for beyond in &replies[..4] {
        assert_eq!(beyond, "ENOENT");
    }
    assert_eq!(replies[4], "away f lib shadow up");
    assert!(replies[5].starts_with("40"), "{replies:?}");
}

#[test]
fn nothing_moves_or_is_linked_from_one_grant_to_another() {
    let requires = r#"files = [
        { path = "/one", access = "write" },
        { path = "/two", access = "write" },
    ]
    tmp = "1MiB""#;
    let grants = r#"files = [
        { path = "/one", source = "BASE/in", access = "write" },
        { path = "/two", source = "BASE/out", access = "write" },
    ]"#;
    let scene = Scene::new(requires, grants);

    let replies = scene.ask([
        ("rename", "/one/f /two/g"),
        ("link", "/one/f /two/g"),
        ("link", "/one/f /tmp/g"),
        ("rename", "/one/f /tmp/g"),
        ("link", "/one/f /one/g"),
        ("rename", "/one/g /one/h"),
    ]);

    assert_eq!(replies, ["EXDEV", "EXDEV", "EXDEV", "EXDEV", "", ""]);
}

#[test]
fn device_in_a_granted_folder_opens_nothing() {
    if !is_root() {
        return skip("device nodes", "only root can make one");
    }
    let scene = Scene::standard();
    for folder in ["in", "out"] {
        let (node, device) = (scene.path(folder).join("null"), makedev(1, 3));
        let kind = FileType::CharacterDevice;
        mknodat(CWD, &node, kind, Mode::from_raw_mode(0o666), device).unwrap();
        own(&node);
    }

    let replies = scene.ask([("read", "/in/null"), ("read", "/out/null")]);

    assert_eq!(replies, ["EACCES", "EACCES"]);
}

#[test]
fn code_in_a_granted_folder_isnt_mapped() {
    let replies = Scene::standard().ask([("map-code", "/in/f"), ("map-code", "/out/f")]);

    assert_eq!(replies, ["EPERM", "EPERM"]);
}

#[test]
fn grant_within_a_grant_has_its_own_access() {
    let requires = r#"files = [
        { path = "/out", access = "write" },
        { path = "/out/sub", access = "read" },
    ]"#;
    let grants = r#"files = [
        { path = "/out", source = "BASE/out", access = "write" },
        { path = "/out/sub", source = "BASE/in", access = "read" },
    ]"#;
    let scene = Scene::new(requires, grants);
    fs::create_dir(scene.path("out/sub")).unwrap();
    own(&scene.path("out/sub"));

    let replies = scene.ask([
        ("read", "/out/sub/f"),
        ("write", "/out/f x"),
        ("write", "/out/sub/f x"),
        ("rmdir", "/out/sub"),
        ("rename", "/out/sub /out/away"),
    ]);

    assert_eq!(replies, ["in", "", "EROFS", "EBUSY", "EBUSY"]);
}

#[test]
fn no_file_grows_beyond_the_disk_limit() {
    let scene = Scene::standard();

    let ending = scene.dies_of(("fill", "/out/big"));

    assert!(ending.contains("SIGXFSZ"), "{ending}");
    // A quarter above what is declared.
    assert_eq!(fs::metadata(scene.path("out/big")).unwrap().len(), 5 << 20);
}
