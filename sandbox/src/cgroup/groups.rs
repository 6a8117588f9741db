//! One worker's directories and the part that each plays.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::counters::field;
use super::directory::{Directory, FileError};
use super::layout::Kind;
use super::limits::{Applied, CpuMax, LimitError};
use super::{v1, v2};

/// What the fds of [`Leaf::directories`](super::Leaf::directories) are, for the process
/// that receives them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Directories {
    pub(super) parts: Parts,
    /// Where each was opened, in the order of the fds; for messages only.
    pub(super) paths: Vec<PathBuf>,
}

impl Directories {
    /// How many fds belong to it.
    #[must_use]
    pub fn count(&self) -> usize {
        self.paths.len()
    }
}

/// Which of several directories plays which part, by index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Parts {
    pub(super) kind: Kind,
    pub(super) memory: usize,
    pub(super) pids: usize,
    pub(super) cpu: usize,
    /// Where CPU time is counted.
    pub(super) accounting: usize,
    /// Where processes are frozen and killed.
    pub(super) tracking: usize,
    /// Where bandwidth of block devices is limited; of v1 a hierarchy that hosts may lack, and
    /// that workers without such limits stay out of.
    pub(super) io: Option<usize>,
}

impl Parts {
    /// One v2 group that plays every part.
    pub(super) fn all(index: usize) -> Self {
        let kind = Kind::V2;
        Self {
            kind,
            memory: index,
            pids: index,
            cpu: index,
            accounting: index,
            tracking: index,
            io: Some(index),
        }
    }

    fn last(&self) -> usize {
        self.memory
            .max(self.pids)
            .max(self.cpu)
            .max(self.accounting)
            .max(self.tracking)
            .max(self.io.unwrap_or(0))
    }
}

/// The groups that a supervisor's workers' groups are in, each opened once: a thousand workers
/// leave no fds for directories of their own.
#[derive(Debug, Default)]
pub struct CommonGroups(Mutex<Vec<Arc<Directory>>>);

impl CommonGroups {
    /// The group that this one is in.
    fn of(&self, group: &Directory) -> Result<Arc<Directory>, FileError> {
        let found = group.parent()?;
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for one in known.iter() {
            if one.is(&found)? {
                return Ok(Arc::clone(one));
            }
        }
        let found = Arc::new(found);
        known.push(Arc::clone(&found));
        Ok(found)
    }
}

/// Where one worker's groups are, by name in groups that are open. The name is theirs as long
/// as a process is in them: only an empty group can be removed.
#[derive(Debug)]
pub(super) struct Located {
    parts: Parts,
    groups: Vec<(Arc<Directory>, PathBuf)>,
}

impl Located {
    /// # Errors
    /// What can't be opened; `ESTALE` for a group that isn't where it was described.
    pub(super) fn of(groups: &Groups, common: &CommonGroups) -> Result<Self, FileError> {
        let locate = |group: &Directory| {
            let parent = common.of(group)?;
            let name = PathBuf::from(group.path().file_name().unwrap_or_default());
            match parent.descend(&name)?.is(group)? {
                true => Ok((parent, name)),
                false => Err(group.error("find", "", Errno::STALE)),
            }
        };
        let located = groups.directories.iter().map(locate);
        Ok(Self {
            parts: groups.parts,
            groups: located.collect::<Result<_, _>>()?,
        })
    }

    pub(super) fn kind(&self) -> Kind {
        self.parts.kind
    }

    /// Opens them.
    pub(super) fn open(&self) -> Result<Groups, FileError> {
        let groups = self.groups.iter();
        let directories = groups.map(|(parent, name)| parent.descend(name));
        let directories = directories.collect::<Result<_, _>>()?;
        Ok(Groups::new(self.parts, directories))
    }
}

/// One worker's groups, one directory for each mount of the layout.
///
/// *Invariant*: every index in `parts` is below `directories.len()`.
#[derive(Debug)]
pub(super) struct Groups {
    parts: Parts,
    directories: Vec<Directory>,
}

