//! Limits as asked for, and as the kernel took them.

use serde::{Deserialize, Serialize};

use super::directory::FileError;
use super::layout::Kind;

/// What one worker may take. Swap is always 0, and on v2 an OOM kills the whole group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Bytes at which the kernel kills; it rounds down to whole pages.
    pub memory_max: u64,
    /// Bytes from which the kernel throttles and reclaims. v1 has nothing like it: there
    /// [`Applied::memory_high`] stays `None`.
    pub memory_high: Option<u64>,
    /// Tasks, threads included.
    pub pids_max: u32,
    /// CPU bandwidth.
    pub cpu_max: CpuMax,
    /// Share of contended CPUs, 1 to 10000; 100 is the kernel's default.
    pub cpu_weight: Option<u32>,
    /// Bandwidth of block devices and share of it, where the kernel has a controller for that;
    /// what it lacks is missing in [`Applied::io`].
    pub io: Io,
}

/// CPU bandwidth: so much CPU time in each period, over all CPUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CpuMax {
    /// Microseconds of CPU time, at least 1000.
    pub quota_us: u64,
    /// Microseconds, 1000 to 1000000.
    pub period_us: u64,
}

impl Default for CpuMax {
    /// One core, in the kernel's default period.
    fn default() -> Self {
        Self {
            quota_us: 100_000,
            period_us: 100_000,
        }
    }
}

/// What a group may take of block devices.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Io {
    /// Share of contended devices, 1 to 10000 (1000 on v1); 100 is the kernel's default.
    pub weight: Option<u32>,
    /// Bandwidth, each device once, in the order of their numbers.
    pub max: Vec<IoMax>,
}

/// Bandwidth of one block device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IoMax {
    /// Major and minor number of a whole disk: the kernel limits no partition by itself.
    pub device: (u32, u32),
    /// Bytes read in a second; `None` is no limit.
    pub read: Option<u64>,
    /// Bytes written in a second; `None` is no limit.
    pub write: Option<u64>,
}

impl Io {
    /// Whether anything is asked for.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        *self != Self::default()
    }
}

/// The limits of a group as read from the kernel. `MAX` of a type means no limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applied {
    /// Where they were read.
    pub kind: Kind,
    /// Bytes, a multiple of the page size.
    pub memory_max: u64,
    /// Bytes; `None` on v1, which lacks it.
    pub memory_high: Option<u64>,
    /// Bytes of swap; `None` if the kernel has no swap.
    pub swap_max: Option<u64>,
    /// Whether an OOM kills the whole group; never on v1, which lacks it.
    pub oom_group: bool,
    /// Tasks.
    pub pids_max: u32,
    /// CPU bandwidth.
    pub cpu_max: CpuMax,
    /// On v2's scale, 1 to 10000.
    pub cpu_weight: u32,
    /// `None` where the group has no controller for it. A weight that was asked for and is
    /// missing here the kernel has no file for.
    pub io: Option<Io>,
}

/// Why a limit is not known to hold.
#[derive(Debug, thiserror::Error)]
pub enum LimitError {
    /// A control file can't be written or read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The v1 writer failed.
    #[error("cannot set the cgroup v1 limit {limit} to {value}: {source}")]
    V1 {
        /// The limit's field in [`Limits`].
        limit: &'static str,
        /// What was to be written.
        value: i64,
        /// cgroups-rs's account.
        source: cgroups_rs::fs::error::Error,
    },
    /// A control file holds something that is no limit.
    #[error("the kernel's {file} reads {text:?}, which is no limit that Cordon knows")]
    Unreadable {
        /// The control file.
        file: &'static str,
        /// Its text.
        text: String,
    },
    /// The kernel can swap, but not limit it by cgroup.
    #[error("this kernel can't limit swap by cgroup; boot with swapaccount=1")]
    NoSwapLimit,
    /// The kernel accepted a bandwidth and holds another.
    #[error("the cgroup limit of device {}:{} was set to {wanted:?}, but the kernel holds {found:?}", device.0, device.1)]
    Device {
        /// Its number.
        device: (u32, u32),
        /// What was set.
        wanted: IoMax,
        /// All that was read back.
        found: Vec<IoMax>,
    },
    /// The kernel accepted a value and holds another.
    #[error("the cgroup limit {limit} was set to {wanted}, but the kernel holds {found}")]
    NotApplied {
        /// The limit's field in [`Applied`].
        limit: &'static str,
        /// The value that was set, as the kernel should show it.
        wanted: u64,
        /// The value read back.
        found: u64,
    },
}

