//! Reads a worker's confinement back from outside, through procfs and its pidfd.
//!
//! Nothing the worker says is used. All reads go through one open `/proc/PID`
//! directory, and count only if the pidfd is still alive after them.

use std::collections::BTreeSet;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd};

use procfs::process::{FDTarget, Process};

use crate::plan::Ids;
use crate::report::{Control, Report};
use crate::weaken::{Weakened, off};

/// What a worker must look like.
#[derive(Debug, Clone)]
pub struct Expected {
    /// Its ids on the host.
    pub ids: Ids,
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
    let process = open(worker)?;
    let mut report = Report::default();
    namespaces(&process, &open(init)?, &mut report)?;
    threads(&process, expected, &mut report)?;
    open_files(&process, expected, &mut report)?;
    // A pid that was reused would have given another process's files until here.
    crate::sys::pidfd::pid(worker).map_err(|_| AttestError::Gone)?;
    crate::sys::pidfd::pid(init).map_err(|_| AttestError::Gone)?;
    report.findings.sort_by_key(|finding| finding.control);
    Ok(report)
}

fn open(pidfd: BorrowedFd<'_>) -> Result<Process, AttestError> {
    let pid = crate::sys::pidfd::pid(pidfd.as_fd()).map_err(|_| AttestError::Gone)?;
    let process = Process::new(pid as i32).map_err(|_| AttestError::Gone)?;
    Ok(process)
}

fn read<T>(what: &'static str, result: procfs::ProcResult<T>) -> Result<T, AttestError> {
    result.map_err(|error| AttestError::Read {
        what,
        source: error,
    })
}

/// Namespaces that every worker has for itself, by their names in `/proc/PID/ns`.
const NAMESPACES: [(&str, Option<Weakened>); 6] = [
    ("mnt", None),
    ("pid", Some(Weakened::Pid)),
    ("net", Some(Weakened::Net)),
    ("ipc", None),
    ("uts", None),
    ("cgroup", None),
];

/// All must differ from ours; all but the user namespace, which is nested, are init's.
fn namespaces(worker: &Process, init: &Process, report: &mut Report) -> Result<(), AttestError> {
    let ours = read(
        "ns",
        Process::myself().and_then(|process| process.namespaces()),
    )?;
    let inits = read("ns of init", init.namespaces())?;
    let theirs = read("ns", worker.namespaces())?;
    let inode = |set: &procfs::process::Namespaces, name: &str| {
        set.0
            .get(std::ffi::OsStr::new(name))
            .map_or(0, |namespace| namespace.identifier)
    };
    let differ = |name: &str, wanted: &str| AttestError::Mismatch {
        control: Control::Namespaces,
        what: format!("{name} namespace"),
        found: inode(&theirs, name).to_string(),
        wanted: wanted.to_owned(),
    };
    for (name, control) in NAMESPACES {
        if control.is_some_and(off) {
            continue;
        }
        if inode(&theirs, name) == 0 || inode(&theirs, name) == inode(&ours, name) {
            return Err(differ(name, "one of its own"));
        }
        if inode(&theirs, name) != inode(&inits, name) {
            return Err(differ(name, "init's"));
        }
    }
    if !off(Weakened::Ids) {
        let user = inode(&theirs, "user");
        if user == 0 || user == inode(&ours, "user") || user == inode(&inits, "user") {
            return Err(differ("user", "one nested in init's"));
        }
    }
    report.enforced(
        Control::Namespaces,
        "user (nested), mnt, pid, net, ipc, uts, cgroup",
    );
    Ok(())
}

fn threads(worker: &Process, expected: &Expected, report: &mut Report) -> Result<(), AttestError> {
    let mut count = 0;
    for task in read("task", worker.tasks())? {
        let task = read("task", task)?;
        let path = format!("task/{}/status", task.tid);
        let mut text = String::new();
        let mut file = read("status", worker.open_relative(&path))?;
        read(
            "status",
            file.read_to_string(&mut text)
                .map_err(procfs::ProcError::from),
        )?;
        thread(&text, expected)?;
        count += 1;
    }
    report.enforced(Control::Ids, format!("{:?}", expected.ids));
    report.enforced(Control::Capabilities, "five empty sets");
    report.enforced(Control::NoNewPrivs, format!("set, {count} thread(s)"));
    report.enforced(Control::Seccomp, "filter mode, 1 filter, listener outside");
    Ok(())
}

