//! The session keyring, see keyctl(2).

use std::io;

/// `KEY_SPEC_SESSION_KEYRING`.
const SESSION: libc::c_long = -3;

/// Leaves the session keyring for a new and empty one; its serial number.
///
/// # Errors
/// `EDQUOT` where the user has too many keys, `ENOSYS` in a kernel without keys.
pub fn join_new_session() -> io::Result<i32> {
    let anonymous = 0;
    keyctl(libc::KEYCTL_JOIN_SESSION_KEYRING, anonymous, 0)
}

/// Serial number of the session keyring; the user's where the process has none.
///
/// # Errors
/// `ENOSYS` in a kernel without keys.
pub fn session() -> io::Result<i32> {
    let create = 0;
    keyctl(libc::KEYCTL_GET_KEYRING_ID, SESSION, create)
}

fn keyctl(operation: u32, first: libc::c_long, second: libc::c_long) -> io::Result<i32> {
    // SAFETY: neither operation reads or writes memory of ours: the one takes two numbers,
    // the other a name, whose null pointer stands for none.
    let serial = unsafe { libc::syscall(libc::SYS_keyctl, operation, first, second) };
    if serial < 0 {
        return Err(io::Error::last_os_error());
    }
    // Serials are int32_t.
    Ok(serial as i32)
}
