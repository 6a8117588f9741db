//! The supervisor's view of one worker's groups, and its brakes.

use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;

use rustix::event::{EventfdFlags, epoll, eventfd};
use rustix::io::Errno;

use super::counters::{Counter, Counters, Events, GroupState, ReadError, Usage};
use super::directory::FileError;
use super::groups::{CommonGroups, Directories, Groups, Located};
use super::layout::Kind;
use super::limits::{Applied, CpuMax, LimitError};
use super::membership::{MemberError, listed, processes};
use super::pressure::{self, Stalled};

/// Reads and watches one worker's groups, from directories that the launcher sent.
///
/// Counters stay open and reading them allocates nothing. It needs no privilege: the counters are
/// readable, and v1's `cgroup.event_control` writable, for everyone.
#[derive(Debug)]
pub struct Probe {
    groups: Located,
    counters: Counters,
    /// v1 announces what it does of memory only through an eventfd.
    memory: Option<OwnedFd>,
    /// Ready when any of the watched files is.
    watch: Arc<OwnedFd>,
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
    /// There is no eventfd or epoll instance to be had.
    #[error("cannot make {0}: {1}")]
    Watch(&'static str, Errno),
}

impl Probe {
    /// Opens everything below the directories of [`Leaf::directories`](super::Leaf::directories),
    /// in the same order, as [`Leaf::describe`](super::Leaf::describe) describes them.
    ///
    /// # Errors
    /// What can't be opened, or isn't a cgroup.
    pub fn open(
        described: &Directories,
        fds: Vec<OwnedFd>,
        common: &CommonGroups,
    ) -> Result<Self, ProbeError> {
        let mismatch = ProbeError::Mismatch {
            expected: described.count(),
            received: fds.len(),
        };
        let groups = Groups::from_fds(described, fds)?.ok_or(mismatch)?;
        let counters = Counters::open(&groups)?;
        let memory = match groups.kind() {
            Kind::V2 => None,
            Kind::Hybrid | Kind::V1 => {
                let eventfd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
                    .map_err(|errno| ProbeError::Watch("an eventfd", errno))?;
                announce(&groups, &eventfd, &counters.memory_events, "")?;
                Some(eventfd)
            }
        };
        let watch = watch(&counters, memory.as_ref())
            .map_err(|errno| ProbeError::Watch("an epoll instance", errno))?;
        let probe = Self {
            groups: Located::of(&groups, common)?,
            counters,
            memory,
            watch: Arc::new(watch),
        };
        // A control file counts as changed until it is first read.
        probe.events()?;
        probe.state()?;
        Ok(probe)
    }

    /// Has the kernel announce that so many bytes in all are charged, and that they aren't
    /// any more. On v2 `memory.high` does so.
    ///
    /// # Errors
    /// What the kernel refused.
    pub fn announce_usage(&self, bytes: u64) -> Result<(), FileError> {
        match &self.memory {
            Some(eventfd) => {
                let threshold = format!(" {bytes}");
                announce(
                    &self.groups.open()?,
                    eventfd,
                    &self.counters.memory,
                    &threshold,
                )
            }
            None => Ok(()),
        }
    }

    /// What the worker uses now.
    ///
    /// # Errors
    /// Which counter can't be read; [`ReadError::Gone`] once the group is removed.
    pub fn usage(&self) -> Result<Usage, ReadError> {
        self.counters.usage()
    }

    /// As [`usage`](Self::usage), without reading what makes up the heap anew where nothing
    /// was charged or freed since `before` in sum: it costs as much as all the rest. Above
    /// `limit` bytes in all it is read every time, since there page cache may give way to heap.
    ///
    /// # Errors
    /// As [`usage`](Self::usage).
    pub fn usage_since(&self, before: &Usage, limit: u64) -> Result<Usage, ReadError> {
        self.counters.usage_since(before, limit)
    }

    /// The heap, or all that is charged, which is more, where that is within `limit` and costs
    /// less to read.
    ///
    /// # Errors
    /// As [`usage`](Self::usage).
    pub fn heap_at_most(&self, limit: u64) -> Result<u64, ReadError> {
        self.counters.heap_at_most(limit)
    }

    /// What happened to its limits so far. This and [`state`](Self::state) quiet the watch
    /// until the next event.
    ///
    /// On v1 the watch fires *before* the kill for memory is counted: what counts is read
    /// again a moment later.
    ///
    /// # Errors
    /// Which counter can't be read; [`ReadError::Gone`] once the group is removed.
    pub fn events(&self) -> Result<Events, ReadError> {
        if let Some(eventfd) = &self.memory {
            match rustix::io::read(eventfd, &mut [0; 8]) {
                Ok(_) | Err(Errno::AGAIN) => {}
                Err(errno) => {
                    return Err(ReadError::Read {
                        file: "the memory eventfd",
                        source: errno.into(),
                    });
                }
            }
        }
        let events = self.counters.events()?;
        Ok(match events.have_peaks() {
            true => events.with_peaks(&self.groups.open()?),
            false => events,
        })
    }

    /// Forks refused so far, for where nothing [announces](Self::announces_forks) them: one
    /// read of one file.
    ///
    /// # Errors
    /// As [`events`](Self::events).
    pub fn forks_refused(&self) -> Result<u64, ReadError> {
        self.counters.forks_refused()
    }

    /// Whether anything runs in its group; `None` on v1 alone.
    ///
    /// # Errors
    /// As [`events`](Self::events).
    pub fn state(&self) -> Result<Option<GroupState>, ReadError> {
        self.counters.state()
    }

