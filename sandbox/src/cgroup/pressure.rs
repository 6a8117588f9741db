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

use super::counters::Stalled;
use super::directory::{Directory, FileError};

/// In which a stall is measured. Without CAP_SYS_RESOURCE it must be a multiple of 2 s.
const WINDOW: Duration = Duration::from_secs(2);

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
        Err(error) if matches!(error.errno, Errno::NOENT | Errno::OPNOTSUPP) => return Ok(None),
        Err(error) => return Err(error),
    };
    let trigger = format!("some {} {}", stalled.as_micros(), WINDOW.as_micros());
    write(&file, trigger.as_bytes()).map_err(|errno| group.error("write", name, errno))?;
    Ok(Some(file))
}
