//! Emptying the five capability sets for good, see capabilities(7).

use std::io;

use caps::CapSet;
use rustix::thread::{CapabilitiesSecureBits, set_capabilities_secure_bits};

/// Drops the bounding set and locks the securebits: root's id means nothing any
/// more, and no later exec can win anything back.
///
/// Must come after the last user namespace is entered, which refills both.
///
/// # Errors
/// `EPERM` without `CAP_SETPCAP` in the caller's user namespace.
pub fn seal() -> io::Result<()> {
    // `clear` passes over capabilities that it can't read: hence the check below.
    caps::clear(None, CapSet::Bounding).map_err(denied)?;
    caps::clear(None, CapSet::Ambient).map_err(denied)?;
    if !caps::read(None, CapSet::Bounding)
        .map_err(denied)?
        .is_empty()
    {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    use CapabilitiesSecureBits as Bits;
    set_capabilities_secure_bits(
        Bits::NO_ROOT
            | Bits::NO_ROOT_LOCKED
            | Bits::NO_SETUID_FIXUP
            | Bits::NO_SETUID_FIXUP_LOCKED
            | Bits::KEEP_CAPS_LOCKED
            | Bits::NO_CAP_AMBIENT_RAISE
            | Bits::NO_CAP_AMBIENT_RAISE_LOCKED,
    )?;
    Ok(())
}

/// Empties effective, permitted and inheritable.
///
/// # Errors
/// The kernel's errno, see capset(2).
pub fn drop_all() -> io::Result<()> {
    for set in [CapSet::Effective, CapSet::Permitted, CapSet::Inheritable] {
        caps::clear(None, set).map_err(denied)?;
    }
    Ok(())
}

fn denied(error: caps::errors::CapsError) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, error.to_string())
}
