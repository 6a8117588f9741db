//! Putting a process into groups, and reading from outside which it is in.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::directory::{Directory, FileError};
use super::layout::Mount;

/// Why a process is not known to be in its groups.
#[derive(Debug, thiserror::Error)]
pub enum MemberError {
    /// It ended meanwhile.
    #[error("process {0} has ended before it was in its cgroups")]
    Gone(i32),
    /// Its membership can't be read.
    #[error("cannot read /proc/{pid}/cgroup: {source}")]
    Unreadable {
        /// The process.
        pid: i32,
        /// Why not.
        source: io::Error,
    },
    /// It can't be moved.
    #[error("cannot move process {pid} into its cgroup: {source}")]
    Refused {
        /// The process.
        pid: i32,
        /// The file that was written.
        source: FileError,
    },
    /// It isn't among the processes of a group.
    #[error("process {pid} is not in its cgroup {}", group.display())]
    Missing {
        /// The process.
        pid: u32,
        /// The group.
        group: PathBuf,
    },
    /// The processes of a group can't be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// It is in another group.
    #[error("process {pid} is in cgroup {found:?} where it should be in {wanted:?}")]
    Elsewhere {
        /// The process.
        pid: i32,
        /// The group's name in its hierarchy.
        wanted: PathBuf,
        /// The name read; empty if the hierarchy isn't listed.
        found: PathBuf,
    },
}

/// The text of `/proc/PID/cgroup`.
#[derive(Debug)]
pub(super) struct Membership {
    pid: i32,
    text: String,
}

impl Membership {
    pub(super) fn of(pid: Pid) -> Result<Self, MemberError> {
        let pid = pid.as_raw_nonzero().get();
        match std::fs::read_to_string(format!("/proc/{pid}/cgroup")) {
            Ok(text) => Ok(Self { pid, text }),
            // ESRCH: it was reaped between open and read.
            Err(error)
                if error.kind() == io::ErrorKind::NotFound
                    || error.raw_os_error() == Some(Errno::SRCH.raw_os_error()) =>
            {
                Err(MemberError::Gone(pid))
            }
            Err(source) => Err(MemberError::Unreadable { pid, source }),
        }
    }

    /// Fails unless the process is in exactly this group of this hierarchy.
    pub(super) fn verify(&self, mount: &Mount, group: &Directory) -> Result<(), MemberError> {
        let wanted = mount.group_name(group.path());
        let found = self.group(mount).unwrap_or(Path::new(""));
        match found == wanted {
            true => Ok(()),
            false => Err(MemberError::Elsewhere {
                pid: self.pid,
                wanted,
                found: found.to_owned(),
            }),
        }
    }

    /// The group that it is in, in this hierarchy.
    pub(super) fn group(&self, mount: &Mount) -> Option<&Path> {
        // hierarchy-id:controllers:path, for v2 0::path; the path may hold colons.
        let mut lines = self.text.lines().filter_map(|line| {
            let (_, rest) = line.split_once(':')?;
            rest.split_once(':')
        });
        let name = mount.controller.map_or("", |controller| controller.name());
        lines
            .find(|(controllers, _)| controllers.split(',').any(|one| one == name))
            .map(|(_, path)| Path::new(path))
    }
}

/// Fails unless the process is one of the group's, as the group itself lists them: whichever
/// path leads to it.
pub(super) fn listed(group: &Directory, pid: u32) -> Result<(), MemberError> {
    let members = group.read("cgroup.procs")?;
    match members.lines().any(|member| member.parse() == Ok(pid)) {
        true => Ok(()),
        false => Err(MemberError::Missing {
            pid,
            group: group.path().to_owned(),
        }),
    }
}

/// The processes of a group, each by its pidfd. One that ends meanwhile may be missing, and
/// none is here that isn't a member: a pid that is listed after its pidfd was opened is that
/// process's for as long as it lives, which what is read by the pid has to be followed by
/// asking.
pub(super) fn processes(group: &Directory) -> Result<Vec<(u32, OwnedFd)>, FileError> {
    let list = || -> Result<Vec<u32>, FileError> {
        let text = group.read("cgroup.procs")?;
        Ok(text.lines().filter_map(|line| line.parse().ok()).collect())
    };
    let open = |pid: u32| {
        let number = Pid::from_raw(i32::try_from(pid).ok()?)?;
        Some((pid, pidfd_open(number, PidfdFlags::empty()).ok()?))
    };
    let opened: Vec<_> = list()?.into_iter().filter_map(open).collect();
    let members = list()?;
    let is_member = |(pid, _): &(u32, OwnedFd)| members.contains(pid);
    Ok(opened.into_iter().filter(is_member).collect())
}

/// Moves a process into a group.
pub(super) fn enter(group: &Directory, pid: Pid) -> Result<(), MemberError> {
    let pid = pid.as_raw_nonzero().get();
    group
        .write("cgroup.procs", &pid.to_string())
        .map_err(|source| match source.errno {
            Errno::SRCH => MemberError::Gone(pid),
            _ => MemberError::Refused { pid, source },
        })
}
