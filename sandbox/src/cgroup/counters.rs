//! What a worker uses and how often its limits were hit, from files that stay open.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::directory::{Directory, FileError};
use super::groups::Groups;
use super::layout::Kind;

/// What a worker uses now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Bytes of anonymous and shared memory.
    pub heap: u64,
    /// Bytes charged in all, with page cache and kernel memory.
    pub memory: u64,
    /// CPU time since the group was made.
    pub cpu: Duration,
    /// Processes and threads.
    pub tasks: u32,
}

/// How often limits were hit since the group was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Events {
    /// Times that it was reclaimed from although below its protection; v2 alone.
    pub memory_low: Option<u64>,
    /// Times that it was throttled above `memory.high`; v2 alone.
    pub memory_high: Option<u64>,
    /// Times that a charge met the memory limit. Recent kernels (seen on 6.18) don't count
    /// them on v1 where swap is limited too.
    pub memory_max: u64,
    /// Allocations that failed for want of memory; v2 alone.
    pub oom: Option<u64>,
    /// Processes killed for want of memory. With v2's group kill it may exceed them.
    pub oom_kills: u64,
    /// Forks refused.
    pub pids_max: u64,
    /// Most bytes charged at a time, where a process was killed for want of memory and the
    /// kernel knows it (v2: Linux 5.19).
    pub memory_peak: Option<u64>,
    /// Most tasks at a time, where a fork was refused and the kernel knows it (Linux 6.1; on
    /// v1 6.11).
    pub tasks_peak: Option<u64>,
}

/// What the unified tree says of a group as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupState {
    /// A process in it hasn't ended.
    pub populated: bool,
    /// All of them stand still.
    pub frozen: bool,
}