impl Applied {
    /// Compares what was read with what was asked for.
    ///
    /// # Errors
    /// [`LimitError::NotApplied`] for the first limit that differs.
    pub fn verify(&self, limits: &Limits) -> Result<(), LimitError> {
        let holds = |limit, wanted, found| match wanted == found {
            true => Ok(()),
            false => Err(LimitError::NotApplied {
                limit,
                wanted,
                found,
            }),
        };
        holds(
            "memory_max",
            whole_pages(limits.memory_max),
            self.memory_max,
        )?;
        holds("swap_max", 0, self.swap_max.unwrap_or(0))?;
        if self.kind == Kind::V2 {
            let high = limits.memory_high.map_or(u64::MAX, whole_pages);
            holds("memory_high", high, self.memory_high.unwrap_or(u64::MAX))?;
            holds("oom_group", 1, u64::from(self.oom_group))?;
        }
        holds(
            "pids_max",
            u64::from(limits.pids_max),
            u64::from(self.pids_max),
        )?;
        holds(
            "cpu_max.quota_us",
            limits.cpu_max.quota_us,
            self.cpu_max.quota_us,
        )?;
        holds(
            "cpu_max.period_us",
            limits.cpu_max.period_us,
            self.cpu_max.period_us,
        )?;
        let weight = limits.cpu_weight.unwrap_or(DEFAULT_WEIGHT);
        holds("cpu_weight", u64::from(weight), u64::from(self.cpu_weight))?;
        let Some(io) = &self.io else { return Ok(()) };
        if let (Some(wanted), Some(found)) = (limits.io.weight, io.weight) {
            holds("io.weight", wanted.into(), found.into())?;
        }
        let differs = |wanted: &&IoMax| !io.max.contains(wanted);
        match limits.io.max.iter().find(differs) {
            None => Ok(()),
            Some(wanted) => Err(LimitError::Device {
                device: wanted.device,
                wanted: *wanted,
                found: io.max.clone(),
            }),
        }
    }
}

/// The kernel's `CGROUP_WEIGHT_DFL`.
pub(super) const DEFAULT_WEIGHT: u32 = 100;

fn whole_pages(bytes: u64) -> u64 {
    bytes - bytes % procfs::page_size()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits {
            memory_max: (1 << 20) + 1,
            memory_high: None,
            pids_max: 8,
            cpu_max: CpuMax::default(),
            cpu_weight: None,
            io: Io::default(),
        }
    }

    fn applied() -> Applied {
        Applied {
            kind: Kind::V2,
            memory_max: 1 << 20,
            memory_high: None,
            swap_max: Some(0),
            oom_group: true,
            pids_max: 8,
            cpu_max: CpuMax::default(),
            cpu_weight: DEFAULT_WEIGHT,
            io: None,
        }
    }

    fn refused(applied: &Applied) -> &'static str {
        match applied.verify(&limits()) {
            Err(LimitError::NotApplied { limit, .. }) => limit,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn rounding_to_pages_is_no_difference() {
        applied().verify(&limits()).unwrap();
    }

    #[test]
    fn every_limit_that_differs_is_named() {
        assert_eq!(
            refused(&Applied {
                memory_max: u64::MAX,
                ..applied()
            }),
            "memory_max"
        );
        assert_eq!(
            refused(&Applied {
                memory_high: Some(4096),
                ..applied()
            }),
            "memory_high"
        );
        assert_eq!(
            refused(&Applied {
                swap_max: Some(4096),
                ..applied()
            }),
            "swap_max"
        );
        assert_eq!(
            refused(&Applied {
                oom_group: false,
                ..applied()
            }),
            "oom_group"
        );
        assert_eq!(
            refused(&Applied {
                pids_max: u32::MAX,
                ..applied()
            }),
            "pids_max"
        );
        assert_eq!(
            refused(&Applied {
                cpu_weight: 10,
                ..applied()
            }),
            "cpu_weight"
        );
        let cpu_max = CpuMax {
            quota_us: u64::MAX,
            ..CpuMax::default()
        };
        assert_eq!(
            refused(&Applied {
                cpu_max,
                ..applied()
            }),
            "cpu_max.quota_us"
        );
    }

    #[test]
    fn v1_lacks_oom_group_and_memory_high() {
        let limits = Limits {
            memory_high: Some(4096),
            ..limits()
        };
        let applied = Applied {
            kind: Kind::Hybrid,
            oom_group: false,
            ..applied()
        };
        applied.verify(&limits).unwrap();
    }
}
