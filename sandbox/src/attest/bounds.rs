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
            let applied = within(groups, limits, expected)?;
            report.enforced(Control::Cgroup, shown(&applied));
            resources(limits, &applied, report);
        }
        (Bounds::Rlimits, _) => {
            let value = stand_in(expected);
            report.add(Control::Cgroup, Enforcement::Degraded, false, value);
            let why = "takes a cgroup";
            report.add(Control::Resources, Enforcement::Absent, false, why);
        }
        (Bounds::Cgroup(_), None) => {
            let why = "the launcher made no cgroup";
            report.add(Control::Cgroup, Enforcement::Absent, true, why);
            report.add(Control::Resources, Enforcement::Absent, true, why);
        }
    }
    Ok(())
}

/// Limits, from the kernel's files behind the fds that the launcher sent.
fn within(groups: &Probe, limits: &Limits, expected: &Expected) -> Result<Applied, AttestError> {
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
    Ok(found)
}

fn shown(applied: &Applied) -> String {
    format!(
        "memory {} MiB, tasks {}, cpu {}/{} us",
        applied.memory_max >> 20,
        applied.pids_max,
        applied.cpu_max.quota_us,
        applied.cpu_max.period_us
    )
}

/// What policy sets and this host has, and what it hasn't.
fn resources(limits: &Limits, applied: &Applied, report: &mut Report) {
    let (mut holds, mut absent) = (Vec::new(), Vec::new());
    if let Some(high) = limits.memory_high {
        match applied.memory_high {
            Some(_) => holds.push(format!("memory.high {} MiB", high >> 20)),
            None => absent.push("memory.high is absent: cgroup v1 has none".to_owned()),
        }
    }
    if let Some(weight) = limits.cpu_weight {
        holds.push(format!("cpu.weight {weight}"));
    }
    if limits.io.is_asked() && applied.io.is_none() {
        absent.push("io is absent: the host passes no such controller down".to_owned());
    }
    if let Some(io) = &applied.io {
        if let Some(weight) = limits.io.weight {
            match io.weight {
                Some(_) => holds.push(format!("io.weight {weight}")),
                None => absent.push("io.weight is absent: no io scheduler here has it".to_owned()),
            }
        }
        holds.extend(limits.io.max.iter().map(|max| {
            let rate = |rate: Option<u64>| match rate {
                Some(rate) => format!("{rate} B/s"),
                None => "unlimited".to_owned(),
            };
            let (major, minor) = max.device;
            let (read, write) = (rate(max.read), rate(max.write));
            format!("io of {major}:{minor} read {read}, written {write}")
        }));
    }
    let enforcement = match (holds.is_empty(), absent.is_empty()) {
        (_, true) => Enforcement::Enforced,
        (false, false) => Enforcement::Degraded,
        (true, false) => Enforcement::Absent,
    };
    holds.extend(absent);
    let value = match holds.is_empty() {
        true => "policy sets none".to_owned(),
        false => holds.join(", "),
    };
    let offered = enforcement == Enforcement::Enforced;
    report.add(Control::Resources, enforcement, offered, value);
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
