//! Which Landlock the kernel has, see landlock_create_ruleset(2).

use std::io;

/// `LANDLOCK_CREATE_RULESET_VERSION` of `include/uapi/linux/landlock.h`.
const VERSION: libc::c_long = 1 << 0;

/// Version of its interface.
///
/// # Errors
/// `ENOSYS` in a kernel without Landlock, `EOPNOTSUPP` where it is switched off.
pub fn abi() -> io::Result<u32> {
    let (no_attributes, size): (libc::c_long, libc::c_long) = (0, 0);
    // SAFETY: with this flag the kernel reads no attributes, and a null pointer and size 0
    // stand for none.
    let abi = unsafe {
        libc::syscall(
            libc::SYS_landlock_create_ruleset,
            no_attributes,
            size,
            VERSION,
        )
    };
    u32::try_from(abi).map_err(|_| io::Error::last_os_error())
}
