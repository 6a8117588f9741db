//! What `/proc/PID/task/TID/status` tells of each thread.

use std::collections::BTreeSet;

use super::folder::Folder;
use super::namespaces::{self, Namespaces};
use super::speculation::Speculation;
use super::{AttestError, Expected, cores, field, mismatch};
use crate::capabilities;
use crate::plan::Ids;
use crate::policy::Capability;
use crate::report::{Control, Report};
use crate::weaken::{Weakened, off};

/// Checks every thread that lives, and gives the folder of one: that of the process shows
/// little once its main thread has ended, while the others run on.
pub(super) fn attest(
    worker: &Folder,
    namespaces: &Namespaces,
    expected: &Expected,
    report: &mut Report,
) -> Result<Folder, AttestError> {
    let mut count = 0;
    let mut living = None;
    let mut speculation = None;
    for tid in worker.numbers("task", "task")? {
        let checked = worker.below(&format!("task/{tid}")).and_then(|thread| {
            let status = thread.text("status")?;
            if ended(&status) {
                return Err(AttestError::Gone);
            }
            self::thread(&status, expected)?;
            let speculates = Speculation::read(&status)?;
            namespaces.attest(&thread, &status, &expected.plan)?;
            cores::attest(tid, expected.measured.cores, report)?;
            Ok((thread, speculates))
        });
        match checked {
            Ok((thread, speculates)) => {
                count += 1;
                living.get_or_insert(thread);
                speculation.get_or_insert(speculates);
            }
            // It ended meanwhile, and runs no more code.
            Err(AttestError::Gone) => {}
            Err(error) => return Err(error),
        }
    }
    let (Some(living), Some(speculation)) = (living, speculation) else {
        return Err(AttestError::Gone);
    };
    namespaces::find(&expected.plan, report);
    report.enforced(Control::Ids, ids(expected.plan.ids));
    report.enforced(Control::Capabilities, sets(&expected.plan.capabilities));
    report.enforced(Control::NoNewPrivs, format!("set, {count} thread(s)"));
    report.enforced(Control::Seccomp, filters(expected.filters_inherited));
    speculation.find(report);
    Ok(living)
}

/// Fails if a thread has ended.
pub(super) fn still_lives(thread: &Folder) -> Result<(), AttestError> {
    match ended(&thread.text("status")?) {
        true => Err(AttestError::Gone),
        false => Ok(()),
    }
}

/// Whether a thread is a zombie, or past that.
fn ended(status: &str) -> bool {
    field(status, "State").is_some_and(|state| state.starts_with(['Z', 'X']))
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
        let granted = capabilities::mask(&expected.plan.capabilities);
        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            must(Control::Capabilities, set, &granted)?;
        }
    }
    if !off(Weakened::Ids) {
        let (uid, gid) = match expected.plan.ids {
            Ids::Mapped(id) => (id, id),
            Ids::Own => (
                rustix::process::geteuid().as_raw(),
                rustix::process::getegid().as_raw(),
            ),
        };
        must(Control::Ids, "Uid", &four(uid))?;
        must(Control::Ids, "Gid", &four(gid))?;
        if let Ids::Mapped(_) = expected.plan.ids {
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

    const STATUS: &str = "Name:\tx\nState:\tS (sleeping)\nUid:\t7\t7\t7\t7\nGid:\t7\t7\t7\t7\n\
        Groups:\t \nCapInh:\t0000000000000000\nCapPrm:\t0000000000000000\n\
        CapEff:\t0000000000000000\nCapBnd:\t0000000000000000\nCapAmb:\t0000000000000000\n\
        NoNewPrivs:\t1\nSeccomp:\t2\nSeccomp_filters:\t1\n";

    fn expected() -> Expected {
        let mut expected = super::super::tests::expected();
        expected.plan.ids = Ids::Mapped(7);
        expected
    }

    #[test]
    fn confined_thread_passes() {
        thread(STATUS, &expected()).unwrap();
    }

    #[test]
    fn thread_that_has_ended_is_told_from_one_that_lives() {
        assert!(!ended(STATUS));
        for state in ["Z (zombie)", "X (dead)"] {
            assert!(ended(&STATUS.replace("S (sleeping)", state)));
        }
    }

    #[test]
    fn each_set_holds_what_was_granted_and_no_more() {
        let mut granted = expected();
        granted.plan.capabilities = [Capability::NetBindService].into();
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