/// Why a counter has no value.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A control file can't be opened.
    #[error(transparent)]
    Open(#[from] FileError),
    /// The group was removed.
    #[error("the cgroup of {0} has been removed")]
    Gone(&'static str),
    /// The read failed.
    #[error("cannot read {file}: {source}")]
    Read {
        /// The control file.
        file: &'static str,
        /// Why not.
        source: std::io::Error,
    },
    /// The file has no such number.
    #[error("the kernel's {file} has no number {key:?}")]
    Missing {
        /// The control file.
        file: &'static str,
        /// The key; empty where the file is one number.
        key: &'static str,
    },
}

/// The control files of one worker. Reading them allocates nothing.
#[derive(Debug)]
pub(super) struct Counters {
    kind: Kind,
    pub(super) memory_events: Counter,
    pub(super) pids_events: Counter,
    /// Nothing on v1 alone.
    pub(super) group_events: Option<Counter>,
    /// v1: charges refused.
    refused: Option<Counter>,
    memory_stat: Counter,
    pub(super) memory: Counter,
    cpu: Counter,
    tasks: Counter,
}

impl Counters {
    pub(super) fn open(groups: &Groups) -> Result<Self, FileError> {
        let (memory, kind) = (groups.memory(), groups.kind());
        let [usage, events] = match kind {
            Kind::V2 => ["memory.current", "memory.events"],
            Kind::Hybrid | Kind::V1 => ["memory.usage_in_bytes", "memory.oom_control"],
        };
        // With limits that are equal it is the sum with swap that is met first.
        let refused = match kind {
            Kind::V2 => None,
            Kind::Hybrid | Kind::V1 => match Counter::if_there(memory, "memory.memsw.failcnt")? {
                None => Some(Counter::open(memory, "memory.failcnt")?),
                refused => refused,
            },
        };
        let cpu = match kind {
            Kind::V1 => "cpuacct.usage",
            Kind::V2 | Kind::Hybrid => "cpu.stat",
        };
        let unified = (kind != Kind::V1).then(|| groups.tracking());
        Ok(Self {
            kind,
            memory_events: Counter::open(memory, events)?,
            pids_events: Counter::open(groups.pids(), "pids.events")?,
            group_events: unified
                .map(|unified| Counter::open(unified, "cgroup.events"))
                .transpose()?,
            refused,
            memory_stat: Counter::open(memory, "memory.stat")?,
            memory: Counter::open(memory, usage)?,
            cpu: Counter::open(groups.accounting(), cpu)?,
            tasks: Counter::open(groups.pids(), "pids.current")?,
        })
    }

    pub(super) fn usage(&self) -> Result<Usage, ReadError> {
        self.usage_with(self.memory.number()?, self.heap()?)
    }

    pub(super) fn usage_since(&self, before: &Usage, limit: u64) -> Result<Usage, ReadError> {
        let memory = self.memory.number()?;
        let heap = match memory == before.memory && memory <= limit {
            true => before.heap,
            false => self.heap()?,
        };
        self.usage_with(memory, heap)
    }

    pub(super) fn heap_at_most(&self, limit: u64) -> Result<u64, ReadError> {
        match self.memory.number()? {
            memory if memory <= limit => Ok(memory),
            _ => self.heap(),
        }
    }

    fn usage_with(&self, memory: u64, heap: u64) -> Result<Usage, ReadError> {
        let cpu = match self.kind {
            Kind::V1 => Duration::from_nanos(self.cpu.number()?),
            Kind::V2 | Kind::Hybrid => {
                let [micros] = self.cpu.numbers(["usage_usec"])?;
                Duration::from_micros(micros)
            }
        };
        Ok(Usage {
            heap,
            memory,
            cpu,
            tasks: u32::try_from(self.tasks.number()?).unwrap_or(u32::MAX),
        })
    }

    fn heap(&self) -> Result<u64, ReadError> {
        let anonymous = if self.kind == Kind::V2 { "anon" } else { "rss" };
        let [anonymous, shared] = self.memory_stat.numbers([anonymous, "shmem"])?;
        Ok(anonymous.saturating_add(shared))
    }

    pub(super) fn forks_refused(&self) -> Result<u64, ReadError> {
        let [refused] = self.pids_events.numbers(["max"])?;
        Ok(refused)
    }

    pub(super) fn events(&self) -> Result<Events, ReadError> {
        let pids_max = self.forks_refused()?;
        if self.kind == Kind::V2 {
            let [low, high, max, oom, oom_kills] = self
                .memory_events
                .numbers(["low", "high", "max", "oom", "oom_kill"])?;
            return Ok(Events {
                memory_low: Some(low),
                memory_high: Some(high),
                memory_max: max,
                oom: Some(oom),
                oom_kills,
                pids_max,
                ..Events::default()
            });
        }
        let [oom_kills] = self.memory_events.numbers(["oom_kill"])?;
        let memory_max = match &self.refused {
            Some(refused) => refused.number()?,
            None => 0,
        };
        Ok(Events {
            memory_max,
            oom_kills,
            pids_max,
            ..Events::default()
        })
    }

    pub(super) fn state(&self) -> Result<Option<GroupState>, ReadError> {
        let Some(events) = &self.group_events else {
            return Ok(None);
        };
        let [populated, frozen] = events.numbers(["populated", "frozen"])?;
        Ok(Some(GroupState {
            populated: populated == 1,
            frozen: frozen == 1,
        }))
    }
}

impl Events {
    /// Whether anything was refused of which the most that there was is of interest.
    pub(super) fn have_peaks(&self) -> bool {
        self.oom_kills > 0 || self.pids_max > 0
    }

    /// With the most that there was of what was refused; asked for seldom, so that no file is
    /// kept open.
    pub(super) fn with_peaks(self, groups: &Groups) -> Self {
        let memory = match groups.kind() {
            Kind::V2 => "memory.peak",
            Kind::Hybrid | Kind::V1 => "memory.max_usage_in_bytes",
        };
        let peak = |group, name| Counter::open(group, name).ok()?.number().ok();
        let of = |count: u64, group, name| (count > 0).then(|| peak(group, name)).flatten();
        Self {
            memory_peak: of(self.oom_kills, groups.memory(), memory),
            tasks_peak: of(self.pids_max, groups.pids(), "pids.peak"),
            ..self
        }
    }
}

/// One control file, kept open.
#[derive(Debug)]
pub(super) struct Counter {
    name: &'static str,
    pub(super) file: File,
}

impl Counter {
    fn open(group: &Directory, name: &'static str) -> Result<Self, FileError> {
        Ok(Self {
            name,
            file: group.file(name)?,
        })
    }

    /// Opens a file that not every kernel has.
    fn if_there(group: &Directory, name: &'static str) -> Result<Option<Self>, FileError> {
        match Self::open(group, name) {
            Ok(counter) => Ok(Some(counter)),
            Err(error) if matches!(error.errno, Errno::NOENT | Errno::OPNOTSUPP) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The numbers of a file of `key number` lines.
    fn numbers<const N: usize>(&self, keys: [&'static str; N]) -> Result<[u64; N], ReadError> {
        let mut buffer = [0; BUFFER];
        let text = self.read(&mut buffer)?;
        let mut numbers = [0; N];
        for (number, key) in numbers.iter_mut().zip(keys) {
            *number = field(text, key).ok_or(ReadError::Missing {
                file: self.name,
                key,
            })?;
        }
        Ok(numbers)
    }

    /// The number of a file that is one.
    fn number(&self) -> Result<u64, ReadError> {
        let mut buffer = [0; 32];
        let text = self.read(&mut buffer)?;
        let missing = ReadError::Missing {
            file: self.name,
            key: "",
        };
        text.trim_ascii().parse().map_err(|_| missing)
    }

    /// A control file is made anew and returned whole by a read at offset 0. Where it is
    /// longer than the buffer, its end is missing, and with it keys that stand there.
    fn read<'buffer>(&self, buffer: &'buffer mut [u8]) -> Result<&'buffer str, ReadError> {
        let length = self.file.read_at(buffer, 0).map_err(|source| {
            match source.raw_os_error() == Some(Errno::NODEV.raw_os_error()) {
                true => ReadError::Gone(self.name),
                false => ReadError::Read {
                    file: self.name,
                    source,
                },
            }
        })?;
        let missing = ReadError::Missing {
            file: self.name,
            key: "",
        };
        std::str::from_utf8(&buffer[..length]).map_err(|_| missing)
    }
}

/// What is read of a file: all of the short ones, and of memory.stat the lines up to those
/// wanted, which stand within the first 300 bytes (v1: the third, v2: the tenth of them).
const BUFFER: usize = 512;

/// The number behind `key` in a text of `key number` lines.
pub(super) fn field(text: &str, key: &str) -> Option<u64> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
    line?.trim_ascii().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn field_takes_whole_keys_only() {
        let text = "oom_group_kill 7\noom 2\noom_kill 3\n";
        assert_eq!(field(text, "oom"), Some(2));
        assert_eq!(field(text, "oom_kill"), Some(3));
        assert_eq!(field(text, "kill"), None);
        assert_eq!(field("oom x\n", "oom"), None);
    }
}
