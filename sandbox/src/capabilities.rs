//! The five capability sets of a process, emptied for good but for what was granted; see
//! capabilities(7).

use std::collections::BTreeSet;
use std::io;

use caps::{CapSet, CapsHashSet};
use rustix::thread::{CapabilitiesSecureBits, set_capabilities_secure_bits};

use crate::policy::Capability;

/// Leaves `kept` in the bounding, inheritable and ambient sets and locks the securebits:
/// root's id means nothing any more, and no later exec can win anything back. The ambient set
/// is what carries `kept` across an exec.
///
/// Must come after the last user namespace is entered, which refills all.
///
/// # Errors
/// `EPERM` without `CAP_SETPCAP` in the caller's user namespace.
pub fn seal(kept: &BTreeSet<Capability>) -> io::Result<()> {
    let kept = numbers(kept);
    for dropped in caps::all().difference(&kept) {
        // Those that this kernel doesn't have can't be dropped: hence the check below.
        if caps::has_cap(None, CapSet::Bounding, *dropped).unwrap_or(false) {
            caps::drop(None, CapSet::Bounding, *dropped).map_err(denied)?;
        }
    }
    if caps::read(None, CapSet::Bounding).map_err(denied)? != kept {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    caps::clear(None, CapSet::Ambient).map_err(denied)?;
    caps::set(None, CapSet::Inheritable, &kept).map_err(denied)?;
    for capability in &kept {
        caps::raise(None, CapSet::Ambient, *capability).map_err(denied)?;
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

/// Leaves `kept` in the effective and permitted sets.
///
/// # Errors
/// The kernel's errno, see capset(2).
pub fn drop_all_but(kept: &BTreeSet<Capability>) -> io::Result<()> {
    let kept = numbers(kept);
    for set in [CapSet::Effective, CapSet::Permitted] {
        caps::set(None, set, &kept).map_err(denied)?;
    }
    Ok(())
}

/// The sets as `/proc/PID/status` prints each one that holds `kept`.
#[must_use]
pub fn mask(kept: &BTreeSet<Capability>) -> String {
    let mask = |mask, capability: &caps::Capability| mask | capability.bitmask();
    format!("{:016x}", numbers(kept).iter().fold(0, mask))
}

fn numbers(kept: &BTreeSet<Capability>) -> CapsHashSet {
    let number = |capability: &Capability| match capability {
        Capability::NetBindService => caps::Capability::CAP_NET_BIND_SERVICE,
        Capability::NetRaw => caps::Capability::CAP_NET_RAW,
    };
    kept.iter().map(number).collect()
}

fn denied(error: caps::errors::CapsError) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks_are_the_kernels() {
        assert_eq!(mask(&BTreeSet::new()), "0000000000000000");
        let both = BTreeSet::from([Capability::NetBindService, Capability::NetRaw]);
        // Bits 10 and 13 of include/uapi/linux/capability.h.
        assert_eq!(mask(&both), "0000000000002400");
    }
}
