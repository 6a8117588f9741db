//! Control groups: what one worker may take of memory, processes and CPU time.
//!
//! A [`Layout`] says where this host keeps its hierarchies, a [`Parent`] is the
//! supervisor's own group below them, a [`Leaf`] is one worker's. The launcher owns
//! parents and leaves; a [`Probe`] is the read-only view that it hands to the
//! supervisor as directory fds.
//!
//! On v2 everything happens in the one unified group. On hybrid hosts the limits are
//! in v1 groups, while processes are tracked, frozen and killed, and their CPU time
//! is counted, through the unified tree. On v1 alone the freezer stands in for it.
//!
//! *Invariant*: no limit counts as set until it was read back from the kernel.
//!
//! Source: Linux `Documentation/admin-guide/cgroup-v2.rst` and `cgroup-v1/`, cgroups(7).

mod counters;
mod delegation;
mod directory;
mod groups;
mod io;
mod layout;
mod leaf;
mod limits;
mod membership;
mod parent;
mod pressure;
mod probe;
mod stale;
mod v1;
mod v2;

pub use counters::{Events, GroupState, ReadError, Usage};
pub use delegation::{Place, Stranger};
pub use directory::FileError;
pub use groups::{CommonGroups, Directories};
pub use layout::{Controller, Kind, Layout, LayoutError, Mount};
pub use leaf::{KillError, Leaf, LeafError, RemoveError};
pub use limits::{Applied, CpuMax, Io, IoMax, LimitError, Limits};
pub use membership::MemberError;
pub use parent::{Parent, ParentError};
pub use pressure::Stalled;
pub use probe::{Probe, ProbeError};
pub use stale::{own_name, remove_stale};
