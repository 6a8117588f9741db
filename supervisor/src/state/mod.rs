//! What outlives a supervisor, below one folder that is its user's alone.
//!
//! Everything in it is found from the folder's fd, by one name, and never through a link:
//!
//! - `violations.jsonl`, `violations.jsonl.1` and so on: the [history](crate::history) of
//!   violations, the latest first;
//! - `unmounted/ID.json`: a plugin that only an operator allows again, see [`Unmounted`];
//! - `crashes/ID/`: the [crashes](crate::crash) of a plugin.
//!
//! A file is written as `.new` in its folder; what a writer that was killed left of it the next one
//! overwrites.

mod unmounted;

pub use unmounted::{Unmounted, UnmountedError};

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{
    AtFlags, Dir, FlockOperation, Mode, OFlags, ResolveFlags, flock, fsync, mkdirat, openat2,
    renameat, unlinkat,
};
use rustix::io::Errno;

use crate::paths::private_folder;

/// Environment variable for the binary's `--state-dir`.
pub const STATE_DIR: &str = "CORDON_STATE_DIR";

/// A file while it is written, in each folder; it gets its name when it is whole.
const NEW: &str = ".new";
/// Files and folders are their owner's alone.
const FILE: Mode = Mode::RUSR.union(Mode::WUSR);
/// How long another writer may take; one that was suspended must not suspend all others.
const LOCK_WAIT: Duration = Duration::from_secs(5);
/// Between two looks whether it is done: a write takes a few milliseconds.
const LOCK_TRY: Duration = Duration::from_millis(2);

/// A folder for state, or one below it: mode 0700, the caller's.
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    folder: OwnedFd,
}

/// What can't be done in a [`StateDir`].
#[derive(Debug, thiserror::Error)]
#[error("can't {action} {}: {source}", path.display())]
pub struct StateError {
    /// What was tried: `use the folder`, `read`, `write`, `remove`.
    pub action: &'static str,
    /// Which file or folder.
    pub path: PathBuf,
    /// Why not.
    pub source: io::Error,
}

impl StateDir {
    /// Opens the folder, and makes it with those above it where it is missing.
    ///
    /// # Errors
    /// [`StateError`], also where it is another's, or others have access to it.
    pub fn open(path: &Path) -> Result<StateDir, StateError> {
        let folder = private_folder(path).map_err(|source| StateError {
            action: "use the folder",
            path: path.to_owned(),
            source,
        })?;
        Ok(StateDir {
            path: path.to_owned(),
            folder,
        })
    }

