//! What the worker applies to itself, while it is still trusted: after exec and before
//! a plugin byte is there.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::process::{DumpableBehavior, dumpable_behavior, set_dumpable_behavior};
use rustix::thread::set_no_new_privs;

use super::fds;
use crate::attest::Measured;
use crate::hardening::{self, Taken};
use crate::landlock::{Canary, Restricted, Ruleset};
use crate::launch::{Failure, Step};
use crate::plan::Lockdown;
use crate::weaken::{Weakened, off};

/// A worker that has locked itself down.
#[derive(Debug)]
pub struct Confined {
    /// Of its filter; none in a build that was told to have no filter.
    pub listener: Option<OwnedFd>,
    /// For the attestation.
    pub measured: Measured,
}

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
pub fn confine() -> Result<Confined, Failure> {
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
    step(Step::Speculation, hardening::disable_speculation)?;
    let measured = Measured {
        keyring: step(Step::Keyring, hardening::join_keyring)?,
        cores: hardening::take_core_cookie(),
        mdwe: mdwe(lockdown.jit)?,
        landlock: landlock(&lockdown.landlock)?,
        undumpable: dumpable_behavior() == Ok(DumpableBehavior::NotDumpable),
    };
    // Last before the filter, which may refuse what it takes.
    crate::sys::memory::trim_heap();
    let mut listener = None;
    if !off(Weakened::Seccomp) {
        let installed = step(Step::Seccomp, || lockdown.filter.install_with_listener());
        listener = Some(installed?);
    }
    Ok(Confined { listener, measured })
}

fn mdwe(jit: bool) -> Result<Taken, Failure> {
    if jit || off(Weakened::Mdwe) {
        return Ok(Taken::NotAsked);
    }
    let taken = hardening::refuse_written_code();
    if taken == Taken::Held {
        step(Step::Mdwe, hardening::prove_mdwe)?;
    }
    Ok(taken)
}

fn landlock(ruleset: &Ruleset) -> Result<Option<Restricted>, Failure> {
    if off(Weakened::Landlock) {
        return Ok(None);
    }
    let canary = step(Step::HatchCanary, || Canary::hatch(ruleset))?;
    let restricted = step(Step::Landlock, || ruleset.restrict_self())?;
    step(Step::ProveLandlock, || canary.prove(restricted))?;
    Ok(Some(restricted))
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
