//! The supervisor's read-only view of one worker's groups.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::event::{EventfdFlags, eventfd};
use rustix::io::Errno;

use super::counters::{Counters, Events, ReadError, Usage};
use super::directory::FileError;
use super::groups::{Directories, Groups};
use super::layout::Kind;
use super::limits::{Applied, LimitError};
use super::membership::{MemberError, listed};

/// Reads and watches one worker's groups, from directories that the launcher sent.
///
/// Files stay open and reads allocate nothing. It needs no privilege: the counters are
/// readable, and v1's `cgroup.event_control` writable, for everyone.
#[derive(Debug)]
pub struct Probe {
    groups: Groups,
    counters: Counters,
    /// v1 reports OOM only through an eventfd.
    oom: Option<OwnedFd>,
}

/// An fd to poll for events, and what to poll it for.
#[derive(Debug, Clone, Copy)]
pub struct Watch<'probe> {
    /// It belongs to the probe; a duplicate shares its state.
    pub fd: BorrowedFd<'probe>,
    /// What it becomes.
    pub readiness: Readiness,
}

/// What a watched fd becomes when something happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    /// `POLLPRI`, `EPOLLPRI`.
    Priority,
    /// `POLLIN`, `EPOLLIN`.
    Readable,
}

/// Why a worker can't be watched.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// Fds and description don't belong together.
    #[error("{expected} cgroup directories were described and {received} received")]
    Mismatch {
        /// As described.
        expected: usize,
        /// Fds that came.
        received: usize,
    },
    /// A control file can't be opened or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The first reading failed.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// There is no eventfd to be had.
    #[error("cannot make an eventfd: {0}")]
    Eventfd(Errno),
}

impl Probe {
    /// Opens everything below the directories of [`Leaf::directories`](super::Leaf::directories),
    /// in the same order, as [`Leaf::describe`](super::Leaf::describe) describes them.
    ///
    /// # Errors
    /// What can't be opened, or isn't a cgroup.
    pub fn open(described: &Directories, fds: Vec<OwnedFd>) -> Result<Self, ProbeError> {
        let mismatch = ProbeError::Mismatch {
            expected: described.count(),
            received: fds.len(),
        };
        let groups = Groups::from_fds(described, fds)?.ok_or(mismatch)?;
        let counters = Counters::open(&groups)?;
        let oom = match groups.kind() {
            Kind::V2 => None,
            Kind::Hybrid | Kind::V1 => Some(watch_oom(&groups, &counters)?),
        };
        let probe = Self {
            groups,
            counters,
            oom,
        };
        // A control file counts as changed until it is first read.
        probe.events()?;
        Ok(probe)
    }

    /// What the worker uses now.
    ///
    /// # Errors
    /// Which counter can't be read; [`ReadError::Gone`] once the group is removed.
    pub fn usage(&self) -> Result<Usage, ReadError> {
        self.counters.usage()
    }

    /// What happened to its limits so far. This also quiets both watches until the next
    /// event.
    ///
    /// On v1 the OOM watch fires *before* the kill is counted: what counts is read again
    /// when the worker has ended.
    ///
    /// # Errors
    /// Which counter can't be read; [`ReadError::Gone`] once the group is removed.
    pub fn events(&self) -> Result<Events, ReadError> {
        if let Some(oom) = &self.oom {
            match rustix::io::read(oom, &mut [0; 8]) {
                Ok(_) | Err(Errno::AGAIN) => {}
                Err(errno) => {
                    return Err(ReadError::Read {
                        file: "the OOM eventfd",
                        source: errno.into(),
                    });
                }
            }
        }
        self.counters.events()
    }

    /// Fails unless the process is in all of the groups. Only valid if its pidfd is still
    /// alive afterwards.
    ///
    /// # Errors
    /// The group that it isn't in.
    pub fn verify_member(&self, pid: u32) -> Result<(), MemberError> {
        let mut groups = self.groups.directories().iter();
        groups.try_for_each(|group| listed(group, pid))
    }

    /// The limits as the kernel has them now, to be compared with
    /// [`Applied::verify`] or with the value of the launch.
    ///
    /// # Errors
    /// Which limit can't be read.
    pub fn read_limits(&self) -> Result<Applied, LimitError> {
        self.groups.read_limits()
    }

    /// Becomes ready when memory ran out; on v2 also when its limit was reached.
    #[must_use]
    pub fn memory_watch(&self) -> Watch<'_> {
        match &self.oom {
            Some(oom) => Watch {
                fd: oom.as_fd(),
                readiness: Readiness::Readable,
            },
            None => priority(self.counters.memory_events.file.as_fd()),
        }
    }

    /// Becomes ready when a fork was refused; `None` on v1, whose `pids.events` counts but
    /// doesn't notify: there [`events`](Self::events) has to be read now and then.
    #[must_use]
    pub fn pids_watch(&self) -> Option<Watch<'_>> {
        let v2 = self.groups.kind() == Kind::V2;
        v2.then(|| priority(self.counters.pids_events.file.as_fd()))
    }
}

fn priority(fd: BorrowedFd<'_>) -> Watch<'_> {
    Watch {
        fd,
        readiness: Readiness::Priority,
    }
}

fn watch_oom(groups: &Groups, counters: &Counters) -> Result<OwnedFd, ProbeError> {
    let eventfd =
        eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(ProbeError::Eventfd)?;
    let oom_control = counters.memory_events.file.as_raw_fd();
    let registration = format!("{} {oom_control}", eventfd.as_raw_fd());
    groups
        .memory()
        .write("cgroup.event_control", &registration)?;
    Ok(eventfd)
}
