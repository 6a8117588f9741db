//! What bounds a worker's memory, tasks and CPU time: its groups, or what stands in for them.

use super::{AttestError, Expected, mismatch};
use crate::cgroup::{Applied, Limits, Probe};
use crate::plan::Bounds;
use crate::report::{Control, Enforcement, Report};
use crate::weaken::{Weakened, off};

pub(super) fn attest(
    pid: u32,
    groups: Option<&Probe>,
    unmoved: bool,
    expected: &Expected,
    report: &mut Report,
) -> Result<(), AttestError> {
    match (&expected.plan.bounds, groups) {
        (Bounds::Cgroup(limits), Some(groups)) => {
            // They list their members, which takes longer than to read where the worker is.
            if !unmoved {
                groups.verify_member(pid)?;
            }
            let value = within(groups, limits, expected)?;
            report.enforced(Control::Cgroup, value);
        }
        (Bounds::Rlimits, _) => {
            let value = stand_in(expected);
            report.add(Control::Cgroup, Enforcement::Degraded, false, value);
        }
        (Bounds::Cgroup(_), None) => {
            let why = "the launcher made no cgroup";
            report.add(Control::Cgroup, Enforcement::Absent, true, why);
        }
    }
    Ok(())
}

/// Limits, from the kernel's files behind the fds that the launcher sent.
fn within(groups: &Probe, limits: &Limits, expected: &Expected) -> Result<String, AttestError> {
    let found = groups.read_limits()?;
    // A worker that is restricted for its violations has less of a core than it was granted.
    let granted = limits.cpu_max;
    let less =
        found.cpu_max.period_us == granted.period_us && found.cpu_max.quota_us < granted.quota_us;
    let cpu_max = if less { granted } else { found.cpu_max };
    let applied = Applied {
        cpu_max,
        ..found.clone()
    };
    if !off(Weakened::Memory) && !off(Weakened::Pids) {
        applied.verify(limits)?;
    }
    if expected.applied.as_ref() != Some(&applied) {
        let (found, wanted) = (format!("{applied:?}"), format!("{:?}", expected.applied));
        return Err(mismatch(Control::Cgroup, "limits", found, wanted));
    }
    Ok(format!(
        "memory {} MiB, tasks {}, cpu {}/{} us",
        applied.memory_max >> 20,
        applied.pids_max,
        found.cpu_max.quota_us,
        found.cpu_max.period_us
    ))
}

/// Resource limits, which are attested among themselves.
fn stand_in(expected: &Expected) -> String {
    let why = expected.without_cgroup.as_deref().unwrap_or("no cgroup");
    match expected.plan.lockdown.rlimits.stand_in {
        Some(limits) => format!(
            "resource limits stand in: data {} MiB, address space {} MiB, tasks {}, cpu \
             unlimited; {why}",
            limits.data >> 20,
            limits.address_space >> 20,
            limits.tasks,
        ),
        None => format!("nothing stands in; {why}"),
    }
}
