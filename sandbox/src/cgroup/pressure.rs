//! Stalls for want of memory or CPU time (PSI), announced by the kernel.
//!
//! A trigger costs a grace period of RCU when it goes, 11 to 15 ms in which its holder
//! stands still. So there is none for each worker, but one for the group that all of them
//! are in; whose stall it was, the workers' own files tell.
//!
//! Source: Linux `Documentation/accounting/psi.rst`.

use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::io::{Errno, write};

use super::counters::ReadError;
use super::directory::{Directory, FileError};

/// In which a stall is measured. Without CAP_SYS_RESOURCE it must be a multiple of 2 s.
const WINDOW: Duration = Duration::from_secs(2);

/// How long some task of a group stood still since the group was made, for want of what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stalled {
    /// Of memory: reclaim, refaults.
    pub memory: Duration,
    /// Of CPU time, its own `cpu.max` included.
    pub cpu: Duration,
}

/// How long some task of a group stood still so far; `None` in a kernel that doesn't measure
/// it. Asked for seldom, so that no file is kept open.
pub(super) fn stalled(group: &Directory) -> Result<Option<Stalled>, ReadError> {
    let total = |name| match group.read(name) {
        Ok(text) => total(&text).map(Some).ok_or(ReadError::Missing {
            file: name,
            key: "total",
        }),
        Err(error) if unmeasured(&error) => Ok(None),
        Err(error) => Err(error.into()),
    };
    let (memory, cpu) = (total("memory.pressure")?, total("cpu.pressure")?);
    Ok(memory.zip(cpu).map(|(memory, cpu)| Stalled { memory, cpu }))
}

/// Of the first line, `some avg10=0.00 avg60=0.00 avg300=0.00 total=MICROSECONDS`.
fn total(text: &str) -> Option<Duration> {
    let (_, total) = text.lines().next()?.rsplit_once("total=")?;
    total.parse().ok().map(Duration::from_micros)
}

/// Fds that get `POLLPRI` when tasks of a group stood still for so long within two seconds;
/// `None` in a kernel that doesn't measure it.
pub(super) fn watch(
    group: &Directory,
    stalled: Stalled,
) -> Result<Option<[OwnedFd; 2]>, FileError> {
    let memory = trigger(group, "memory.pressure", stalled.memory)?;
    let cpu = trigger(group, "cpu.pressure", stalled.cpu)?;
    Ok(memory.zip(cpu).map(|(memory, cpu)| [memory, cpu]))
}

fn trigger(
    group: &Directory,
    name: &'static str,
    stalled: Duration,
) -> Result<Option<OwnedFd>, FileError> {
    let file = match group.open_both(name) {
        Ok(file) => file,
        Err(error) if unmeasured(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    let trigger = format!("some {} {}", stalled.as_micros(), WINDOW.as_micros());
    write(&file, trigger.as_bytes()).map_err(|errno| group.error("write", name, errno))?;
    Ok(Some(file))
}

fn unmeasured(error: &FileError) -> bool {
    matches!(error.errno, Errno::NOENT | Errno::OPNOTSUPP)
}
