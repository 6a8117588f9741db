//! Reads a worker's confinement back from outside: through procfs, its pidfd and its groups.
//!
//! Nothing is believed that a worker says once plugin code is in it. What no kernel shows to
//! others the worker [measures](Measured) while it is still trusted, and can't undo. All
//! reads go through open folders of procfs, and count only if the pidfd is still alive after
//! them.

mod bounds;
mod cores;
mod fds;
mod folder;
mod measured;
mod namespaces;
mod speculation;
mod threads;

use std::collections::BTreeSet;
use std::io;
use std::os::fd::BorrowedFd;

pub use fds::Openable;
pub use measured::{MAX_MEASURED, Measured};

use folder::{Folder, alive};
use namespaces::{Inodes, Namespaces};

use crate::cgroup::{Applied, LimitError, MemberError, Probe};
use crate::mounts::{Mounted, Planned, listed, mount_ids};
use crate::plan::Plan;
use crate::report::{Control, Report};
use crate::weaken::{Weakened, off};

/// A worker, by all that outlives a pid.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// Pidfd of the worker.
    pub worker: BorrowedFd<'a>,
    /// Pidfd of init, which heads its pid namespace.
    pub init: BorrowedFd<'a>,
    /// Its groups, where it has any.
    pub groups: Option<&'a Probe>,
}

/// What a worker must look like.
#[derive(Debug, Clone)]
pub struct Expected {
    /// What was to be built.
    pub plan: Plan,
    /// Seccomp filters that it has from its launcher, see [`inherited_filters`].
    pub filters_inherited: u32,
    /// What was handed over to it.
    pub channels: Channels,
    /// Limits of its groups, as the launcher read them back when it had set them.
    pub applied: Option<Applied>,
    /// Why it has no groups, where it has none.
    pub without_cgroup: Option<String>,
    /// What it measured of itself.
    pub measured: Measured,
    /// What its profile lets a plugin open.
    pub openable: Openable,
}

/// Inodes of the worker's ends.
#[derive(Debug, Clone, Copy)]
pub struct Channels {
    /// The IPC socket.
    pub ipc: u64,
    /// The stdout pipe.
    pub stdout: u64,
    /// The stderr pipe.
    pub stderr: u64,
}

/// Namespaces and groups that a worker was attested in. Init is in them too, so that as long as
/// it lives no others can have their inodes and paths.
#[derive(Debug, Clone)]
pub struct Baseline {
    namespaces: Namespaces,
    inodes: Inodes,
    /// As a thread's `cgroup` lists them.
    groups: String,
}

