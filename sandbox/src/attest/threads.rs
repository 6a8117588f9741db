//! What `/proc/PID/task/TID/status` tells of each thread.

use std::collections::BTreeSet;

use procfs::process::Process;

use super::{AttestError, Expected, field, mismatch, read, text};
use crate::capabilities;
use crate::plan::Ids;
use crate::policy::Capability;
use crate::report::{Control, Report};
use crate::weaken::{Weakened, off};

/// Checks each thread of it.
pub(super) fn attest(
    worker: &Process,
    expected: &Expected,
    report: &mut Report,
) -> Result<(), AttestError> {
    let mut count = 0;
    for task in read("task", worker.tasks())? {
        let task = read("task", task)?;
        let path = format!("task/{}/status", task.tid);
        thread(&text(worker, "status", &path)?, expected)?;
        count += 1;
    }
    report.enforced(Control::Ids, ids(expected.ids));
    report.enforced(Control::Capabilities, sets(&expected.capabilities));
    report.enforced(Control::NoNewPrivs, format!("set, {count} thread(s)"));
    report.enforced(Control::Seccomp, filters(expected.filters_inherited));
    Ok(())
}

/// Checks one thread's `status`, see proc_pid_status(5).
fn thread(status: &str, expected: &Expected) -> Result<(), AttestError> {
    let must = |control, name: &str, wanted: &str| {
        let found = field(status, name).unwrap_or("missing").to_owned();
        if found == wanted {
            return Ok(());
        }
        Err(mismatch(control, name, found, wanted))
    };
    if !off(Weakened::NoNewPrivs) {
        must(Control::NoNewPrivs, "NoNewPrivs", "1")?;
    }
    if !off(Weakened::Seccomp) {
        must(Control::Seccomp, "Seccomp", "2")?;
        let filters = expected.filters_inherited + 1;
        must(Control::Seccomp, "Seccomp_filters", &filters.to_string())?;
    }
    if !off(Weakened::Capabilities) {
        let granted = capabilities::mask(&expected.capabilities);
        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            must(Control::Capabilities, set, &granted)?;
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

fn ids(ids: Ids) -> String {
    match ids {
        Ids::Mapped(id) => format!("{id}, which nobody else has"),
        Ids::Own => "the caller's own id, alone in its user namespaces".to_owned(),
    }
}

fn sets(granted: &BTreeSet<Capability>) -> String {
    if granted.is_empty() {
        return "five empty sets".to_owned();
    }
    let names: Vec<String> = granted.iter().map(Capability::to_string).collect();
    format!("{} in all five sets, by grant", names.join(", "))
}

fn filters(inherited: u32) -> String {
    match inherited {
        0 => "filter mode, 1 filter, listener outside".to_owned(),
        more => format!("filter mode, 1 filter above {more} of the host's, listener outside"),
    }
}

/// Real, effective, saved and file system id as `status` prints them.
fn four(id: u32) -> String {
    format!("{id}\t{id}\t{id}\t{id}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mounts::Planned;
    use crate::policy::Net;
    use crate::rlimits::Rlimits;

    const STATUS: &str = "Name:\tx\nUid:\t7\t7\t7\t7\nGid:\t7\t7\t7\t7\nGroups:\t \n\
        CapInh:\t0000000000000000\nCapPrm:\t0000000000000000\nCapEff:\t0000000000000000\n\
        CapBnd:\t0000000000000000\nCapAmb:\t0000000000000000\nNoNewPrivs:\t1\nSeccomp:\t2\n\
        Seccomp_filters:\t1\n";

    fn expected() -> Expected {
        Expected {
            ids: Ids::Mapped(7),
            filters_inherited: 0,
            rlimits: Rlimits {
                nofile: 40,
                fsize: 0,
                stack: 8 << 20,
                sigpending: 64,
                stand_in: None,
                memlock: 0,
                nice: 0,
                rtprio: 0,
            },
            mounts: Planned::default(),
            net: Net::Isolated,
            capabilities: BTreeSet::new(),
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
    fn each_set_holds_what_was_granted_and_no_more() {
        let granted = Expected {
            capabilities: [Capability::NetBindService].into(),
            ..expected()
        };
        let all = STATUS.replace("0000000000000000", "0000000000000400");
        thread(&all, &granted).unwrap();
        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            let line = format!("{set}:\t0000000000000400");
            for other in ["0000000000000000", "0000000000002400"] {
                let error = thread(&all.replace(&line, &format!("{set}:\t{other}")), &granted);
                assert!(error.unwrap_err().to_string().contains(set));
            }
        }
    }

    #[test]
    fn filters_of_the_host_add_to_the_one() {
        let below_docker = Expected {
            filters_inherited: 2,
            ..expected()
        };
        let status = STATUS.replace("filters:\t1", "filters:\t3");
        thread(&status, &below_docker).unwrap();
        let error = thread(STATUS, &below_docker).unwrap_err();
        assert!(error.to_string().contains("must be 3"), "{error}");
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
