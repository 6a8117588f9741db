//! Init once its worker lives: it gives up all that it can, waits, answers the stops of the worker,
//! and reports how it ends.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use rustix::process::{DumpableBehavior, Pid, set_dumpable_behavior, waitpid};
use rustix::thread::set_no_new_privs;

use super::init::{Inherited, fd};
use crate::capabilities;
use crate::sys::clone::exit_now;
use crate::sys::process::{close_from, place_fd};
use crate::trace::{HOLD, Report, Tracer};

/// Leaves init with the report pipe, at number 0, and with waiting and exiting.
pub(super) fn lock_down(inherited: &Inherited<'_>) -> io::Result<()> {
    place_fd(inherited.report.as_raw_fd(), 0)?;
    close_from(1)?;
    capabilities::seal(&BTreeSet::new())?;
    capabilities::drop_all_but(&BTreeSet::new())?;
    set_no_new_privs(true)?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    inherited.filter.install()
}

/// Waits for the worker, answers its stops, reports its wait status, and ends; the kernel
/// then kills whatever else lives in the pid namespace.
pub(super) fn guard(worker: Pid) -> ! {
    // With nobody to read it the supervisor is gone.
    let tell = |report: Report| rustix::io::write(fd(0), &report.encode());
    let mut tracer = Tracer::new();
    loop {
        match waitpid(None, tracer.patience()) {
            Ok(None) => tracer.idle(),
            Ok(Some((thread, status))) if status.stopped() => {
                tracer.stopped(thread, status, |held| {
                    if tell(Report::Held(*held)).is_ok() {
                        std::thread::sleep(HOLD);
                    }
                });
            }
            Ok(Some((pid, wait))) if pid == worker => {
                let _ = tell(Report::Ended(ExitStatus::from_raw(wait.as_raw())));
                exit_now(0)
            }
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => exit_now(1),
        }
    }
}
