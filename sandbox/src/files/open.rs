//! From a path of the plan to a detached mount, by the launcher: opened once, and by fd from
//! there on.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use rustix::fs::{
    CWD, FileType, FsWord, Mode, OFlags, ResolveFlags, StatVfsMountFlags, StatxFlags, fstat,
    fstatfs, fstatvfs, openat2, statx,
};
use rustix::path::Arg;
use serde::{Deserialize, Serialize};

use super::idmap::IdMaps;
use crate::image::clone_mount;
use crate::plan::Ids;
use crate::policy::{FileAccess, FileGrant};
use crate::sys::mount::{RDONLY, map_ids, set_attributes};

/// File systems that show the kernel and not files, by statfs(2) and `linux/magic.h`. As root
/// none of them can be id-mapped either.
const OF_THE_KERNEL: [(FsWord, &str); 12] = [
    (0x9fa0, "proc"),
    (0x6265_6572, "sysfs"),
    (0x0027_e0eb, "cgroup"),
    (0x6367_7270, "cgroup2"),
    (0x1cd1, "devpts"),
    (0x6462_6720, "debugfs"),
    (0x7472_6163, "tracefs"),
    (0x7363_6673, "securityfs"),
    (0xcafe_4a11, "bpf"),
    (0x6e73_6673, "nsfs"),
    (0x6265_6570, "configfs"),
    (0x1980_0202, "mqueue"),
];

/// Why something that policy grants can't be had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum OpenError {
    /// It isn't there, or can't be reached.
    #[error("{}: {}", path.display(), io::Error::from_raw_os_error(*errno))]
    Open {
        /// The source.
        path: PathBuf,
        /// Why.
        errno: i32,
    },
    /// A link where there was none when the supervisor looked.
    #[error("{} changed while the plugin was being launched: it is or passes a symlink", .0.display())]
    Changed(PathBuf),
    /// A FIFO, socket or device.
    #[error("{} is a {kind}; only files and folders can be granted", path.display())]
    Kind {
        /// The source.
        path: PathBuf,
        /// What it is.
        kind: String,
    },
    /// `/proc` and its like.
    #[error("{} is of file system {filesystem}, which is the kernel's and can't be granted", path.display())]
    Kernel {
        /// The source.
        path: PathBuf,
        /// Its file system.
        filesystem: String,
    },
    /// An overlay is of a folder.
    #[error("{} is a file; only folders can have an overlay", .0.display())]
    OverlayOfFile(PathBuf),
    /// An ordinary user may not look under a mount.
    #[error("{} has other mounts below it, which an ordinary user can't leave out: grant folders beside them", .0.display())]
    MountsBelow(PathBuf),
    /// Granted for writing.
    #[error("{} is granted for writing and mounted read-only", .0.display())]
    ReadOnly(PathBuf),
    /// Ownership wouldn't come out right.
    #[error(
        "{} can't be id-mapped on file system {filesystem} ({}): grant files of another one",
        path.display(), io::Error::from_raw_os_error(*errno)
    )]
    IdMap {
        /// The source.
        path: PathBuf,
        /// Its file system.
        filesystem: String,
        /// The kernel's answer.
        errno: i32,
    },
    /// Granted within another granted folder, which has nothing to mount it on.
    #[error("{} is to be seen within {}, which has no {kind} of that name", target.display(), within.display())]
    MountPoint {
        /// Where it is to be seen.
        target: PathBuf,
        /// The target of the grant around it.
        within: PathBuf,
        /// File or folder.
        kind: String,
    },
}

/// A granted file or folder as a detached mount. Under an overlay it is the lower layer.
pub(crate) struct Opened {
    pub(crate) mount: OwnedFd,
    pub(crate) folder: bool,
}

/// Opens and clones what `files` name, in their order, outer targets first. Owners of the
/// sources become the worker, if it has an id of its own.
pub(crate) fn open(
    files: &[FileGrant],
    executable: bool,
    ids: Ids,
) -> Result<Vec<Opened>, OpenError> {
    let mut maps = IdMaps::of(ids);
    let mut opened: Vec<Opened> = Vec::with_capacity(files.len());
    for (index, file) in files.iter().enumerate() {
        let next = detached(file, executable, &mut maps)?;
        // The innermost one around it is the last of those before it.
        let around = |(_, outer): &(&Opened, &FileGrant)| file.target.starts_with(&outer.target);
        let earlier = opened.iter().zip(&files[..index]);
        if let Some((outer, grant)) = earlier.rev().find(around) {
            mount_point(file, &next, grant, outer)?;
        }
        opened.push(next);
    }
    Ok(opened)
}

