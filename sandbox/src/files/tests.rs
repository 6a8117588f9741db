//! What can be opened and what can't, without ids of the worker's own: making a namespace for
//! those takes a process of one thread, so they are in `tests/tests/files/`.

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat, openat};
use rustix::io::Errno;

use super::open::{OpenError, open};
use crate::plan::Ids;
use crate::policy::{FileAccess, FileGrant, Tmpfs};

const WRITE: FileAccess = FileAccess::Write {
    create: true,
    delete: true,
};
const OVERLAY: FileAccess = FileAccess::Overlay(Tmpfs {
    bytes: 4096,
    inodes: 8,
});

fn grant(source: &Path, target: &str, access: FileAccess) -> FileGrant {
    FileGrant {
        source: source.to_owned(),
        target: target.into(),
        access,
    }
}

fn refusal(source: &Path, access: FileAccess) -> OpenError {
    let files = [grant(source, "/data", access)];
    match open(&files, false, Ids::Own) {
        Ok(_) => panic!("{} was opened", source.display()),
        Err(error) => error,
    }
}

/// A folder whose own path has no link in it.
fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = fs::canonicalize(folder.path()).unwrap();
    (folder, path)
}

#[test]
fn what_may_be_read_is_mounted_read_only_and_what_may_be_written_is_not() {
    let (_folder, base) = folder();
    fs::write(base.join("file"), "x").unwrap();
    let files = [
        grant(&base, "/in", FileAccess::Read),
        grant(&base, "/out", WRITE),
        grant(&base.join("file"), "/file", FileAccess::Read),
        grant(&base, "/layer", OVERLAY),
    ];

    let opened = open(&files, false, Ids::Own).unwrap();

    let write = |index: usize, name: &str| {
        let flags = OFlags::WRONLY | OFlags::CLOEXEC;
        openat(&opened[index].mount, name, flags, Mode::empty()).map(drop)
    };
    assert_eq!(write(0, "file"), Err(Errno::ROFS));
    assert_eq!(write(1, "file"), Ok(()));
    // Overlayfs writes to its own layer alone.
    assert_eq!(write(3, "file"), Err(Errno::ROFS));
    let folders: Vec<_> = opened.iter().map(|opened| opened.folder).collect();
    assert_eq!(folders, [true, true, false, true]);
}

#[test]
fn only_files_and_folders_are_opened() {
    let (_folder, base) = folder();
    let _listener = UnixListener::bind(base.join("socket")).unwrap();
    for (name, kind, device) in [
        ("FIFO", FileType::Fifo, 0),
        (
            "device",
            FileType::CharacterDevice,
            rustix::fs::makedev(1, 3),
        ),
    ] {
        mknodat(CWD, base.join(name), kind, Mode::RWXU, device).unwrap();
    }
    for name in ["FIFO", "socket", "device"] {
        let path = base.join(name);
        let kind = name.to_owned();
        assert_eq!(
            refusal(&path, FileAccess::Read),
            OpenError::Kind { path, kind }
        );
    }
    let file = base.join("file");
    fs::write(&file, "").unwrap();
    assert_eq!(refusal(&file, OVERLAY), OpenError::OverlayOfFile(file));
}

#[test]
fn what_is_the_kernels_is_refused_by_its_name() {
    let own = format!("/proc/{}/environ", std::process::id());
    for (path, filesystem) in [
        (own.as_str(), "proc"),
        ("/proc/sys", "proc"),
        ("/sys", "sysfs"),
    ] {
        let error = OpenError::Kernel {
            path: path.into(),
            filesystem: filesystem.into(),
        };
        assert_eq!(refusal(Path::new(path), FileAccess::Read), error);
    }
}

#[test]
fn path_that_became_a_link_is_refused() {
    let (_folder, base) = folder();
    fs::create_dir(base.join("real")).unwrap();
    symlink("real", base.join("last")).unwrap();
    symlink(&base, base.join("middle")).unwrap();
    for path in [base.join("last"), base.join("middle/real")] {
        assert_eq!(refusal(&path, FileAccess::Read), OpenError::Changed(path));
    }
    let missing = base.join("missing");
    let (path, errno) = (missing.clone(), libc::ENOENT);
    assert_eq!(
        refusal(&missing, FileAccess::Read),
        OpenError::Open { path, errno }
    );
}

#[test]
fn grant_within_a_grant_needs_a_mount_point_of_its_kind() {
    let (_folder, base) = folder();
    fs::create_dir_all(base.join("outer/folder")).unwrap();
    fs::write(base.join("outer/file"), "").unwrap();
    symlink("folder", base.join("outer/link")).unwrap();
    let nested = |name: &str, source: &Path| {
        let files = [
            grant(&base.join("outer"), "/data", WRITE),
            grant(source, &format!("/data/{name}"), FileAccess::Read),
        ];
        open(&files, false, Ids::Own).map(drop)
    };
    let file = base.join("outer/file");
    assert_eq!(nested("folder", &base), Ok(()));
    assert_eq!(nested("file", &file), Ok(()));
    for (name, source) in [
        ("folder", &file),
        ("file", &base),
        ("link", &base),
        ("no", &base),
    ] {
        let refused = nested(name, source);
        assert!(
            matches!(refused, Err(OpenError::MountPoint { .. })),
            "{name}: {refused:?}"
        );
    }
    assert!(!base.join("outer/no").exists());
}
