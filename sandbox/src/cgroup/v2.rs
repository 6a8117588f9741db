//! Limits on the unified hierarchy.

use rustix::io::Errno;

use super::directory::{Directory, FileError};
use super::groups::Groups;
use super::io;
use super::layout::Kind;
use super::limits::{Applied, CpuMax, LimitError, Limits};

/// Sets all limits; whether they hold is for [`read`] to say.
pub(super) fn write(groups: &Groups, limits: &Limits) -> Result<(), FileError> {
    let memory = groups.memory();
    memory.write("memory.max", &limits.memory_max.to_string())?;
    if let Some(high) = limits.memory_high {
        memory.write("memory.high", &high.to_string())?;
    }
    // Absent in a kernel without swap; `read` tells that from one that can't limit it.
    optional(memory.write("memory.swap.max", "0"))?;
    memory.write("memory.oom.group", "1")?;
    groups
        .pids()
        .write("pids.max", &limits.pids_max.to_string())?;
    let CpuMax {
        quota_us,
        period_us,
    } = limits.cpu_max;
    groups
        .cpu()
        .write("cpu.max", &format!("{quota_us} {period_us}"))?;
    if let Some(weight) = limits.cpu_weight {
        groups.cpu().write("cpu.weight", &weight.to_string())?;
    }
    io::write(groups, &limits.io)
}

/// Reads all limits back.
pub(super) fn read(groups: &Groups) -> Result<Applied, LimitError> {
    let memory = groups.memory();
    let high = amount(memory, "memory.high")?;
    Ok(Applied {
        kind: Kind::V2,
        memory_max: amount(memory, "memory.max")?,
        memory_high: (high != u64::MAX).then_some(high),
        swap_max: swap(memory, "memory.swap.max")?,
        oom_group: amount(memory, "memory.oom.group")? == 1,
        pids_max: narrow(amount(groups.pids(), "pids.max")?),
        cpu_max: cpu_max(groups.cpu())?,
        cpu_weight: narrow(amount(groups.cpu(), "cpu.weight")?),
        io: io::read(groups)?,
    })
}

/// Reads a number or `max`, which is `u64::MAX`.
pub(super) fn amount(group: &Directory, file: &'static str) -> Result<u64, LimitError> {
    let text = group.read(file)?;
    parse(text.trim_ascii()).ok_or(LimitError::Unreadable { file, text })
}

/// Reads a limit that exists only in kernels with swap.
pub(super) fn swap(group: &Directory, file: &'static str) -> Result<Option<u64>, LimitError> {
    match amount(group, file) {
        Ok(amount) => Ok(Some(amount)),
        Err(LimitError::File(error)) if error.errno == Errno::NOENT => {
            // CONFIG_SWAP alone makes /proc/swaps.
            match std::path::Path::new("/proc/swaps").exists() {
                true => Err(LimitError::NoSwapLimit),
                false => Ok(None),
            }
        }
        Err(error) => Err(error),
    }
}

/// Task counts and weights are far below `u32::MAX`, which therefore can mean no limit.
pub(super) fn narrow(amount: u64) -> u32 {
    u32::try_from(amount).unwrap_or(u32::MAX)
}

fn cpu_max(cpu: &Directory) -> Result<CpuMax, LimitError> {
    let text = cpu.read("cpu.max")?;
    let mut fields = text.split_ascii_whitespace().map(parse);
    match (
        fields.next().flatten(),
        fields.next().flatten(),
        fields.next(),
    ) {
        (Some(quota_us), Some(period_us), None) => Ok(CpuMax {
            quota_us,
            period_us,
        }),
        _ => Err(LimitError::Unreadable {
            file: "cpu.max",
            text,
        }),
    }
}

fn parse(text: &str) -> Option<u64> {
    match text {
        "max" => Some(u64::MAX),
        number => number.parse().ok(),
    }
}

fn optional(written: Result<(), FileError>) -> Result<(), FileError> {
    match written {
        Err(error) if error.errno == Errno::NOENT => Ok(()),
        written => written,
    }
}
