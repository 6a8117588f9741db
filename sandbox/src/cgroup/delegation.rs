//! Where a supervisor's group may go, and how the processes that are there make room for it.
//!
//! Whoever a subtree of v2 is delegated to may make groups in it, and move processes between
//! them, but none in from outside; and its topmost group passes controllers down only while no
//! process is in that group itself. Source: Linux `Documentation/admin-guide/cgroup-v2.rst`,
//! "Delegation" and "No Internal Process Constraint".

use std::fmt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::process::Pid;
use serde::{Deserialize, Serialize};

use super::directory::Directory;
use super::layout::{Controller, Mount};
use super::membership::{Membership, enter};
use super::parent::ParentError;

/// Below which group, in each hierarchy, a supervisor makes its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Place {
    /// Below this one, as `/proc/PID/cgroup` names it; `/` is the topmost that is to be seen.
    Below(PathBuf),
    /// Below the one that this process was started in.
    Own,
}

/// A process that isn't ours to move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stranger {
    /// 0 if it is of another pid namespace.
    pub pid: i32,
    /// What it calls itself.
    pub name: String,
}

impl fmt::Display for Stranger {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:?} ({})", self.name, self.pid)
    }
}

impl Place {
    /// The directory of its group in this hierarchy, for a process of these groups.
    pub(super) fn directory(
        &self,
        mount: &Mount,
        own: &Membership,
    ) -> Result<PathBuf, ParentError> {
        let group = match self {
            Self::Below(group) if group == Path::new("/") => return Ok(mount.point.clone()),
            Self::Below(group) => group.as_path(),
            Self::Own => started_in(mount, own),
        };
        mount.directory(group).ok_or_else(|| ParentError::Unseen {
            group: group.to_owned(),
            mount: mount.point.clone(),
        })
    }

    /// Whether a process of these groups may put others into `base`, its group of this v2
    /// hierarchy: that takes the right to write to the closest group above both.
    pub(super) fn reachable(
        &self,
        mount: &Mount,
        own: &Membership,
        base: &Directory,
    ) -> Result<(), ParentError> {
        let own = own.group(mount).and_then(|group| mount.directory(group));
        // From a group that isn't to be seen here the kernel tells.
        let Some(own) = own else { return Ok(()) };
        let above = own
            .ancestors()
            .find(|above| base.path().starts_with(above))
            .unwrap_or(&mount.point);
        match Directory::open(above)?.writable("cgroup.procs") {
            true => Ok(()),
            false => Err(ParentError::Outside {
                group: base.path().to_owned(),
                own,
            }),
        }
    }
}

/// The group that a process was started in, though it may have made room since.
fn started_in<'a>(mount: &Mount, own: &'a Membership) -> &'a Path {
    let group = own.group(mount).unwrap_or(Path::new("/"));
    match group.parent() {
        Some(above) if group.ends_with(QUARTERS) => above,
        _ => group,
    }
}

/// The leaf for processes that were in the way.
const QUARTERS: &str = "cordon-supervisor";

/// Processes of ours left a group, so that it can pass controllers down.
#[derive(Debug)]
pub(super) struct Quarters {
    /// What it passes down since.
    pub(super) passed: Vec<Controller>,
}

impl Quarters {
    /// Moves those of `ours` that are in `base` itself into a leaf of it.
    pub(super) fn take(base: &Directory, ours: &[Pid]) -> Result<Self, ParentError> {
        let members = members(base)?;
        let is_ours = |pid: i32| ours.iter().any(|own| own.as_raw_nonzero().get() == pid);
        let strangers: Vec<Stranger> = members
            .iter()
            .filter(|pid| !is_ours(**pid))
            .map(|&pid| Stranger::of(pid))
            .collect();
        if !strangers.is_empty() {
            return Err(ParentError::Occupied {
                group: base.path().to_owned(),
                strangers,
            });
        }
        match base.make(QUARTERS) {
            Err(error) if error.errno != Errno::EXIST => return Err(error.into()),
            Ok(()) | Err(_) => {}
        }
        let leaf = base.descend(QUARTERS)?;
        for pid in members.into_iter().filter_map(Pid::from_raw) {
            enter(&leaf, pid)?;
        }
        Ok(Self { passed: Vec::new() })
    }

    /// Lets all that are in the leaf return, and removes it. If another supervisor made use
    /// of the place meanwhile, both stay as they are.
    pub(super) fn leave(self, base: &Directory) {
        let Ok(leaf) = base.descend(QUARTERS) else {
            return;
        };
        for controller in &self.passed {
            let refused = base.write("cgroup.subtree_control", &format!("-{controller}"));
            if refused.is_err() {
                return;
            }
        }
        // Those that its processes forked are there too.
        for pid in members(&leaf).unwrap_or_default() {
            base.write("cgroup.procs", &pid.to_string()).ok();
        }
        base.remove(QUARTERS).ok();
    }
}

impl Stranger {
    fn of(pid: i32) -> Self {
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm"));
        Self {
            pid,
            name: name.map_or_else(|_| "unknown".into(), |name| name.trim_end().into()),
        }
    }
}

fn members(group: &Directory) -> Result<Vec<i32>, super::FileError> {
    let text = group.read("cgroup.procs")?;
    Ok(text.lines().filter_map(|line| line.parse().ok()).collect())
}