/// Checks one thread's `status`, see proc_pid_status(5).
fn thread(status: &str, expected: &Expected) -> Result<(), AttestError> {
    let must = |control, field: &str, wanted: &str| {
        let found = field_of(status, field);
        if found == wanted {
            return Ok(());
        }
        let (what, wanted) = (field.to_owned(), wanted.to_owned());
        Err(AttestError::Mismatch {
            control,
            what,
            found,
            wanted,
        })
    };
    if !off(Weakened::NoNewPrivs) {
        must(Control::NoNewPrivs, "NoNewPrivs", "1")?;
    }
    if !off(Weakened::Seccomp) {
        must(Control::Seccomp, "Seccomp", "2")?;
        must(Control::Seccomp, "Seccomp_filters", "1")?;
    }
    if !off(Weakened::Capabilities) {
        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            must(Control::Capabilities, set, "0000000000000000")?;
        }
    }
    if !off(Weakened::Ids) {
        let (uid, gid) = match expected.ids {
            Ids::Mapped(id) => (id, id),
            Ids::Own => (
                rustix::process::geteuid().as_raw(),
                rustix::process::getegid().as_raw(),
            ),
        };
        must(Control::Ids, "Uid", &four(uid))?;
        must(Control::Ids, "Gid", &four(gid))?;
        if let Ids::Mapped(_) = expected.ids {
            must(Control::Ids, "Groups", "")?;
        }
    }
    Ok(())
}

/// Real, effective, saved and file system id as `status` prints them.
fn four(id: u32) -> String {
    format!("{id}\t{id}\t{id}\t{id}")
}

fn field_of(status: &str, field: &str) -> String {
    let value = |line: &str| {
        line.strip_prefix(field)
            .and_then(|rest| rest.strip_prefix(':'))
            .map(str::trim)
            .map(str::to_owned)
    };
    status
        .lines()
        .find_map(value)
        .unwrap_or_else(|| "missing".to_owned())
}

fn open_files(
    worker: &Process,
    expected: &Expected,
    report: &mut Report,
) -> Result<(), AttestError> {
    let mut found = BTreeSet::new();
    for file in read("fd", worker.fd())? {
        let file = read("fd", file)?;
        let target = match file.target {
            FDTarget::Pipe(inode) => format!("pipe:{inode}"),
            FDTarget::Socket(inode) => format!("socket:{inode}"),
            FDTarget::Path(path) => path.to_string_lossy().into_owned(),
            other => format!("{other:?}"),
        };
        found.insert(format!("{} {target}", file.fd));
    }
    let wanted = BTreeSet::from([
        "0 /dev/null".to_owned(),
        format!("1 pipe:{}", expected.stdout),
        format!("2 pipe:{}", expected.stderr),
        format!("3 socket:{}", expected.ipc),
    ]);
    if found != wanted {
        return Err(AttestError::Mismatch {
            control: Control::Fds,
            what: "list of open fds".into(),
            found: format!("{found:?}"),
            wanted: format!("{wanted:?}"),
        });
    }
    report.enforced(Control::Fds, "stdin (/dev/null), stdout, stderr, ipc");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "Name:\tx\nUid:\t7\t7\t7\t7\nGid:\t7\t7\t7\t7\nGroups:\t \n\
        CapInh:\t0000000000000000\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\n\
        CapBnd:\t0000000000000000\nCapAmb:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n\
        Seccomp_filters:\t1\n";

    fn expected() -> Expected {
        Expected {
            ids: Ids::Mapped(7),
            ipc: 1,
            stdout: 2,
            stderr: 3,
        }
    }

    #[test]
    fn confined_thread_passes() {
        thread(STATUS, &expected()).unwrap();
    }

    #[test]
    fn each_value_that_differs_is_named() {
        let differences = [
            ("NoNewPrivs:\t1", "NoNewPrivs:\t0"),
            ("Seccomp:\t2", "Seccomp:\t0"),
            ("Seccomp_filters:\t1", "Seccomp_filters:\t2"),
            ("CapBnd:\t0000000000000000", "CapBnd:\t0000000000000400"),
            ("CapAmb:\t0000000000000000", ""),
            ("Uid:\t7\t7\t7\t7", "Uid:\t7\t0\t7\t7"),
            ("Groups:\t ", "Groups:\t0 "),
        ];
        for (from, to) in differences {
            let error = thread(&STATUS.replace(from, to), &expected()).unwrap_err();
            let name = from.split(':').next().unwrap();
            assert!(error.to_string().contains(name), "{error}");
        }
    }
}
