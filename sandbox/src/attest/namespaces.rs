//! A worker's namespaces, by their inodes.

use procfs::process::Process;

use super::{AttestError, mismatch, read};
use crate::report::{Control, Report};
use crate::weaken::{Weakened, off};

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
pub(super) fn attest(
    worker: &Process,
    init: &Process,
    report: &mut Report,
) -> Result<(), AttestError> {
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
    let differ = |name: &str, wanted: &str| {
        let found = inode(&theirs, name).to_string();
        mismatch(
            Control::Namespaces,
            format!("{name} namespace"),
            found,
            wanted,
        )
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