/// What was found to differ, or why nothing could be found.
#[derive(Debug, thiserror::Error)]
pub enum AttestError {
    /// The process is gone.
    #[error("the worker ended while it was being attested")]
    Gone,
    /// Something couldn't be read.
    #[error("can't read {what} of the worker: {source}")]
    Read {
        /// Which file or link.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
    /// A limit of the cgroup isn't as it must be.
    #[error("cgroup: {0}")]
    Limit(#[from] LimitError),
    /// It isn't in its cgroups.
    #[error("cgroup: {0}")]
    Member(#[from] MemberError),
    /// A control isn't as it must be.
    #[error("{control}: {what} is {found}, must be {wanted}")]
    Mismatch {
        /// Which control.
        control: Control,
        /// Which value.
        what: String,
        /// As read.
        found: String,
        /// As it must be.
        wanted: String,
    },
}

impl AttestError {
    /// Whether nothing is known of the worker, for want of fds or memory of our own.
    #[must_use]
    pub fn is_shortage(&self) -> bool {
        let AttestError::Read { source, .. } = self else {
            return false;
        };
        let short = [libc::EMFILE, libc::ENFILE, libc::ENOMEM];
        source
            .raw_os_error()
            .is_some_and(|errno| short.contains(&errno))
    }
}

/// How often a worker is looked at again whose thread ended under our eyes.
const ATTEMPTS: usize = 3;

/// Attests a worker that is locked down and waits, and tells what it must be in from then on.
///
/// # Errors
/// As [`attest_again`].
pub fn attest_ready(
    subject: Subject<'_>,
    expected: &Expected,
) -> Result<(Report, Baseline), AttestError> {
    repeated(subject.worker, || {
        let (init_pid, init) = Folder::of(subject.init)?;
        let namespaces = Namespaces::of(init_pid, &init)?;
        let (report, thread) = attempt(subject, expected, &namespaces, None)?;
        let baseline = Baseline {
            namespaces,
            inodes: Inodes::of(&thread)?,
            groups: thread.text("cgroup")?,
        };
        Ok((report, baseline))
    })
}

/// Attests a worker in which plugin code runs: threads come and go, and so do fds of its own.
///
/// # Errors
/// [`AttestError::Mismatch`] names the first control that isn't as it must be.
/// [`AttestError::Gone`] too where the process is there, and no thread of it stayed for long
/// enough.
pub fn attest_again(
    subject: Subject<'_>,
    expected: &Expected,
    baseline: &Baseline,
) -> Result<Report, AttestError> {
    repeated(subject.worker, || {
        let found = attempt(subject, expected, &baseline.namespaces, Some(baseline));
        found.map(|(report, _)| report)
    })
}

fn repeated<T>(
    worker: BorrowedFd<'_>,
    mut attempt: impl FnMut() -> Result<T, AttestError>,
) -> Result<T, AttestError> {
    let mut attempts = 0;
    loop {
        attempts += 1;
        let result = attempt();
        if result.is_err() {
            // Little of a process that ends is as it must be.
            alive(worker)?;
        }
        match result {
            Err(AttestError::Gone) if attempts < ATTEMPTS => {}
            result => return result,
        }
    }
}

/// Once; without a baseline no plugin byte is there yet. The folder is that of a living thread.
fn attempt(
    subject: Subject<'_>,
    expected: &Expected,
    namespaces: &Namespaces,
    before: Option<&Baseline>,
) -> Result<(Report, Folder), AttestError> {
    let (pid, worker) = Folder::of(subject.worker)?;
    let mut report = Report::default();
    let inodes = before.map(|before| &before.inodes);
    let thread = threads::attest(&worker, (namespaces, inodes), expected, &mut report)?;
    Namespaces::nesting(&expected.plan, &mut report);
    let shared = shared(&thread, expected, before.is_some(), &mut report);
    threads::unless_ending(&thread, shared)?;
    rlimits(&worker, expected, &mut report)?;
    let unmoved = match before {
        Some(before) => thread.text("cgroup")? == before.groups,
        None => false,
    };
    bounds::attest(pid, subject.groups, unmoved, expected, &mut report)?;
    undumpable(subject.worker, &expected.measured, &mut report)?;
    measured::attest(&expected.measured, &expected.plan.lockdown, &mut report)?;
    alive(subject.worker)?;
    alive(subject.init)?;
    Ok((report, thread))
}

/// What its threads share, read through one of them.
fn shared(
    thread: &Folder,
    expected: &Expected,
    serving: bool,
    report: &mut Report,
) -> Result<(), AttestError> {
    let mounts = root(thread, expected, report)?;
    if !serving {
        return fds::handed_over(thread, &expected.channels, report);
    }
    fds::serving(thread, expected, &mounts, report)?;
    // What is given up already would seem to be in order.
    threads::still_lives(thread)
}

/// How many seccomp filters the process has that the worker descends from: those of a
/// container, or of systemd's SystemCallFilter=.
///
/// # Errors
/// What reading its status gives.
pub fn inherited_filters(pid: u32) -> std::io::Result<u32> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let count = field(&status, "Seccomp_filters").and_then(|count| count.parse().ok());
    count.ok_or_else(|| std::io::ErrorKind::InvalidData.into())
}

/// The value of a line of `status`, see proc_pid_status(5).
pub(crate) fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    let value = |line: &'a str| line.strip_prefix(name)?.strip_prefix(':').map(str::trim);
    status.lines().find_map(value)
}

fn mismatch(
    control: Control,
    what: impl Into<String>,
    found: String,
    wanted: impl Into<String>,
) -> AttestError {
    AttestError::Mismatch {
        control,
        what: what.into(),
        found,
        wanted: wanted.into(),
    }
}

/// The mount table of its namespace, seen from its root; the ids of the mounts.
fn root(
    thread: &Folder,
    expected: &Expected,
    report: &mut Report,
) -> Result<BTreeSet<u32>, AttestError> {
    let table = thread.text("mountinfo")?;
    let ids = mount_ids(&table).collect();
    if off(Weakened::Root) {
        return Ok(ids);
    }
    let found = listed(&table);
    let wanted = Planned::of(&expected.plan);
    let count = found.len();
    if !wanted.is(&found) {
        let (found, wanted) = (shown(&found), shown(wanted.iter()));
        return Err(mismatch(Control::Root, "mount table", found, wanted));
    }
    report.enforced(Control::Root, format!("{count} mounts, as planned"));
    Ok(ids)
}

fn shown<'a>(mounts: impl IntoIterator<Item = &'a Mounted>) -> String {
    let line = |mount: &Mounted| {
        let shared = if mount.private { "" } else { ",not private" };
        format!("{} {}{shared}", mount.point, mount.flags.join(","))
    };
    mounts.into_iter().map(line).collect::<Vec<_>>().join("; ")
}