    /// How long some task of it stood still so far; `None` where that isn't measured.
    ///
    /// # Errors
    /// As [`events`](Self::events).
    pub fn stalled(&self) -> Result<Option<Stalled>, ReadError> {
        match self.groups.kind() {
            Kind::V1 => Ok(None),
            Kind::V2 | Kind::Hybrid => pressure::stalled(self.groups.open()?.tracking()),
        }
    }

    /// Watches for stalls in the group that it has in common with the supervisor's other
    /// workers; `None` where none are measured.
    ///
    /// # Errors
    /// What the kernel refused.
    pub fn common_pressure(&self, stalled: Stalled) -> Result<Option<[OwnedFd; 2]>, FileError> {
        match self.groups.kind() {
            Kind::V1 => Ok(None),
            Kind::V2 | Kind::Hybrid => {
                pressure::watch(&self.groups.open()?.tracking().parent()?, stalled)
            }
        }
    }

    /// Fails unless the process is in all of the groups. Only valid if its pidfd is still
    /// alive afterwards.
    ///
    /// # Errors
    /// The group that it isn't in.
    pub fn verify_member(&self, pid: u32) -> Result<(), MemberError> {
        let groups = self.groups.open()?;
        groups
            .directories()
            .iter()
            .try_for_each(|group| listed(group, pid))
    }

    /// The processes of the group, init among them, each by its pidfd. What is read of one by
    /// its pid is valid only if the pidfd is still alive afterwards.
    ///
    /// # Errors
    /// What can't be read.
    pub fn processes(&self) -> Result<Vec<(u32, OwnedFd)>, FileError> {
        processes(self.groups.open()?.tracking())
    }

    /// The limits as the kernel has them now, to be compared with
    /// [`Applied::verify`] or with the value of the launch.
    ///
    /// # Errors
    /// Which limit can't be read.
    pub fn read_limits(&self) -> Result<Applied, LimitError> {
        self.groups.open()?.read_limits()
    }

    /// Begins to stop every process of it; [`frozen`](Self::frozen) tells when all stand still,
    /// which may be never: one in an uninterruptible wait keeps the others waiting. SIGKILL
    /// ends frozen processes too, on v1 once the launcher thaws them.
    ///
    /// This and [`set_cpu_max`](Self::set_cpu_max) take the right to write to the group, which
    /// root has and whoever's user namespace it was made in.
    ///
    /// # Errors
    /// What the kernel refused.
    pub fn freeze(&self) -> Result<(), FileError> {
        self.groups.open()?.freeze(true)
    }

    /// Whether all processes of it stand still.
    ///
    /// # Errors
    /// What can't be read.
    pub fn frozen(&self) -> Result<bool, FileError> {
        self.groups.open()?.frozen()
    }

    /// Sets another CPU bandwidth than the one of the launch, and reads it back.
    ///
    /// # Errors
    /// What the kernel refused, or has instead.
    pub fn set_cpu_max(&self, cpu_max: CpuMax) -> Result<(), LimitError> {
        let groups = self.groups.open()?;
        groups.write_cpu_max(cpu_max)?;
        let found = groups.read_limits()?.cpu_max;
        match found == cpu_max {
            true => Ok(()),
            false => Err(LimitError::NotApplied {
                limit: "cpu_max.quota_us",
                wanted: cpu_max.quota_us,
                found: found.quota_us,
            }),
        }
    }

    /// Becomes readable (`POLLIN`) with the next event: a limit that was hit, a group that
    /// froze or is empty.
    #[must_use]
    pub fn watch(&self) -> &Arc<OwnedFd> {
        &self.watch
    }

    /// Whether the watch tells that a fork was refused. v1's `pids.events` counts, but
    /// doesn't notify: there [`events`](Self::events) has to be read now and then.
    #[must_use]
    pub fn announces_forks(&self) -> bool {
        self.groups.kind() == Kind::V2
    }

    /// Whether a kill for memory is counted by the time that the watch tells of it.
    #[must_use]
    pub fn counts_before_telling(&self) -> bool {
        self.groups.kind() == Kind::V2
    }
}

/// One fd for all that the kernel announces, epoll(7): what a control file announces is
/// `POLLPRI`.
fn watch(counters: &Counters, memory: Option<&OwnedFd>) -> Result<OwnedFd, Errno> {
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    let data = epoll::EventData::new_u64(0);
    let files = match memory {
        Some(eventfd) => {
            epoll::add(&epoll, eventfd, data, epoll::EventFlags::IN)?;
            [None, None]
        }
        None => [Some(&counters.memory_events), Some(&counters.pids_events)],
    };
    let files = files.into_iter().chain([counters.group_events.as_ref()]);
    for counter in files.flatten() {
        epoll::add(&epoll, &counter.file, data, epoll::EventFlags::PRI)?;
    }
    Ok(epoll)
}

/// Registers an eventfd for what `file` announces, with its `argument` if it takes one:
/// Linux `Documentation/admin-guide/cgroup-v1/memory.rst`.
fn announce(
    groups: &Groups,
    eventfd: &OwnedFd,
    file: &Counter,
    argument: &str,
) -> Result<(), FileError> {
    let (eventfd, file) = (eventfd.as_raw_fd(), file.file.as_raw_fd());
    let registration = format!("{eventfd} {file}{argument}");
    groups.memory().write("cgroup.event_control", &registration)
}
