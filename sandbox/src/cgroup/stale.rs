//! Groups of supervisors that are no more: of one that was killed together with its launcher,
//! nobody removed them.
//!
//! *Invariant*: a group is touched only if its name says whose it is, that process has ended, it
//! belongs to our own user, and nobody holds its lock. The lock, which a launcher takes with its
//! group and loses with its life, tells where pids don't: in other pid namespaces.

use std::os::fd::OwnedFd;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, geteuid, getpid, pidfd_open};

use super::delegation::Place;
use super::directory::Directory;
use super::layout::{Kind, Layout};
use super::membership::Membership;
use super::parent::SHARED;
use super::v1;

/// How long what was killed may take to be gone; else it is left for the next start.
const PATIENCE: Duration = Duration::from_secs(2);
/// The most groups looked at in one folder.
const MOST: usize = 4096;

/// The process that a supervisor's group is named after. Pids come again, but not with the same
/// start time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Owner {
    pid: Pid,
    /// Clock ticks since boot, field 22 of proc_pid_stat(5).
    start: u64,
}

/// A name for the `nth` group of this process, by which another one can tell whether it lives.
///
/// # Errors
/// Why its own start time can't be read.
pub fn own_name(nth: u64) -> Result<String, procfs::ProcError> {
    let pid = getpid();
    let start = start_time(pid)?;
    Ok(format!("{}-{start}-{nth}", pid.as_raw_nonzero()))
}

/// Removes, in every hierarchy of `place`, the groups of supervisors that have ended, and kills
/// what is left in them. Their names come back; what can't be removed stays.
pub fn remove_stale(layout: &Layout, place: &Place) -> Vec<String> {
    let Ok(own) = Membership::of(getpid()) else {
        return Vec::new();
    };
    // Where there is no such folder nobody has left anything.
    let shared: Vec<Option<Directory>> = layout
        .mounts
        .iter()
        .map(|mount| {
            let base = Directory::open(&place.directory(mount, &own).ok()?).ok()?;
            base.descend(SHARED).ok()
        })
        .collect();
    let mut names: Vec<String> = shared
        .iter()
        .flatten()
        .flat_map(|shared| shared.groups(MOST).unwrap_or_default())
        .filter(|name| Owner::of(name).is_some_and(Owner::has_ended))
        .collect();
    names.sort();
    names.dedup();
    names.retain(|name| {
        let groups = shared
            .iter()
            .map(|shared| shared.as_ref()?.descend(name).ok());
        let groups: Vec<Option<Directory>> = groups.collect();
        Stale::claim(&groups).is_some_and(|stale| stale.remove(layout, &shared, name))
    });
    names
}

impl Owner {
    /// `PID-START-NTH`, and nothing else.
    fn of(name: &str) -> Option<Self> {
        let mut parts = name.split('-').map(|part| {
            let digits = part.bytes().all(|byte| byte.is_ascii_digit());
            digits.then(|| part.parse::<u64>().ok()).flatten()
        });
        let (pid, start, _) = (parts.next()??, parts.next()??, parts.next()??);
        if parts.next().is_some() {
            return None;
        }
        let pid = Pid::from_raw(i32::try_from(pid).ok()?)?;
        Some(Self { pid, start })
    }

    /// Whether it is known to have ended: in doubt it lives.
    fn has_ended(self) -> bool {
        let pidfd = match pidfd_open(self.pid, PidfdFlags::empty()) {
            Ok(pidfd) => pidfd,
            // The others: it is the id of a thread now.
            Err(errno) => return matches!(errno, Errno::SRCH | Errno::INVAL | Errno::NOENT),
        };
        let mut ended = [PollFd::new(&pidfd, PollFlags::IN)];
        if poll(&mut ended, Some(&Timespec::default())) != Ok(0) {
            return true;
        }
        start_time(self.pid).is_ok_and(|start| start != self.start)
    }
}

fn start_time(pid: Pid) -> Result<u64, procfs::ProcError> {
    let process = procfs::process::Process::new(pid.as_raw_nonzero().get())?;
    Ok(process.stat()?.starttime)
}

/// The groups of one name that nobody holds any more, one for each hierarchy that has it.
struct Stale<'a> {
    groups: &'a [Option<Directory>],
    /// Held so that nobody else sets about them.
    _locks: Vec<OwnedFd>,
}

impl<'a> Stale<'a> {
    fn claim(groups: &'a [Option<Directory>]) -> Option<Self> {
        let locks = groups.iter().flatten().map(|group| {
            let ours = group.owner().is_ok_and(|owner| owner == geteuid());
            ours.then(|| group.lock().ok()).flatten()
        });
        let _locks = locks.collect::<Option<Vec<OwnedFd>>>()?;
        Some(Self { groups, _locks })
    }

    /// Kills what is left, and removes the groups; `false` if one is still there.
    fn remove(&self, layout: &Layout, shared: &[Option<Directory>], name: &str) -> bool {
        if let Some(group) = &self.groups[layout.parts.tracking] {
            kill(layout.kind(), group);
        }
        let end = Instant::now() + PATIENCE;
        let gone = |(group, shared): (&Option<Directory>, &Option<Directory>)| {
            let (Some(group), Some(shared)) = (group, shared) else {
                return true;
            };
            loop {
                for below in group.groups(MOST).unwrap_or_default() {
                    group.remove(&below).ok();
                }
                match shared.remove(name) {
                    Ok(()) => return true,
                    Err(error) if error.errno == Errno::NOENT => return true,
                    Err(_) if Instant::now() < end => sleep(Duration::from_millis(2)),
                    Err(_) => return false,
                }
            }
        };
        // All of them are tried.
        let left = self.groups.iter().zip(shared).filter(|pair| !gone(*pair));
        left.count() == 0
    }
}

/// Kills every process below a supervisor's group; what is missed keeps the group from being
/// removed.
fn kill(kind: Kind, group: &Directory) {
    match kind {
        Kind::V2 | Kind::Hybrid => {
            group.write("cgroup.kill", "1").ok();
        }
        Kind::V1 => {
            for leaf in group.groups(MOST).unwrap_or_default() {
                group.descend(leaf).map(|leaf| v1::kill(&leaf)).ok();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_tells_whose_it_is() {
        let own = Owner::of(&own_name(7).unwrap()).unwrap();
        assert_eq!(own.pid, getpid());
        assert!(!own.has_ended());
        for other in [
            "", "1-2", "1-2-3-4", "a-2-3", "-1-2-3", "1-+2-3", "0-1-2", "test-1-2",
        ] {
            assert_eq!(Owner::of(other), None, "{other}");
        }
    }

    #[test]
    fn same_pid_with_another_start_time_is_another_process() {
        let own = Owner::of(&own_name(0).unwrap()).unwrap();
        let before = Owner {
            start: own.start - 1,
            ..own
        };
        assert!(before.has_ended());
    }
}
