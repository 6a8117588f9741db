//! One worker's directories and the part that each plays.

use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::directory::{Directory, FileError};
use super::layout::Kind;
use super::limits::{Applied, LimitError};
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
        }
    }

    fn last(&self) -> usize {
        self.memory
            .max(self.pids)
            .max(self.cpu)
            .max(self.accounting)
            .max(self.tracking)
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
}
