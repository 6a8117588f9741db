//! The group that the groups of all workers are made in.

use std::io;
use std::os::fd::OwnedFd;

use rustix::process::{Pid, getpid};

use crate::ceiling::Ceiling;
use crate::cgroup::{Layout, LayoutError, Parent, ParentError, remove_stale};

/// The group that all workers' are in.
pub(super) fn parent(ceiling: &Ceiling, supervisor: &OwnedFd) -> Result<Parent, GroupError> {
    let layout = Layout::detect()?;
    let pid = crate::sys::pidfd::pid(supervisor).map_err(GroupError::Supervisor)?;
    let supervisor = Pid::from_raw(pid as i32);
    let ours: Vec<Pid> = supervisor.into_iter().chain([getpid()]).collect();
    let (place, name) = (&ceiling.cgroup_place, &ceiling.cgroup_name);
    // What can't be removed harms nobody, and is tried again at the next start.
    remove_stale(&layout, place);
    Ok(Parent::create(&layout, place, name, &ours)?)
}

/// Why workers can have no cgroup.
#[derive(Debug, thiserror::Error)]
pub enum GroupError {
    /// No hierarchies.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// No group in one of them.
    #[error(transparent)]
    Parent(#[from] ParentError),
    /// Who the supervisor is.
    #[error("can't tell the supervisor's pid: {0}")]
    Supervisor(#[source] io::Error),
}

impl GroupError {
    /// What a person can do about it; empty where the error says so itself.
    pub(super) fn remedy(&self) -> &'static str {
        match self {
            Self::Parent(error) => error.remedy(),
            Self::Layout(_) | Self::Supervisor(_) => "",
        }
    }
}

/// A remedy that another one follows.
pub(super) fn or(remedy: &str) -> String {
    match remedy {
        "" => String::new(),
        remedy => format!("{remedy}, or "),
    }
}