    /// Opens the folder if it is there.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub fn find(path: &Path) -> Result<Option<StateDir>, StateError> {
        match std::fs::symlink_metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            _ => Self::open(path).map(Some),
        }
    }

    /// Where it is, for people.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder `name` in it, made where it is missing.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn subfolder(&self, name: &str) -> Result<StateDir, StateError> {
        let failed = |error: Errno| self.error("use the folder", name, error.into());
        match mkdirat(&self.folder, name, FILE | Mode::XUSR) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(failed(error)),
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        Ok(StateDir {
            path: self.path.join(name),
            folder: self.at(name, flags).map_err(failed)?,
        })
    }

    /// The folder `name` in it, if there is one.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn existing(&self, name: &str) -> Result<Option<StateDir>, StateError> {
        match self.at(name, OFlags::RDONLY | OFlags::DIRECTORY) {
            Ok(folder) => Ok(Some(StateDir {
                path: self.path.join(name),
                folder,
            })),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(error) => Err(self.error("use the folder", name, error.into())),
        }
    }

    /// What is in it, the first `max` names as they come; none that begins with a dot.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn names(&self, max: usize) -> Result<Vec<String>, StateError> {
        let listed = self
            .at(".", OFlags::RDONLY | OFlags::DIRECTORY)
            .and_then(Dir::new);
        let mut names = Vec::new();
        let failed = |error: Errno| self.error("read", ".", error.into());
        for entry in listed.map_err(failed)? {
            let entry = entry.map_err(failed)?;
            match entry.file_name().to_str() {
                Ok(name) if !name.starts_with('.') => names.push(name.to_owned()),
                _ => {}
            }
            if names.len() == max {
                break;
            }
        }
        Ok(names)
    }

    /// The bytes of the file `name`, or `None` where there is none.
    ///
    /// # Errors
    /// [`StateError`], also where it is longer than `max` bytes.
    pub fn read(&self, name: &str, max: u64) -> Result<Option<Vec<u8>>, StateError> {
        let file = match self.at(name, OFlags::RDONLY | OFlags::NONBLOCK) {
            Ok(file) => File::from(file),
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(self.error("read", name, error.into())),
        };
        let mut bytes = Vec::new();
        let read = file.take(max.saturating_add(1)).read_to_end(&mut bytes);
        let read = read.and_then(|count| match count as u64 > max {
            true => Err(io::Error::other(format!("it is longer than {max} bytes"))),
            false => Ok(()),
        });
        read.map_err(|error| self.error("read", name, error))?;
        Ok(Some(bytes))
    }

    /// Puts a file `name` with these bytes in the place of the one before. Whoever reads sees
    /// the one or the other, whole, and so it is after a loss of power.
    ///
    /// # Errors
    /// [`StateError`]; the file before is still there then.
    pub fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), StateError> {
        self.put(name, bytes)
            .map_err(|error| self.error("write", name, error))
    }

    /// Removes the file `name`, for good; `false` where there is none.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn remove(&self, name: &str) -> Result<bool, StateError> {
        match unlinkat(&self.folder, name, AtFlags::empty()) {
            Ok(()) => {}
            Err(Errno::NOENT) => return Ok(false),
            Err(error) => return Err(self.error("remove", name, error.into())),
        }
        let synced = self.sync();
        synced.map_err(|error| self.error("remove", name, error))?;
        Ok(true)
    }

    /// Gives a file another name, over what has it.
    pub(crate) fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        Ok(renameat(&self.folder, from, &self.folder, to)?)
    }

    /// Makes names last through a loss of power.
    pub(crate) fn sync(&self) -> io::Result<()> {
        Ok(fsync(&self.folder)?)
    }

    fn put(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let _alone = self.lock()?;
        // One name for all: the next writer overwrites what one that was killed left.
        let new = NEW;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC;
        let mut file = File::from(self.at(new, flags)?);
        let written = file.write_all(bytes).and_then(|()| file.sync_all());
        let renamed = written
            .and_then(|()| self.rename(new, name))
            .and_then(|()| self.sync());
        if renamed.is_err() {
            // The error that counts is the first one.
            unlinkat(&self.folder, new, AtFlags::empty()).ok();
        }
        renamed
    }

    /// Keeps every other writer out, of this process too, until it is dropped.
    pub(crate) fn lock(&self) -> io::Result<OwnedFd> {
        // A lock is the open file's (flock(2)): each needs one of its own.
        let folder = self.at(".", OFlags::RDONLY | OFlags::DIRECTORY)?;
        let end = Instant::now() + LOCK_WAIT;
        loop {
            match flock(&folder, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(folder),
                Err(Errno::WOULDBLOCK) if Instant::now() < end => std::thread::sleep(LOCK_TRY),
                Err(Errno::WOULDBLOCK) => {
                    return Err(io::Error::other("another process keeps it locked"));
                }
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Opens the file or folder `name` in it; what is made is the owner's alone.
    pub(crate) fn at(&self, name: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
        let mode = match flags.contains(OFlags::CREATE) {
            true => FILE,
            false => Mode::empty(),
        };
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        openat2(
            self.folder.as_fd(),
            name,
            flags | OFlags::CLOEXEC,
            mode,
            resolve,
        )
    }

    pub(crate) fn error(&self, action: &'static str, name: &str, source: io::Error) -> StateError {
        StateError {
            action,
            path: self.path.join(name),
            source,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn state() -> (tempfile::TempDir, StateDir) {
        let above = tempfile::tempdir().unwrap();
        let state = StateDir::open(&above.path().join("of/cordon")).unwrap();
        (above, state)
    }

    #[test]
    fn all_of_it_is_the_owners_alone() {
        let (_above, state) = state();
        let plugin = state
            .subfolder("crashes")
            .unwrap()
            .subfolder("greet")
            .unwrap();
        plugin.replace("one", b"x").unwrap();
        for (path, expected) in [
            (state.path().to_owned(), 0o700),
            (plugin.path().to_owned(), 0o700),
            (plugin.path().join("one"), 0o600),
        ] {
            let mode = std::fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, expected, "{}", path.display());
        }
    }

    #[test]
    fn a_file_is_replaced_whole_and_nothing_else_is_left() {
        let (_above, state) = state();
        assert_eq!(state.read("one", 10).unwrap(), None);
        state.replace("one", b"before, and longer").unwrap();
        state.replace("one", b"after").unwrap();
        assert_eq!(state.read("one", 10).unwrap().unwrap(), b"after");
        assert_eq!(std::fs::read_dir(state.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_file_too_long_is_an_error_that_names_it() {
        let (_above, state) = state();
        state.replace("one", b"123456").unwrap();
        let error = state.read("one", 5).unwrap_err().to_string();
        let file = state.path().join("one");
        let expected = format!("can't read {}: it is longer than 5 bytes", file.display());
        assert_eq!(error, expected);
    }

    #[test]
    fn many_writers_leave_one_whole_file() {
        let (_above, state) = state();
        std::thread::scope(|scope| {
            for writer in 0..4_u8 {
                let bytes = [writer; 4096];
                let state = &state;
                scope.spawn(move || (0..8).for_each(|_| state.replace("one", &bytes).unwrap()));
            }
        });
        let bytes = state.read("one", 1 << 20).unwrap().unwrap();
        assert_eq!(bytes, [bytes[0]; 4096]);
    }

    #[test]
    fn a_file_that_cannot_be_replaced_stays() {
        let (_above, state) = state();
        std::fs::create_dir(state.path().join("one")).unwrap();
        state.replace("one", b"x").unwrap_err();
        assert_eq!(std::fs::read_dir(state.path()).unwrap().count(), 1);
    }

    #[test]
    fn links_and_paths_lead_nowhere() {
        let (above, state) = state();
        std::fs::write(above.path().join("secret"), "s").unwrap();
        symlink(above.path().join("secret"), state.path().join("link")).unwrap();
        symlink(above.path(), state.path().join("folder")).unwrap();
        state.read("link", 10).unwrap_err();
        state.read("../../secret", 10).unwrap_err();
        state.subfolder("folder").unwrap_err();
        state.subfolder("..").unwrap_err();
    }
}
