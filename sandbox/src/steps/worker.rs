//! What the worker applies to itself, while it is still trusted: after exec and before
//! a plugin byte is there.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::process::{DumpableBehavior, dumpable_behavior, set_dumpable_behavior};
use rustix::thread::set_no_new_privs;

use super::fds;
use crate::launch::{Failure, Step};
use crate::plan::Lockdown;
use crate::weaken::{Weakened, off};

/// Takes over the socket that init left at its number.
///
/// # Errors
/// `EBADF` when not started by init.
pub fn take_ipc() -> io::Result<OwnedFd> {
    crate::sys::process::inherited_fd(fds::IPC)
}

/// Locks the calling process down.
///
/// # Errors
/// The first step that failed; the process must then end.
pub fn confine() -> Result<Option<OwnedFd>, Failure> {
    let lockdown = step(Step::ReadLockdown, read_lockdown)?;
    step(Step::ReadLockdown, || {
        Ok(rustix::thread::set_name(c"cordon-worker")?)
    })?;
    if !off(Weakened::Rlimits) {
        step(Step::Rlimits, || lockdown.rlimits.apply())?;
    }
    if !off(Weakened::NoNewPrivs) {
        step(Step::NoNewPrivs, || Ok(set_no_new_privs(true)?))?;
    }
    if !off(Weakened::Undumpable) {
        step(Step::Undumpable, become_undumpable)?;
    }
    if off(Weakened::Seccomp) {
        return Ok(None);
    }
    step(Step::Seccomp, || lockdown.filter.install_with_listener()).map(Some)
}

/// Read back here, where all code is still ours: before Linux 6.16 no kernel tells others.
fn become_undumpable() -> io::Result<()> {
    set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    match dumpable_behavior()? {
        DumpableBehavior::NotDumpable => Ok(()),
        _ => Err(io::Error::from_raw_os_error(libc::EBADE)),
    }
}

fn step<T>(step: Step, work: impl FnOnce() -> io::Result<T>) -> Result<T, Failure> {
    work().map_err(|error| Failure::errno(step, &error))
}

fn read_lockdown() -> io::Result<Lockdown> {
    let fd = crate::sys::process::inherited_fd(fds::LOCKDOWN)?;
    let mut bytes = vec![0; crate::codec::MAX_MESSAGE];
    let length = rustix::io::pread(fd.as_fd(), &mut bytes, 0)?;
    crate::codec::decode(&bytes[..length]).map_err(|_| io::Error::from_raw_os_error(libc::EBADMSG))
}
