//! Files and folders of the host in a worker's private root.
//!
//! The supervisor [`locate`]s what policy names, which follows links; the launcher holds the
//! plan against the [`rules`], then opens every source once and without following any link,
//! and makes a detached mount of that very fd; init attaches it at its target.
//!
//! A grant is of one file system. What is mounted below the source isn't part of it, and is
//! granted by its own path.

mod attach;
mod idmap;
pub mod locate;
pub mod open;
mod overlay;
pub mod rules;
#[cfg(test)]
mod tests;

pub(crate) use attach::attach;
pub(crate) use idmap::IdMaps;
pub(crate) use open::{Opened, open};

use crate::plan::Ids;
use crate::policy::FileAccess;
use crate::sys::mount::{NODEV, NOEXEC, NOSUID, RDONLY};
use crate::weaken::{Weakened, off};

/// Whether owners of granted files are mapped: the worker has an id of its own. Otherwise the
/// caller's own id owns things already.
pub(crate) fn are_mapped(ids: Ids) -> bool {
    matches!(ids, Ids::Mapped(_)) && !off(Weakened::Ids)
}

/// Attributes of a grant's mount: what can be written can't be executed.
pub(crate) fn flags(access: FileAccess, executable: bool) -> u64 {
    let always = NOSUID | NODEV;
    match access {
        FileAccess::Read if off(Weakened::ReadOnly) => always,
        FileAccess::Read if executable => always | RDONLY,
        FileAccess::Read => always | RDONLY | NOEXEC,
        FileAccess::Write { .. } | FileAccess::Overlay(_) => always | NOEXEC,
    }
}
