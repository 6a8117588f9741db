//! What the kernel tells of a plugin's worker that is no violation.

use std::fmt;
use std::time::Duration;

/// One thing that it tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// The worker's process ended by itself. Its state follows once nothing is left of it.
    Exited,
    /// Its group met a bound on memory.
    Memory {
        /// Which.
        event: MemoryEvent,
        /// How often since it was told last, a second ago or more.
        times: u64,
    },
    /// Some of its tasks stood still for want of something.
    Stalled {
        /// Of what.
        resource: Resource,
        /// For how long.
        stalled: Duration,
        /// Within what time.
        within: Duration,
    },
    /// All its processes stand still, or run again.
    Frozen(bool),
}

/// What happened to a group's memory, as `memory.events` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemoryEvent {
    /// It was reclaimed from although below its protection.
    Low,
    /// It was throttled above its declared limit.
    High,
    /// It met its hard limit; what could be reclaimed was.
    Max,
    /// An allocation failed.
    Oom,
}

/// What tasks wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resource {
    /// Memory: reclaim, refaults.
    Memory,
    /// CPU time, the plugin's own limit included.
    Cpu,
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited => f.write_str("its process ended by itself"),
            Self::Memory { event, times } => write!(f, "memory {event}, {times} times"),
            Self::Stalled {
                resource,
                stalled,
                within,
            } => write!(
                f,
                "tasks stood still for want of {resource} for {} of {} ms",
                stalled.as_millis(),
                within.as_millis()
            ),
            Self::Frozen(true) => f.write_str("all its processes stand still"),
            Self::Frozen(false) => f.write_str("its processes run again"),
        }
    }
}

impl fmt::Display for MemoryEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Low => "reclaimed below its protection",
            Self::High => "throttled above the declared limit",
            Self::Max => "at the hard limit",
            Self::Oom => "refused",
        })
    }
}

impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Memory => "memory",
            Self::Cpu => "CPU time",
        })
    }
}