fn detached(file: &FileGrant, executable: bool, maps: &mut IdMaps) -> Result<Opened, OpenError> {
    let path = || file.source.clone();
    let failed = |error: io::Error| OpenError::Open {
        path: path(),
        errno: error.raw_os_error().unwrap_or(libc::EIO),
    };
    let source = without_links(CWD, &file.source).map_err(|error| match error {
        rustix::io::Errno::LOOP => OpenError::Changed(path()),
        error => failed(error.into()),
    })?;
    let stat = fstat(&source).map_err(|error| failed(error.into()))?;
    let folder = match kind(FileType::from_raw_mode(stat.st_mode)) {
        Ok(folder) => folder,
        Err(kind) => {
            let kind = kind.to_owned();
            return Err(OpenError::Kind { path: path(), kind });
        }
    };
    let magic = fstatfs(&source)
        .map_err(|error| failed(error.into()))?
        .f_type;
    if let Some((_, name)) = OF_THE_KERNEL.iter().find(|(known, _)| *known == magic) {
        return Err(OpenError::Kernel {
            path: path(),
            filesystem: (*name).to_owned(),
        });
    }
    let overlay = matches!(file.access, FileAccess::Overlay(_));
    if overlay && !folder {
        return Err(OpenError::OverlayOfFile(path()));
    }
    // Not recursive: in a user namespace that would uncover what is mounted over.
    let mount = clone_mount(source.as_fd()).map_err(|error| match error.raw_os_error() {
        Some(libc::EINVAL) => OpenError::MountsBelow(path()),
        _ => failed(error),
    })?;
    let lower = if overlay { RDONLY } else { 0 };
    set_attributes(&mount, c"", super::flags(file.access, executable) | lower).map_err(failed)?;
    if let Some(userns) = maps.owned_by(stat.st_uid, stat.st_gid).map_err(failed)? {
        map_ids(&mount, userns).map_err(|error| OpenError::IdMap {
            path: path(),
            filesystem: filesystem(source.as_fd()),
            errno: error.raw_os_error().unwrap_or(libc::EIO),
        })?;
    }
    let found = fstatvfs(&mount)
        .map_err(|error| failed(error.into()))?
        .f_flag;
    let writes = matches!(file.access, FileAccess::Write { .. });
    if writes && found.contains(StatVfsMountFlags::RDONLY) {
        return Err(OpenError::ReadOnly(path()));
    }
    Ok(Opened { mount, folder })
}

/// Whether the folder around `file` has what it can be mounted on. Nothing is made there: it
/// may be a folder of the host.
fn mount_point(
    file: &FileGrant,
    opened: &Opened,
    around: &FileGrant,
    outer: &Opened,
) -> Result<(), OpenError> {
    let below = file
        .target
        .strip_prefix(&around.target)
        .unwrap_or(&file.target);
    let found = without_links(outer.mount.as_fd(), below)
        .and_then(fstat)
        .map(|stat| FileType::from_raw_mode(stat.st_mode));
    let wanted = match opened.folder {
        true => FileType::Directory,
        false => FileType::RegularFile,
    };
    if found == Ok(wanted) {
        return Ok(());
    }
    Err(OpenError::MountPoint {
        target: file.target.clone(),
        within: around.target.clone(),
        kind: if opened.folder { "folder" } else { "file" }.to_owned(),
    })
}

/// Opens `path`, in which nothing may be a link.
pub(super) fn without_links(folder: BorrowedFd<'_>, path: impl Arg) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    openat2(folder, path, flags, Mode::empty(), resolve)
}

/// Whether it is a folder; what it is instead of one or a file.
fn kind(file: FileType) -> Result<bool, &'static str> {
    match file {
        FileType::Directory => Ok(true),
        FileType::RegularFile => Ok(false),
        FileType::Fifo => Err("FIFO"),
        FileType::Socket => Err("socket"),
        FileType::CharacterDevice | FileType::BlockDevice => Err("device"),
        FileType::Symlink | FileType::Unknown => Err("thing of unknown kind"),
    }
}

/// The name of a file's file system, for a person: by its mount's line in proc_pid_mountinfo(5).
fn filesystem(file: BorrowedFd<'_>) -> String {
    let found = statx(
        file,
        c"",
        rustix::fs::AtFlags::EMPTY_PATH,
        StatxFlags::MNT_ID,
    )
    .ok()
    .and_then(|stat| {
        let id = stat.stx_mnt_id.to_string();
        let table = std::fs::read_to_string("/proc/self/mountinfo").ok()?;
        let line = table
            .lines()
            .find(|line| line.split(' ').next() == Some(&id))?;
        let (_, kind) = line.split_once(" - ")?;
        kind.split(' ').next().map(str::to_owned)
    });
    found.unwrap_or_else(|| "of unknown name".to_owned())
}
