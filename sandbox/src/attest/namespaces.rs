//! A worker's namespaces, by their inodes.

use procfs::process::Process;

use super::{AttestError, Expected, mismatch, read};
use crate::policy::Net;
use crate::report::{Control, Enforcement, Report};
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

/// All must differ from ours, but for a network that is the host's by grant; all must be
/// init's, but for the user namespace, which is nested unless a capability was granted.
pub(super) fn attest(
    worker: &Process,
    init: &Process,
    expected: &Expected,
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
        let same = inode(&theirs, name) == inode(&ours, name);
        let hosts = name == "net" && expected.net == Net::Host;
        if inode(&theirs, name) == 0 || same != hosts {
            return Err(differ(
                name,
                if hosts {
                    "the host's"
                } else {
                    "one of its own"
                },
            ));
        }
        if inode(&theirs, name) != inode(&inits, name) {
            return Err(differ(name, "init's"));
        }
    }
    if !off(Weakened::Ids) {
        let user = inode(&theirs, "user");
        let nested = user != inode(&inits, "user");
        if user == 0 || user == inode(&ours, "user") || nested != expected.capabilities.is_empty() {
            let wanted = match expected.capabilities.is_empty() {
                true => "one nested in init's",
                false => "init's",
            };
            return Err(differ("user", wanted));
        }
    }
    find(expected, report);
    Ok(())
}

fn find(expected: &Expected, report: &mut Report) {
    match expected.net {
        Net::Isolated => {
            report.enforced(Control::Namespaces, "user, mnt, pid, net, ipc, uts, cgroup")
        }
        Net::Host => report.add(
            Control::Namespaces,
            Enforcement::Degraded,
            true,
            "user, mnt, pid, ipc, uts, cgroup; the network is the host's, by grant",
        ),
    }
    if let Some(capability) = expected.capabilities.first() {
        let value = format!(
            "absent by grant: {capability} over its network is held in init's user namespace, \
             which has no slot for another"
        );
        report.add(Control::Nesting, Enforcement::Absent, true, value);
    }
}
