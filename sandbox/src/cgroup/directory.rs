//! A group's directory, and its control files relative to it.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::sys::statfs::{CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC, fstatfs};
use rustix::fs::{Access, AtFlags, FlockOperation, Mode, OFlags, flock};
use rustix::io::Errno;
use rustix::process::Uid;

/// A step on a control file or a group's directory that the kernel refused.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {}: {errno}", path.display())]
pub struct FileError {
    /// What was tried.
    pub action: &'static str,
    /// The file or directory.
    pub path: PathBuf,
    /// Why not.
    pub errno: Errno,
}

/// An open directory of a cgroup hierarchy.
///
/// All access is relative to the fd and without `O_CREAT`: with it, cgroupfs answers
/// EACCES for a control file that doesn't exist.
#[derive(Debug)]
pub(super) struct Directory {
    fd: OwnedFd,
    path: PathBuf,
}

impl Directory {
    /// Opens `path` if it lies in a cgroup file system.
    pub(super) fn open(path: &Path) -> Result<Self, FileError> {
        let fd = rustix::fs::open(path, DIRECTORY, Mode::empty()).map_err(|errno| FileError {
            action: "open",
            path: path.to_owned(),
            errno,
        })?;
        Self::from_fd(fd, path.to_owned())
    }

    /// Takes an fd from another process, if it is a directory of a cgroup file system.
    /// `path` is for messages only.
    pub(super) fn from_fd(fd: OwnedFd, path: PathBuf) -> Result<Self, FileError> {
        let directory = Self { fd, path };
        let kind = fstatfs(&directory.fd)
            .map_err(|errno| directory.error("find the file system of", "", to_rustix(errno)))?
            .filesystem_type();
        if kind != CGROUP_SUPER_MAGIC && kind != CGROUP2_SUPER_MAGIC {
            return Err(directory.error("use as a cgroup", "", Errno::NOTSUP));
        }
        Ok(directory)
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Where it was opened.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the child group `name`, for its owner alone: whoever may read a directory may lock
    /// it, flock(2).
    pub(super) fn make(&self, name: &str) -> Result<(), FileError> {
        rustix::fs::mkdirat(&self.fd, name, Mode::RWXU)
            .map_err(|errno| self.error("make", name, errno))
    }

    /// Opens the group `below` this one.
    pub(super) fn descend(&self, below: impl AsRef<Path>) -> Result<Self, FileError> {
        let below = below.as_ref();
        let fd = rustix::fs::openat(&self.fd, below, DIRECTORY, Mode::empty())
            .map_err(|errno| self.error("open", below, errno))?;
        Ok(Self {
            fd,
            path: self.path.join(below),
        })
    }

    /// Removes the group `below` this one.
    pub(super) fn remove(&self, below: impl AsRef<Path>) -> Result<(), FileError> {
        let below = below.as_ref();
        rustix::fs::unlinkat(&self.fd, below, AtFlags::REMOVEDIR)
            .map_err(|errno| self.error("remove", below, errno))
    }

    /// The names of the groups in this one, the first `most`.
    pub(super) fn groups(&self, most: usize) -> Result<Vec<String>, FileError> {
        let refused = |errno| self.error("list", "", errno);
        let entries = rustix::fs::Dir::new(self.listable()?).map_err(refused)?;
        let mut groups = Vec::new();
        for entry in entries {
            let entry = entry.map_err(refused)?;
            let name = entry.file_name().to_str();
            if let Ok(name) = name
                && entry.file_type().is_dir()
                && !matches!(name, "." | "..")
                && groups.len() < most
            {
                groups.push(name.to_owned());
            }
        }
        Ok(groups)
    }

    /// Who made it.
    pub(super) fn owner(&self) -> Result<Uid, FileError> {
        let stat = rustix::fs::fstat(&self.fd).map_err(|errno| self.error("stat", "", errno))?;
        Ok(Uid::from_raw(stat.st_uid))
    }

    /// Locks it for as long as what comes back is open; EWOULDBLOCK if somebody has.
    pub(super) fn lock(&self) -> Result<OwnedFd, FileError> {
        let fd = self.listable()?;
        flock(&fd, FlockOperation::NonBlockingLockExclusive)
            .map_err(|errno| self.error("lock", "", errno))?;
        Ok(fd)
    }

    /// Itself, to be listed and locked: an `O_PATH` fd is good for neither.
    fn listable(&self) -> Result<OwnedFd, FileError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | FILE;
        rustix::fs::openat(&self.fd, ".", flags, Mode::empty())
            .map_err(|errno| self.error("open", "", errno))
    }

    /// Opens a control file for reading.
    pub(super) fn file(&self, name: &str) -> Result<File, FileError> {
        rustix::fs::openat(&self.fd, name, OFlags::RDONLY | FILE, Mode::empty())
            .map(File::from)
            .map_err(|errno| self.error("open", name, errno))
    }

    /// Opens a control file for reading and writing.
    pub(super) fn open_both(&self, name: &str) -> Result<OwnedFd, FileError> {
        rustix::fs::openat(&self.fd, name, OFlags::RDWR | FILE, Mode::empty())
            .map_err(|errno| self.error("open", name, errno))
    }

    /// The group that it is in.
    pub(super) fn parent(&self) -> Result<Self, FileError> {
        self.descend("..")
    }

    /// Whether both are the same group.
    pub(super) fn is(&self, other: &Self) -> Result<bool, FileError> {
        let inode = |of: &Self| {
            let stat = rustix::fs::fstat(&of.fd).map_err(|errno| of.error("look at", "", errno))?;
            Ok((stat.st_dev, stat.st_ino))
        };
        Ok(inode(self)? == inode(other)?)
    }

    /// Reads a control file whole.
    pub(super) fn read(&self, name: &str) -> Result<String, FileError> {
        crate::pseudofile::read(self.file(name)?).map_err(|error| {
            let errno = Errno::from_io_error(&error).unwrap_or(Errno::IO);
            self.error("read", name, errno)
        })
    }

    /// Writes a control file in the one `write` that the kernel takes as a value.
    pub(super) fn write(&self, name: &str, value: &str) -> Result<(), FileError> {
        let file = rustix::fs::openat(&self.fd, name, OFlags::WRONLY | FILE, Mode::empty())
            .map_err(|errno| self.error("open", name, errno))?;
        match rustix::io::write(&file, value.as_bytes()) {
            Ok(written) if written == value.len() => Ok(()),
            Ok(_) => Err(self.error("write all of", name, Errno::IO)),
            Err(errno) => Err(self.error("write", name, errno)),
        }
    }

    /// Whether the caller may write a control file, by its effective ids.
    pub(super) fn writable(&self, name: &str) -> bool {
        rustix::fs::accessat(&self.fd, name, Access::WRITE_OK, AtFlags::EACCESS).is_ok()
    }

    pub(super) fn error(
        &self,
        action: &'static str,
        name: impl AsRef<Path>,
        errno: Errno,
    ) -> FileError {
        FileError {
            action,
            path: self.path.join(name),
            errno,
        }
    }
}

const FILE: OFlags = OFlags::CLOEXEC.union(OFlags::NOFOLLOW);
const DIRECTORY: OFlags = OFlags::PATH
    .union(OFlags::DIRECTORY)
    .union(OFlags::NOFOLLOW)
    .union(OFlags::CLOEXEC);

fn to_rustix(errno: nix::errno::Errno) -> Errno {
    Errno::from_raw_os_error(errno as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directory_outside_cgroupfs_is_refused() {
        let error = Directory::open(Path::new("/tmp")).unwrap_err();
        assert_eq!(error.errno, Errno::NOTSUP);
    }
}
