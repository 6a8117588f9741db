//! Host ids for workers: a block of a range that nobody else uses, locked while any
//! worker may run under it.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

/// The first id of the range: just above those that systemd hands to containers
/// (systemd.io, "Users, Groups, UIDs and GIDs on systemd Systems").
pub const FIRST: u32 = 0x7000_0000;
/// Ids of one supervisor.
pub const BLOCK: u32 = 4096;
/// Supervisors on one host, at most.
const BLOCKS: u32 = 256;

/// Why there are no ids for workers.
#[derive(Debug, thiserror::Error)]
pub enum UidError {
    /// The lock files can't be made.
    #[error("can't lock a range of user ids in {}: {source}", path.display())]
    Lock {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Every block is another supervisor's.
    #[error("all {BLOCKS} ranges of user ids are taken by other supervisors on this host")]
    Taken,
}

/// One supervisor's block.
#[derive(Debug)]
pub struct Uids {
    range: Range<u32>,
    lock: OwnedFd,
    used: BTreeSet<u32>,
    next: u32,
}

impl Uids {
    /// Locks the first free block, with lock files in `folder`.
    ///
    /// # Errors
    /// [`UidError`].
    pub fn lock(folder: &Path) -> Result<Uids, UidError> {
        for block in 0..BLOCKS {
            let path = folder.join(format!("uids-{block}.lock"));
            let failed = |source| UidError::Lock {
                path: path.clone(),
                source,
            };
            let file = open(&path).map_err(failed)?;
            // The lock is the open file's: it lasts while supervisor or launcher holds it.
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => {
                    let first = FIRST + block * BLOCK;
                    let range = first..first + BLOCK;
                    return Ok(Uids {
                        range,
                        lock: file.into(),
                        used: BTreeSet::new(),
                        next: first,
                    });
                }
                Err(rustix::io::Errno::WOULDBLOCK) => {}
                Err(error) => return Err(failed(error.into())),
            }
        }
        Err(UidError::Taken)
    }

    /// The whole block, for the launcher's ceiling.
    #[must_use]
    pub fn range(&self) -> Range<u32> {
        self.range.clone()
    }

    /// The lock, for the launcher to hold too.
    #[must_use]
    pub fn lock_fd(&self) -> &OwnedFd {
        &self.lock
    }

    /// An id that no living worker has; the longest unused one first.
    #[must_use]
    pub fn take(&mut self) -> Option<u32> {
        for _ in 0..BLOCK {
            let uid = self.next;
            self.next = if uid + 1 == self.range.end {
                self.range.start
            } else {
                uid + 1
            };
            if self.used.insert(uid) {
                return Some(uid);
            }
        }
        None
    }

    /// Gives back the id of a worker that is gone.
    pub fn give_back(&mut self, uid: u32) {
        self.used.remove(&uid);
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(libc_nofollow())
        .open(path)
}

fn libc_nofollow() -> i32 {
    rustix::fs::OFlags::NOFOLLOW.bits() as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_supervisors_get_ranges_that_do_not_meet() {
        let folder = tempfile::tempdir().unwrap();
        let first = Uids::lock(folder.path()).unwrap();
        let second = Uids::lock(folder.path()).unwrap();
        assert!(first.range().end <= second.range().start);
        drop(first);
        assert_eq!(Uids::lock(folder.path()).unwrap().range().start, FIRST);
    }

    #[test]
    fn id_comes_back_only_when_given_back() {
        let folder = tempfile::tempdir().unwrap();
        let mut uids = Uids::lock(folder.path()).unwrap();
        let all: BTreeSet<u32> = std::iter::from_fn(|| uids.take()).collect();
        assert_eq!(all.len(), BLOCK as usize);
        assert_eq!(uids.take(), None);
        uids.give_back(FIRST + 7);
        assert_eq!(uids.take(), Some(FIRST + 7));
    }
}
