//! Limits on v1 hierarchies, written by cgroups-rs; and killing where no unified tree is.

use std::thread::sleep;
use std::time::Duration;

use cgroups_rs::fs::MaxValue;
use cgroups_rs::fs::cpu::CpuController;
use cgroups_rs::fs::error::Result as Written;
use cgroups_rs::fs::memory::MemController;
use cgroups_rs::fs::pid::PidController;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::directory::{Directory, FileError};
use super::groups::Groups;
use super::io;
use super::leaf::KillError;
use super::limits::{Applied, CpuMax, DEFAULT_WEIGHT, LimitError, Limits};
use super::v2::{amount, narrow, swap};

/// Sets all limits that v1 has; whether they hold is for [`read`] to say.
///
/// The controllers are named one by one and their setters called directly: cgroups-rs
/// would otherwise make groups in every hierarchy, and its `apply` drops write errors.
pub(super) fn write(groups: &Groups, limits: &Limits) -> Result<(), LimitError> {
    let path = |group: &Directory| group.path().to_owned();
    let memory = MemController::new(path(groups.memory()), Default::default(), false);
    let pids = PidController::new(path(groups.pids()), Default::default(), false);
    let cpu = CpuController::new(path(groups.cpu()), Default::default(), false);

    set("memory_max", limits.memory_max, |bytes| {
        memory.set_limit(bytes)
    })?;
    // Memory plus swap, so that the same limit leaves no swap. It can't be set first,
    // since it may not be below the memory limit.
    if swap(groups.memory(), MEMORY_AND_SWAP)?.is_some() {
        set("swap_max", limits.memory_max, |bytes| {
            memory.set_memswap_limit(bytes)
        })?;
    }
    set("pids_max", limits.pids_max.into(), |tasks| {
        pids.set_pid_max(MaxValue::Value(tasks))
    })?;
    let CpuMax {
        quota_us,
        period_us,
    } = limits.cpu_max;
    set("cpu_max", quota_us, |quota| {
        cpu.set_cfs_quota_and_period(Some(quota), Some(period_us))
    })?;
    if let Some(weight) = limits.cpu_weight {
        set("cpu_weight", shares(weight), |shares| {
            cpu.set_shares(shares.unsigned_abs())
        })?;
    }
    Ok(io::write(groups, &limits.io)?)
}

/// Reads all limits back, from the files themselves.
pub(super) fn read(groups: &Groups) -> Result<Applied, LimitError> {
    let (memory, cpu) = (groups.memory(), groups.cpu());
    let memory_max = amount(memory, "memory.limit_in_bytes")?;
    let both = swap(memory, MEMORY_AND_SWAP)?;
    Ok(Applied {
        kind: groups.kind(),
        memory_max,
        memory_high: None,
        swap_max: both.map(|both| both.saturating_sub(memory_max)),
        oom_group: false,
        pids_max: narrow(amount(groups.pids(), "pids.max")?),
        cpu_max: CpuMax {
            quota_us: quota(cpu)?,
            period_us: amount(cpu, "cpu.cfs_period_us")?,
        },
        cpu_weight: narrow(weight(amount(cpu, "cpu.shares")?)),
        io: io::read(groups)?,
    })
}

/// Kills every process of a v1 freezer group. Frozen, none can fork or exit, so the list
/// of pids is complete and none of them is reused meanwhile.
pub(super) fn kill(freezer: &Directory) -> Result<(), KillError> {
    freezer.write(STATE, FROZEN)?;
    let killed = await_frozen(freezer).and_then(|()| kill_listed(freezer));
    // A frozen process dies only when thawed; and none may stay frozen after a failure.
    freezer.write(STATE, THAWED)?;
    killed
}

/// Whether every process of a v1 freezer group stands still.
pub(super) fn frozen(freezer: &Directory) -> Result<bool, FileError> {
    Ok(freezer.read(STATE)?.trim_ascii() == FROZEN)
}

/// The control file of the v1 freezer and its values.
pub(super) const STATE: &str = "freezer.state";
pub(super) const FROZEN: &str = "FROZEN";
pub(super) const THAWED: &str = "THAWED";

const MEMORY_AND_SWAP: &str = "memory.memsw.limit_in_bytes";

fn set(
    limit: &'static str,
    value: u64,
    write: impl FnOnce(i64) -> Written<()>,
) -> Result<(), LimitError> {
    // What exceeds i64 is saturated here, and found when read back.
    let value = i64::try_from(value).unwrap_or(i64::MAX);
    write(value).map_err(|source| LimitError::V1 {
        limit,
        value,
        source,
    })
}

/// The kernel's own scale between v2's weight and v1's shares, whose default is 1024.
fn shares(weight: u32) -> u64 {
    (u64::from(weight) * 1024 + u64::from(DEFAULT_WEIGHT) / 2) / u64::from(DEFAULT_WEIGHT)
}

fn weight(shares: u64) -> u64 {
    (shares.saturating_mul(u64::from(DEFAULT_WEIGHT)) + 512) / 1024
}

/// `-1` is no limit.
fn quota(cpu: &Directory) -> Result<u64, LimitError> {
    let file = "cpu.cfs_quota_us";
    let text = cpu.read(file)?;
    match text.trim_ascii().parse::<i64>() {
        Ok(quota) => Ok(u64::try_from(quota).unwrap_or(u64::MAX)),
        Err(_) => Err(LimitError::Unreadable { file, text }),
    }
}

fn await_frozen(freezer: &Directory) -> Result<(), KillError> {
    // A task in an uninterruptible wait delays the freezer; 1 s is far beyond a page fault.
    for _ in 0..1000 {
        if frozen(freezer)? {
            return Ok(());
        }
        sleep(Duration::from_millis(1));
    }
    Err(KillError::NotFrozen(freezer.path().to_owned()))
}

fn kill_listed(freezer: &Directory) -> Result<(), KillError> {
    for line in freezer.read("cgroup.procs")?.lines() {
        // 0 stands for a process that this pid namespace can't name.
        let pid = line.parse().ok().and_then(Pid::from_raw);
        let pid = pid.ok_or_else(|| KillError::Unnamed(freezer.path().to_owned()))?;
        let killed = pidfd_open(pid, PidfdFlags::empty())
            .and_then(|pidfd| pidfd_send_signal(pidfd, Signal::KILL));
        match killed {
            Ok(()) | Err(Errno::SRCH) => {}
            Err(errno) => {
                return Err(KillError::Signal {
                    pid: pid.as_raw_nonzero().get(),
                    errno,
                });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weight_survives_the_way_to_shares_and_back() {
        for w in 1..=10_000 {
            assert_eq!(weight(shares(w)), u64::from(w));
        }
        assert_eq!(shares(100), 1024);
    }
}
