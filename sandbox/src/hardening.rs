//! Hardening that a process takes upon itself, each where kernel and processor have it.
//!
//! Every function here is for the worker while it is still trusted; none can be taken back.

use std::io;

use serde::{Deserialize, Serialize};

use crate::sys::keyring;
use crate::sys::memory::{make_written_executable, map_writable_code};
use crate::sys::prctl::{Misfeature, create_core_cookie, refuse_exec_gain, refuses_exec_gain};

/// What came of asking for one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Taken {
    /// It holds.
    Held,
    /// This kernel or processor hasn't got it.
    NotOffered,
    /// It is there, and the kernel refused it with this errno.
    Refused(i32),
    /// Nobody asked for it.
    NotAsked,
}

/// A session keyring of its own: keys of whoever started the launcher are out of reach.
///
/// # Errors
/// `EBADE` where the process has the old one still.
pub fn join_keyring() -> io::Result<Taken> {
    let before = keyring::session();
    let joined = match keyring::join_new_session() {
        Ok(serial) => serial,
        Err(error) => return Ok(Taken::declined(&error, &[libc::ENOSYS])),
    };
    let is_new = keyring::session()? == joined && before.ok() != Some(joined);
    held(is_new)
}

/// A core scheduling cookie of its own. Whether it holds is read from outside.
#[must_use]
pub fn take_core_cookie() -> Taken {
    match create_core_cookie() {
        Ok(()) => Taken::Held,
        Err(error) => Taken::declined(&error, &[libc::ENODEV, libc::EINVAL]),
    }
}

/// Switches off what speculates across the worker's own checks, where that can be done for
/// one process. Whether it holds is read from outside.
///
/// # Errors
/// The kernel's errno, where it offers the control and doesn't give it.
pub fn disable_speculation() -> io::Result<()> {
    for misfeature in [Misfeature::StoreBypass, Misfeature::IndirectBranch] {
        let controllable = match misfeature.speculation() {
            Ok(speculation) => speculation.controllable() && !speculation.force_disabled(),
            Err(_) => false,
        };
        if controllable {
            misfeature.force_disable()?;
        }
    }
    Ok(())
}

/// Memory-deny-write-execute. No kernel tells others of it: hence [`prove_mdwe`].
#[must_use]
pub fn refuse_written_code() -> Taken {
    match refuse_exec_gain() {
        Ok(()) => Taken::Held,
        Err(error) => Taken::declined(&error, &[libc::EINVAL]),
    }
}

/// Tries both ways from written memory to code.
///
/// # Errors
/// `EBADE` where one of them is open.
pub fn prove_mdwe() -> io::Result<()> {
    let refused =
        |act: io::Result<()>| act.is_err_and(|error| error.raw_os_error() == Some(libc::EACCES));
    let shut = refused(map_writable_code()) && refused(make_written_executable());
    held(shut && refuses_exec_gain()?).map(drop)
}

impl Taken {
    fn declined(error: &io::Error, not_offered: &[i32]) -> Taken {
        match error.raw_os_error() {
            Some(errno) if not_offered.contains(&errno) => Taken::NotOffered,
            errno => Taken::Refused(errno.unwrap_or(libc::EIO)),
        }
    }
}

fn held(holds: bool) -> io::Result<Taken> {
    match holds {
        true => Ok(Taken::Held),
        false => Err(io::Error::from_raw_os_error(libc::EBADE)),
    }
}
