//! User namespaces that say whose files a granted tree's are, for id-mapped mounts
//! (mount_setattr(2), `MOUNT_ATTR_IDMAP`).

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::pipe::{PipeFlags, pipe_with};

use crate::plan::Ids;
use crate::sys::clone::{Fork, exit_now, fork_into};
use crate::sys::pidfd::kill_and_reap;

/// The user namespaces of one launch, by the owner that becomes the worker.
pub(crate) struct IdMaps {
    worker: Option<u32>,
    made: Vec<((u32, u32), OwnedFd)>,
}

impl IdMaps {
    pub(crate) fn of(ids: Ids) -> IdMaps {
        let worker = match ids {
            Ids::Mapped(id) if super::are_mapped(ids) => Some(id),
            Ids::Mapped(_) | Ids::Own => None,
        };
        IdMaps {
            worker,
            made: Vec::new(),
        }
    }

    /// The namespace that makes files of `uid` and `gid` the worker's, and files that the
    /// worker makes theirs; everybody else's belong to nobody there. `None` where the worker
    /// has no id of its own.
    pub(crate) fn owned_by(&mut self, uid: u32, gid: u32) -> io::Result<Option<BorrowedFd<'_>>> {
        let Some(worker) = self.worker else {
            return Ok(None);
        };
        let known = self.made.iter().position(|(owner, _)| *owner == (uid, gid));
        let index = match known {
            Some(index) => index,
            None => {
                self.made.push(((uid, gid), namespace(uid, gid, worker)?));
                self.made.len() - 1
            }
        };
        Ok(Some(self.made[index].1.as_fd()))
    }
}

/// A user namespace that maps one owner to `worker`, made by a child that lives no longer than
/// this takes.
fn namespace(uid: u32, gid: u32, worker: u32) -> io::Result<OwnedFd> {
    let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
    match fork_into(libc::CLONE_NEWUSER as u64, None)? {
        Fork::Child => {
            drop(write);
            // Ends with the launcher at the latest, whose end of the pipe closes then.
            let _ = rustix::io::read(&read, &mut [0; 1]);
            exit_now(0)
        }
        Fork::Parent { pid, pidfd } => {
            let made = mapped(pid, uid, gid, worker);
            kill_and_reap(pidfd.as_fd());
            made
        }
    }
}

/// The child is ours and not reaped, so its pid can't be another's.
fn mapped(pid: u32, uid: u32, gid: u32, worker: u32) -> io::Result<OwnedFd> {
    let write = |file: &str, owner: u32| {
        let path = format!("/proc/{pid}/{file}");
        let map = format!("{owner} {worker} 1");
        File::options()
            .write(true)
            .open(path)?
            .write_all(map.as_bytes())
    };
    write("uid_map", uid)?;
    write("gid_map", gid)?;
    Ok(File::open(format!("/proc/{pid}/ns/user"))?.into())
}
