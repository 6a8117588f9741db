//! One worker's groups.

use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::sync::Arc;

use rustix::io::Errno;
use rustix::process::Pid;

use super::counters::{Counters, Events, ReadError, Usage};
use super::directory::{Directory, FileError};
use super::groups::{Directories, Groups};
use super::layout::{Kind, Layout};
use super::limits::{Applied, LimitError, Limits};
use super::membership::{MemberError, Membership, enter};
use super::parent::is_name;
use super::{v1, v2};

/// One worker's group in every hierarchy of the layout, its limits in force.
///
/// Dropping it tries once to remove it; it kills nothing.
#[derive(Debug)]
pub struct Leaf {
    layout: Arc<Layout>,
    groups: Groups,
    applied: Applied,
    made: Made,
}

/// Why a worker's groups can't be made.
#[derive(Debug, thiserror::Error)]
pub enum LeafError {
    /// Not a name for a group.
    #[error(
        "{0:?} is no name for a cgroup: 1 to 64 of letters, digits, '-', '_' and '.', not '.' first"
    )]
    Name(String),
    /// Another worker has it.
    #[error("the cgroup {} exists already", .0.display())]
    Exists(PathBuf),
    /// A limit is not known to hold.
    #[error(transparent)]
    Limit(#[from] LimitError),
    /// A step that the kernel refused.
    #[error(transparent)]
    File(#[from] FileError),
}

/// Why processes may still run.
#[derive(Debug, thiserror::Error)]
pub enum KillError {
    /// A control file can't be written or read.
    #[error(transparent)]
    File(#[from] FileError),
    /// v1: the group would not stand still.
    #[error("the processes of {} do not freeze; try again", .0.display())]
    NotFrozen(PathBuf),
    /// v1: a process of the group is outside this pid namespace.
    #[error("{} holds a process of another pid namespace, which can't be signalled here", .0.display())]
    Unnamed(PathBuf),
    /// v1: a process can't be signalled.
    #[error("cannot kill process {pid}: {errno}")]
    Signal {
        /// The process.
        pid: i32,
        /// Why not.
        errno: Errno,
    },
}

/// Why a group is still there.
#[derive(Debug, thiserror::Error)]
pub enum RemoveError {
    /// It still holds processes or groups; killed processes take a moment to go. Try again.
    #[error("the cgroup {} is still in use", .0.display())]
    Busy(PathBuf),
    /// A step that the kernel refused.
    #[error(transparent)]
    File(FileError),
}

impl Leaf {
    pub(super) fn create(
        layout: Arc<Layout>,
        parents: Vec<Arc<Directory>>,
        name: &str,
        limits: &Limits,
    ) -> Result<Self, LeafError> {
        if !is_name(name) {
            return Err(LeafError::Name(name.to_owned()));
        }
        let mut made = Made {
            name: name.to_owned(),
            parents: Vec::with_capacity(parents.len()),
        };
        let mut directories = Vec::with_capacity(parents.len());
        for parent in parents.into_iter().take(layout.used_for(limits)) {
            parent.make(name).map_err(|error| match error.errno {
                Errno::EXIST => LeafError::Exists(error.path),
                _ => error.into(),
            })?;
            made.parents.push(Arc::clone(&parent));
            directories.push(parent.descend(name)?);
        }
        let mut parts = layout.parts;
        parts.io = parts.io.filter(|io| *io < directories.len());
        let groups = Groups::new(parts, directories);
        match layout.kind() {
            Kind::V2 => v2::write(&groups, limits)?,
            Kind::Hybrid | Kind::V1 => v1::write(&groups, limits)?,
        }
        let applied = groups.read_limits()?;
        applied.verify(limits)?;
        Ok(Self {
            layout,
            groups,
            applied,
            made,
        })
    }

    /// The limits as read back when they were set.
    #[must_use]
    pub fn applied(&self) -> &Applied {
        &self.applied
    }

    /// The unified group's directory for `CLONE_INTO_CGROUP`; `None` on v1 alone.
    #[must_use]
    pub fn clone_into(&self) -> Option<BorrowedFd<'_>> {
        (self.groups.kind() != Kind::V1).then(|| self.groups.tracking().fd())
    }

    /// Moves a process into every group that it isn't in yet and reads all of them back.
    /// On v2 after `CLONE_INTO_CGROUP` nothing is left to write.
    ///
    /// `pid` must be a child that the caller hasn't reaped, so that no other process can
    /// get that number meanwhile, and must not have forked yet: children stay behind.
    ///
    /// # Errors
    /// Where it couldn't be moved, or in which other group it is.
    pub fn attach(&self, pid: Pid) -> Result<(), MemberError> {
        let before = Membership::of(pid)?;
        // Each move waits for all forks and exits on the host, so none is made in vain.
        for (mount, group) in self.layout.mounts.iter().zip(self.groups.directories()) {
            if before.verify(mount, group).is_err() {
                enter(group, pid)?;
            }
        }
        self.verify_member(pid)
    }

    /// Reads from `/proc/PID/cgroup` that a process is in every group. Only valid if its
    /// pidfd is still alive afterwards.
    ///
    /// # Errors
    /// In which other group it is.
    pub fn verify_member(&self, pid: Pid) -> Result<(), MemberError> {
        let membership = Membership::of(pid)?;
        let mut groups = self.layout.mounts.iter().zip(self.groups.directories());
        groups.try_for_each(|(mount, group)| membership.verify(mount, group))
    }

    /// Sends SIGKILL to every process, frozen ones included; they end a moment later.
    ///
    /// # Errors
    /// Why processes may have been missed.
    pub fn kill(&self) -> Result<(), KillError> {
        match self.groups.kind() {
            Kind::V1 => v1::kill(self.groups.tracking()),
            Kind::V2 | Kind::Hybrid => Ok(self.groups.tracking().write("cgroup.kill", "1")?),
        }
    }

    /// Starts to freeze every process; [`frozen`](Self::frozen) tells when all stand still.
    ///
    /// # Errors
    /// What the kernel refused.
    pub fn freeze(&self) -> Result<(), FileError> {
        self.groups.freeze(true)
    }

    /// Lets frozen processes run on.
    ///
    /// # Errors
    /// What the kernel refused.
    pub fn thaw(&self) -> Result<(), FileError> {
        self.groups.freeze(false)
    }

    /// Whether all processes stand still.
    ///
    /// # Errors
    /// What can't be read.
    pub fn frozen(&self) -> Result<bool, FileError> {
        self.groups.frozen()
    }

    /// Whether any process is left that hasn't ended.
    ///
    /// # Errors
    /// What can't be read.
    pub fn populated(&self) -> Result<bool, FileError> {
        match self.groups.kind() {
            Kind::V1 => Ok(!self.groups.tracking().read("cgroup.procs")?.is_empty()),
            Kind::V2 | Kind::Hybrid => self.groups.state("populated"),
        }
    }

    /// What happened to its limits so far.
    ///
    /// # Errors
    /// Which counter can't be read.
    pub fn events(&self) -> Result<Events, ReadError> {
        let events = Counters::open(&self.groups)?.events()?;
        Ok(events.with_peaks(&self.groups))
    }

    /// What it uses now.
    ///
    /// # Errors
    /// Which counter can't be read.
    pub fn usage(&self) -> Result<Usage, ReadError> {
        Counters::open(&self.groups)?.usage()
    }

    /// The directories to send to the process that watches this worker, see
    /// [`Probe::open`](super::Probe::open).
    #[must_use]
    pub fn directories(&self) -> Vec<BorrowedFd<'_>> {
        self.groups.fds()
    }

    /// What [`directories`](Self::directories) are.
    #[must_use]
    pub fn describe(&self) -> Directories {
        self.groups.describe()
    }

    /// Removes all its groups.
    ///
    /// # Errors
    /// [`RemoveError::Busy`] until all its processes have ended: try again.
    pub fn remove(&mut self) -> Result<(), RemoveError> {
        match self.populated() {
            Ok(true) => return Err(RemoveError::Busy(self.groups.tracking().path().to_owned())),
            Ok(false) => self.drop_page_cache(),
            // Removed in part by an earlier try; `made` knows what is left.
            Err(_) => {}
        }
        self.made.remove()
    }

    /// While page cache is charged to a removed group the kernel keeps it, "dying". What
    /// can't be reclaimed (EAGAIN) does no other harm.
    fn drop_page_cache(&self) {
        let memory = self.groups.memory();
        let dropped = match self.groups.kind() {
            Kind::V2 => memory
                .read("memory.current")
                .and_then(|bytes| memory.write("memory.reclaim", bytes.trim_ascii())),
            Kind::Hybrid | Kind::V1 => memory.write("memory.force_empty", "0"),
        };
        dropped.ok();
    }
}

/// The directories made so far; dropping it removes what can be removed.
#[derive(Debug)]
struct Made {
    name: String,
    parents: Vec<Arc<Directory>>,
}

impl Made {
    /// Forgets each directory once it is gone, so that a name used again isn't ours.
    fn remove(&mut self) -> Result<(), RemoveError> {
        while let Some(parent) = self.parents.last() {
            RemoveError::settle(parent.remove(&self.name))?;
            self.parents.pop();
        }
        Ok(())
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        self.remove().ok();
    }
}

impl RemoveError {
    /// A group that is gone already is as good as removed.
    pub(super) fn settle(removed: Result<(), FileError>) -> Result<(), Self> {
        match removed {
            Ok(()) => Ok(()),
            Err(error) => match error.errno {
                Errno::NOENT => Ok(()),
                Errno::BUSY | Errno::NOTEMPTY => Err(Self::Busy(error.path)),
                _ => Err(Self::File(error)),
            },
        }
    }
}
