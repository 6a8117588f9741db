//! A folder of procfs, held open: once its process is gone every read fails, and a pid that
//! is used again can't stand in for it.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, CWD, Dir, Mode, OFlags, StatxFlags, openat, readlinkat, statx};
use rustix::io::Errno;

use super::AttestError;

/// `/proc/PID`, or a folder below it.
pub(super) struct Folder(OwnedFd);

impl Folder {
    /// `/proc/PID` of the process behind `pidfd`.
    pub(super) fn of(pidfd: BorrowedFd<'_>) -> Result<(u32, Folder), AttestError> {
        let pid = crate::sys::pidfd::pid(pidfd).map_err(|error| failed("pidfd", error))?;
        let folder = Folder::open(&format!("/proc/{pid}"))?;
        // Only now is it known that the folder isn't that of another process.
        alive(pidfd)?;
        Ok((pid, folder))
    }

    /// `/proc/self`.
    pub(super) fn own() -> Result<Folder, AttestError> {
        Folder::open("/proc/self")
    }

    fn open(path: &str) -> Result<Folder, AttestError> {
        let opened = openat(CWD, path, FOLDER, Mode::empty());
        opened
            .map(Folder)
            .map_err(|e| failed("/proc folder", e.into()))
    }

    /// A folder in it.
    pub(super) fn below(&self, path: &str) -> Result<Folder, AttestError> {
        let opened = openat(&self.0, path, FOLDER, Mode::empty());
        opened
            .map(Folder)
            .map_err(|e| failed("/proc folder", e.into()))
    }

    /// The whole of a text file.
    pub(super) fn text(&self, name: &'static str) -> Result<String, AttestError> {
        self.text_of(name, name)
    }

    /// As [`text`](Self::text), of a file whose path isn't known beforehand.
    pub(super) fn text_of(&self, what: &'static str, path: &str) -> Result<String, AttestError> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        openat(&self.0, path, flags, Mode::empty())
            .map_err(io::Error::from)
            .and_then(crate::pseudofile::read)
            .map_err(|error| failed(what, error))
    }

    /// What a magic link names.
    pub(super) fn link(&self, what: &'static str, path: &str) -> Result<String, AttestError> {
        let target = readlinkat(&self.0, path, Vec::new());
        let target = target.map_err(|error| failed(what, error.into()))?;
        Ok(target.to_string_lossy().into_owned())
    }

    /// The inode that a magic link stands for.
    pub(super) fn inode(&self, what: &'static str, path: &str) -> Result<u64, AttestError> {
        let stat = statx(&self.0, path, AtFlags::empty(), StatxFlags::INO);
        stat.map(|stat| stat.stx_ino)
            .map_err(|e| failed(what, e.into()))
    }

    /// Opens what a magic link stands for.
    pub(super) fn follow(&self, what: &'static str, path: &str) -> Result<OwnedFd, AttestError> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        openat(&self.0, path, flags, Mode::empty()).map_err(|e| failed(what, e.into()))
    }

    /// The entries of `path` whose names are numbers.
    pub(super) fn numbers(&self, what: &'static str, path: &str) -> Result<Vec<u32>, AttestError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let listed = openat(&self.0, path, flags, Mode::empty())
            .and_then(Dir::new)
            .and_then(|dir| dir.collect::<Result<Vec<_>, _>>())
            .map_err(|error| failed(what, error.into()))?;
        let number = |entry: &rustix::fs::DirEntry| entry.file_name().to_str().ok()?.parse().ok();
        Ok(listed.iter().filter_map(number).collect())
    }
}

const FOLDER: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Fails once the process is gone: a process whose main thread alone has ended isn't.
pub(super) fn alive(pidfd: BorrowedFd<'_>) -> Result<(), AttestError> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut ended = [PollFd::from_borrowed_fd(pidfd, PollFlags::IN)];
    match poll(&mut ended, Some(&Timespec::default())) {
        Ok(0) => Ok(()),
        Ok(_) => Err(AttestError::Gone),
        Err(error) => Err(failed("pidfd", error.into())),
    }
}

/// `ENOENT` and `ESRCH` are what procfs says of a thread that has ended, and `EINVAL` its
/// `mountinfo` of one that is about to.
fn failed(what: &'static str, source: io::Error) -> AttestError {
    let gone = [Errno::NOENT, Errno::SRCH, Errno::INVAL].map(|errno| Some(errno.raw_os_error()));
    match gone.contains(&source.raw_os_error()) {
        true => AttestError::Gone,
        false => AttestError::Read { what, source },
    }
}