fn rlimits(worker: &Folder, expected: &Expected, report: &mut Report) -> Result<(), AttestError> {
    if off(Weakened::Rlimits) {
        return Ok(());
    }
    let limits = worker.text("limits")?;
    let wanted = &expected.plan.lockdown.rlimits;
    if let Err(difference) = wanted.check(&limits) {
        let (what, wanted) = (difference.what, difference.wanted.to_string());
        return Err(mismatch(Control::Rlimits, what, difference.found, wanted));
    }
    let value = format!("{} fds, no core dump", wanted.nofile);
    report.enforced(Control::Rlimits, value);
    Ok(())
}

/// As the worker read it back while it was trusted and, where the kernel tells, by pidfd. Who
/// owns the files of `/proc/PID` doesn't tell it: those of an undumpable process belong to
/// id 0 of its user namespace, which is the worker's own id.
fn undumpable(
    worker: BorrowedFd<'_>,
    measured: &Measured,
    report: &mut Report,
) -> Result<(), AttestError> {
    if off(Weakened::Undumpable) {
        return Ok(());
    }
    let told = match crate::sys::pidfd::undumpable(worker) {
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => return Err(AttestError::Gone),
        Err(source) => {
            return Err(AttestError::Read {
                what: "pidfd",
                source,
            });
        }
        Ok(told) => told,
    };
    if !measured.undumpable || told == Some(false) {
        let found = "dumpable".to_owned();
        let wanted = "undumpable";
        return Err(mismatch(Control::Undumpable, "process", found, wanted));
    }
    let value = match told {
        Some(_) => "set",
        None => "set, as the worker read back; this kernel tells nobody else (Linux 6.16)",
    };
    report.enforced(Control::Undumpable, value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hardening::Taken;
    use crate::landlock::Restricted;

    pub(super) use crate::plan::tests::plan;

    /// What a worker of [`plan`] must look like.
    pub(super) fn expected() -> Expected {
        Expected {
            plan: plan(),
            filters_inherited: 0,
            channels: Channels {
                ipc: 1,
                stdout: 2,
                stderr: 3,
            },
            applied: None,
            without_cgroup: None,
            measured: Measured {
                landlock: Some(Restricted::NotBuilt),
                mdwe: Taken::Held,
                keyring: Taken::Held,
                cores: Taken::NotOffered,
                undumpable: true,
            },
            openable: Openable::default(),
        }
    }

    #[test]
    fn fields_are_found_by_their_whole_name() {
        let status = "Seccomp_filters:\t3\nSeccomp:\t2\n";
        assert_eq!(field(status, "Seccomp"), Some("2"));
        assert_eq!(field(status, "Seccomp_filters"), Some("3"));
        assert_eq!(field(status, "CapEff"), None);
    }
}
