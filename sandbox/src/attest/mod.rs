//! Reads a worker's confinement back from outside, through procfs and its pidfd.
//!
//! Nothing the worker says is used. All reads go through one open `/proc/PID`
//! directory, and count only if the pidfd is still alive after them.

mod fds;
mod namespaces;
mod threads;

use std::collections::BTreeSet;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use procfs::process::Process;

use crate::cgroup::LimitError;
use crate::mounts::{Mounted, Planned, listed};
use crate::plan::Ids;
use crate::policy::{Capability, Net};
use crate::report::{Control, Report};
use crate::rlimits::Rlimits;
use crate::weaken::{Weakened, off};

/// What a worker must look like.
#[derive(Debug, Clone)]
pub struct Expected {
    /// Its ids on the host.
    pub ids: Ids,
    /// Seccomp filters that it has from its launcher, see [`inherited_filters`].
    pub filters_inherited: u32,
    /// Its resource limits.
    pub rlimits: Rlimits,
    /// What is mounted in its root.
    pub mounts: Planned,
    /// Whose network it is in.
    pub net: Net,
    /// The capabilities that it was granted.
    pub capabilities: BTreeSet<Capability>,
    /// Inode of its end of the IPC socket.
    pub ipc: u64,
    /// Inode of its stdout pipe.
    pub stdout: u64,
    /// Inode of its stderr pipe.
    pub stderr: u64,
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
        source: procfs::ProcError,
    },
    /// A limit of the cgroup isn't as it must be.
    #[error("Cgroup: {0}")]
    Cgroup(#[from] LimitError),
    /// A control isn't as it must be.
    #[error("{control:?}: {what} is {found}, must be {wanted}")]
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

/// Attests the worker behind `worker`, whose pid namespace `init` heads.
///
/// # Errors
/// [`AttestError::Mismatch`] names the first control that isn't as it must be.
pub fn attest(
    worker: BorrowedFd<'_>,
    init: BorrowedFd<'_>,
    expected: &Expected,
) -> Result<Report, AttestError> {
    let (process, inits) = (open(worker)?, open(init)?);
    let mut report = Report::default();
    namespaces::attest(&process, &inits, expected, &mut report)?;
    threads::attest(&process, expected, &mut report)?;
    fds::attest(&process, expected, &mut report)?;
    root(&process, expected, &mut report)?;
    rlimits(&process, expected, &mut report)?;
    undumpable(worker, &mut report)?;
    // A pid that was reused would have given another process's files until here.
    crate::sys::pidfd::pid(worker).map_err(gone)?;
    crate::sys::pidfd::pid(init).map_err(gone)?;
    report.findings.sort_by_key(|finding| finding.control);
    Ok(report)
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

fn open(pidfd: BorrowedFd<'_>) -> Result<Process, AttestError> {
    let pid = crate::sys::pidfd::pid(pidfd.as_fd()).map_err(gone)?;
    match Process::new(pid as i32) {
        Err(procfs::ProcError::NotFound(_)) => Err(AttestError::Gone),
        opened => read("/proc folder", opened),
    }
}

/// What asking a pidfd gave.
fn gone(error: std::io::Error) -> AttestError {
    match error.raw_os_error() {
        Some(libc::ESRCH) => AttestError::Gone,
        _ => AttestError::Read {
            what: "pidfd",
            source: error.into(),
        },
    }
}

fn read<T>(what: &'static str, result: procfs::ProcResult<T>) -> Result<T, AttestError> {
    result.map_err(|error| AttestError::Read {
        what,
        source: error,
    })
}

fn text(
    process: &Process,
    what: &'static str,
    path: impl AsRef<Path>,
) -> Result<String, AttestError> {
    let mut text = String::new();
    let mut file = read(what, process.open_relative(path))?;
    let result = file.read_to_string(&mut text);
    read(what, result.map_err(procfs::ProcError::from))?;
    Ok(text)
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

/// The mount table of its namespace, seen from its root.
fn root(worker: &Process, expected: &Expected, report: &mut Report) -> Result<(), AttestError> {
    if off(Weakened::Root) {
        return Ok(());
    }
    let found = listed(&text(worker, "mountinfo", "mountinfo")?);
    let count = found.len();
    if !expected.mounts.is(&found) {
        let (found, wanted) = (table(&found), table(expected.mounts.iter()));
        return Err(mismatch(Control::Root, "mount table", found, wanted));
    }
    report.enforced(Control::Root, format!("{count} mounts, as planned"));
    Ok(())
}

fn table<'a>(mounts: impl IntoIterator<Item = &'a Mounted>) -> String {
    let line = |mount: &Mounted| {
        let shared = if mount.private { "" } else { ",not private" };
        format!("{} {}{shared}", mount.point, mount.flags.join(","))
    };
    mounts.into_iter().map(line).collect::<Vec<_>>().join("; ")
}

fn rlimits(worker: &Process, expected: &Expected, report: &mut Report) -> Result<(), AttestError> {
    if off(Weakened::Rlimits) {
        return Ok(());
    }
    let limits = text(worker, "limits", "limits")?;
    if let Err(difference) = expected.rlimits.check(&limits) {
        let (what, wanted) = (difference.what, difference.wanted.to_string());
        return Err(mismatch(Control::Rlimits, what, difference.found, wanted));
    }
    let value = format!("{} fds, no core dump", expected.rlimits.nofile);
    report.enforced(Control::Rlimits, value);
    Ok(())
}

/// Asked of the kernel by pidfd. Who owns the files of `/proc/PID` doesn't tell it: those of
/// an undumpable process belong to id 0 of its user namespace, which is the worker's own id.
fn undumpable(worker: BorrowedFd<'_>, report: &mut Report) -> Result<(), AttestError> {
    if off(Weakened::Undumpable) {
        return Ok(());
    }
    let told = crate::sys::pidfd::undumpable(worker).map_err(gone)?;
    let value = match told {
        Some(true) => "set",
        Some(false) => {
            let found = "dumpable".to_owned();
            return Err(mismatch(
                Control::Undumpable,
                "process",
                found,
                "undumpable",
            ));
        }
        None => {
            "set, as the worker read back before it loaded (others are told from Linux 6.16 on)"
        }
    };
    report.enforced(Control::Undumpable, value);
    Ok(())
}
