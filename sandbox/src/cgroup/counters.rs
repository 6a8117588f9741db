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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Events {
    /// Allocations that failed for want of memory; `None` on v1, which doesn't count them.
    pub oom: Option<u64>,
    /// Processes killed for want of memory. With v2's group kill it may exceed them.
    pub oom_kills: u64,
    /// Times that the memory limit was reached; `None` on v1, which doesn't count them
    /// where the limit of memory and swap together is the same.
    pub memory_max_hits: Option<u64>,
    /// Forks refused.
    pub pids_max_hits: u64,
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
    memory_stat: Counter,
    memory: Counter,
    cpu: Counter,
    tasks: Counter,
}

impl Counters {
    pub(super) fn open(groups: &Groups) -> Result<Self, FileError> {
        let memory = groups.memory();
        let kind = groups.kind();
        let v2 = kind == Kind::V2;
        let usage = if v2 {
            "memory.current"
        } else {
            "memory.usage_in_bytes"
        };
        let events = if v2 {
            "memory.events"
        } else {
            "memory.oom_control"
        };
        let cpu = if kind == Kind::V1 {
            "cpuacct.usage"
        } else {
            "cpu.stat"
        };
        Ok(Self {
            kind,
            memory_events: Counter::open(memory, events)?,
            pids_events: Counter::open(groups.pids(), "pids.events")?,
            memory_stat: Counter::open(memory, "memory.stat")?,
            memory: Counter::open(memory, usage)?,
            cpu: Counter::open(groups.accounting(), cpu)?,
            tasks: Counter::open(groups.pids(), "pids.current")?,
        })
    }

    pub(super) fn usage(&self) -> Result<Usage, ReadError> {
        let anonymous = if self.kind == Kind::V2 { "anon" } else { "rss" };
        let [anonymous, shared] = self.memory_stat.numbers([anonymous, "shmem"])?;
        let cpu = match self.kind {
            Kind::V1 => Duration::from_nanos(self.cpu.number()?),
            Kind::V2 | Kind::Hybrid => {
                let [micros] = self.cpu.numbers(["usage_usec"])?;
                Duration::from_micros(micros)
            }
        };
        Ok(Usage {
            heap: anonymous.saturating_add(shared),
            memory: self.memory.number()?,
            cpu,
            tasks: u32::try_from(self.tasks.number()?).unwrap_or(u32::MAX),
        })
    }

    pub(super) fn events(&self) -> Result<Events, ReadError> {
        let [pids_max_hits] = self.pids_events.numbers(["max"])?;
        if self.kind == Kind::V2 {
            let [oom, oom_kills, hits] = self.memory_events.numbers(["oom", "oom_kill", "max"])?;
            let memory_max_hits = Some(hits);
            return Ok(Events {
                oom: Some(oom),
                oom_kills,
                memory_max_hits,
                pids_max_hits,
            });
        }
        let [oom_kills] = self.memory_events.numbers(["oom_kill"])?;
        Ok(Events {
            oom: None,
            oom_kills,
            memory_max_hits: None,
            pids_max_hits,
        })
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

/// Above the longest file read, memory.stat, which is below 3 KiB.
const BUFFER: usize = 8192;

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
