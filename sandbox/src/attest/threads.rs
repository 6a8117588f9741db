//! What `/proc/PID/task/TID/status` tells of each thread.

use std::collections::BTreeSet;

use super::folder::Folder;
use super::namespaces::{self, Inodes, Namespaces};
use super::speculation::Speculation;
use super::{AttestError, Expected, cores, field, mismatch};
use crate::capabilities;
use crate::plan::Ids;
use crate::policy::Capability;
use crate::report::{Control, Enforcement, Report};
use crate::weaken::{Weakened, off};

/// Checks every thread that lives, and gives the folder of one: that of the process shows
/// little once its main thread has ended, while the others run on.
pub(super) fn attest(
    worker: &Folder,
    namespaces: (&Namespaces, Option<&Inodes>),
    expected: &Expected,
    report: &mut Report,
) -> Result<Folder, AttestError> {
    let mut count = 0;
    let mut living = None;
    let mut speculation = None;
    for tid in worker.numbers("task", "task")? {
        let checked = worker.below(&format!("task/{tid}")).and_then(|thread| {
            let checked = one(tid, &thread, namespaces, expected, report);
            unless_ending(&thread, checked).map(|speculates| (thread, speculates))
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

fn one(
    tid: u32,
    thread: &Folder,
    (namespaces, before): (&Namespaces, Option<&Inodes>),
    expected: &Expected,
    report: &mut Report,
) -> Result<Speculation, AttestError> {
    let status = thread.text("status")?;
    as_expected(&status, expected)?;
    let speculation = Speculation::read(&status)?;
    match before {
        Some(before) => namespaces.attest_again(thread, &status, &expected.plan, before)?,
        None => namespaces.attest(thread, &status, &expected.plan)?,
    }
    traced(&status, namespaces.init(), report)?;
    cores::attest(tid, expected.measured.cores, report)?;
    Ok(speculation)
}

/// What was found, unless the thread is on its way out: it runs no code of the plugin then, and
/// gives up one thing after another.
pub(super) fn unless_ending<T>(
    thread: &Folder,
    found: Result<T, AttestError>,
) -> Result<T, AttestError> {
    match found.is_err() && is_ending(&thread.text("stat")?) {
        true => Err(AttestError::Gone),
        false => found,
    }
}

/// Fails if a thread is on its way out.
pub(super) fn still_lives(thread: &Folder) -> Result<(), AttestError> {
    match is_ending(&thread.text("stat")?) {
        true => Err(AttestError::Gone),
        false => Ok(()),
    }
}

/// Whether the flags in a thread's `stat`, see proc_pid_stat(5), have `PF_EXITING`; a zombie
/// keeps it.
fn is_ending(stat: &str) -> bool {
    const PF_EXITING: u32 = 0x4;
    // The second field, its name, may hold anything.
    let fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields);
    let flags = fields
        .split(' ')
        .nth(6)
        .and_then(|flags| flags.parse().ok());
    flags.is_none_or(|flags: u32| flags & PF_EXITING != 0)
}

/// Checks one thread's `status`, see proc_pid_status(5).
fn as_expected(status: &str, expected: &Expected) -> Result<(), AttestError> {
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

/// Nobody but init may trace it, and it does unless the host lets nobody.
fn traced(status: &str, init: u32, report: &mut Report) -> Result<(), AttestError> {
    let found = field(status, "TracerPid").unwrap_or("missing");
    match found {
        "0" => {
            let why = "nobody may trace here (Yama, another security module, or a filter above us): crashes have no registers";
            report.add(Control::Tracing, Enforcement::Absent, false, why);
        }
        pid if pid == init.to_string() => {
            report.enforced(Control::Tracing, "every thread, by init");
        }
        other => {
            let other = format!("process {other}");
            return Err(mismatch(Control::Tracing, "tracer", other, "init"));
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

    const STATUS: &str = "Name:\tx\nUid:\t7\t7\t7\t7\nGid:\t7\t7\t7\t7\n\
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
        as_expected(STATUS, &expected()).unwrap();
    }

    #[test]
    fn thread_on_its_way_out_is_told_by_its_flags() {
        let stat = |flags| format!("7 (a) b) S 1 7 7 0 -1 {flags} 99 0\n");
        assert!(!is_ending(&stat(0x40_4040)));
        assert!(is_ending(&stat(0x40_4044)));
        assert!(is_ending("7 (cut"));
        let own = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
        assert!(!is_ending(&own), "{own}");
    }

    #[test]
    fn each_set_holds_what_was_granted_and_no_more() {
        let mut granted = expected();
        granted.plan.capabilities = [Capability::NetBindService].into();
        let all = STATUS.replace("0000000000000000", "0000000000000400");
        as_expected(&all, &granted).unwrap();
        for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
            let line = format!("{set}:\t0000000000000400");
            for other in ["0000000000000000", "0000000000002400"] {
                let error = as_expected(&all.replace(&line, &format!("{set}:\t{other}")), &granted);
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
        as_expected(&status, &below_docker).unwrap();
        let error = as_expected(STATUS, &below_docker).unwrap_err();
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
            let error = as_expected(&STATUS.replace(from, to), &expected()).unwrap_err();
            let name = from.split(':').next().unwrap();
            assert!(error.to_string().contains(name), "{error}");
        }
    }
}