impl Groups {
    /// One directory for each mount of the layout that `parts` is of.
    pub(super) fn new(parts: Parts, directories: Vec<Directory>) -> Self {
        Self { parts, directories }
    }

    /// `None` unless there is one fd for each directory described, and all parts are played.
    pub(super) fn from_fds(
        described: &Directories,
        fds: Vec<OwnedFd>,
    ) -> Result<Option<Self>, FileError> {
        let Directories { parts, paths } = described;
        if fds.len() != paths.len() || parts.last() >= fds.len() {
            return Ok(None);
        }
        let fds = fds.into_iter().zip(paths.iter().cloned());
        let directories = fds.map(|(fd, path)| Directory::from_fd(fd, path));
        Ok(Some(Self::new(
            *parts,
            directories.collect::<Result<_, _>>()?,
        )))
    }

    pub(super) fn describe(&self) -> Directories {
        let paths = self
            .directories
            .iter()
            .map(|directory| directory.path().to_owned());
        Directories {
            parts: self.parts,
            paths: paths.collect(),
        }
    }

    pub(super) fn fds(&self) -> Vec<BorrowedFd<'_>> {
        self.directories.iter().map(Directory::fd).collect()
    }

    /// In the order of the layout's mounts.
    pub(super) fn directories(&self) -> &[Directory] {
        &self.directories
    }

    pub(super) fn kind(&self) -> Kind {
        self.parts.kind
    }

    pub(super) fn memory(&self) -> &Directory {
        &self.directories[self.parts.memory]
    }

    pub(super) fn pids(&self) -> &Directory {
        &self.directories[self.parts.pids]
    }

    pub(super) fn cpu(&self) -> &Directory {
        &self.directories[self.parts.cpu]
    }

    pub(super) fn accounting(&self) -> &Directory {
        &self.directories[self.parts.accounting]
    }

    pub(super) fn io(&self) -> Option<&Directory> {
        self.parts.io.map(|io| &self.directories[io])
    }

    pub(super) fn tracking(&self) -> &Directory {
        &self.directories[self.parts.tracking]
    }

    /// The limits as the kernel has them now.
    pub(super) fn read_limits(&self) -> Result<Applied, LimitError> {
        match self.kind() {
            Kind::V2 => v2::read(self),
            Kind::Hybrid | Kind::V1 => v1::read(self),
        }
    }

    /// Begins to stop every process, or lets them run on.
    pub(super) fn freeze(&self, frozen: bool) -> Result<(), FileError> {
        let tracking = self.tracking();
        match (self.kind(), frozen) {
            (Kind::V1, true) => tracking.write(v1::STATE, v1::FROZEN),
            (Kind::V1, false) => tracking.write(v1::STATE, v1::THAWED),
            (_, frozen) => tracking.write("cgroup.freeze", if frozen { "1" } else { "0" }),
        }
    }

    /// Whether all processes stand still.
    pub(super) fn frozen(&self) -> Result<bool, FileError> {
        match self.kind() {
            Kind::V1 => v1::frozen(self.tracking()),
            Kind::V2 | Kind::Hybrid => self.state("frozen"),
        }
    }

    /// What `cgroup.events` says of `key`.
    pub(super) fn state(&self, key: &str) -> Result<bool, FileError> {
        Ok(field(&self.tracking().read("cgroup.events")?, key) == Some(1))
    }

    /// Sets CPU bandwidth; whether it holds is for [`read_limits`](Self::read_limits) to say.
    pub(super) fn write_cpu_max(&self, cpu_max: CpuMax) -> Result<(), FileError> {
        let CpuMax {
            quota_us,
            period_us,
        } = cpu_max;
        match self.kind() {
            Kind::V2 => self
                .cpu()
                .write("cpu.max", &format!("{quota_us} {period_us}")),
            Kind::Hybrid | Kind::V1 => {
                let (quota, period) = (quota_us.to_string(), period_us.to_string());
                self.cpu().write("cpu.cfs_period_us", &period)?;
                self.cpu().write("cpu.cfs_quota_us", &quota)
            }
        }
    }
}
