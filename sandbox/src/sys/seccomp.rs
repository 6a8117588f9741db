//! seccomp(2) and the ioctls of seccomp_unotify(2).

use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// Installs a filter in all threads of the process, and gives its listener.
///
/// The flags are one set, never a subset: all exist since Linux 5.19. TSYNC leaves no
/// thread without the filter, TSYNC_ESRCH makes its failure an error beside NEW_LISTENER,
/// and WAIT_KILLABLE_RECV keeps signals from tearing a call out of a notification that
/// was received, so that no call is judged twice.
///
/// # Errors
/// `EACCES` without `no_new_privs`, `EBUSY` where a listener exists, `ESRCH` where a
/// thread can't be synchronized, `EINVAL` for a program the kernel refuses.
pub fn install_with_listener(filter: &[libc::sock_filter]) -> io::Result<OwnedFd> {
    let flags = libc::SECCOMP_FILTER_FLAG_TSYNC
        | libc::SECCOMP_FILTER_FLAG_TSYNC_ESRCH
        | libc::SECCOMP_FILTER_FLAG_NEW_LISTENER
        | libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
    let fd = set_filter(filter, flags)?;
    // SAFETY: with NEW_LISTENER a result that isn't negative is a new fd (seccomp(2)),
    // which nobody else knows yet.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Installs a filter in the calling thread.
///
/// # Errors
/// `EACCES` without `no_new_privs`, `EINVAL` for a program the kernel refuses.
pub fn install(filter: &[libc::sock_filter]) -> io::Result<()> {
    set_filter(filter, 0).map(|_| ())
}

fn set_filter(filter: &[libc::sock_filter], flags: libc::c_ulong) -> io::Result<i32> {
    let len = u16::try_from(filter.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
    let program = libc::sock_fprog {
        len,
        filter: filter.as_ptr().cast_mut(),
    };
    // SAFETY: `program` is a valid sock_fprog whose pointer covers `len` instructions for
    // the whole call; the kernel copies them and writes to neither.
    let result = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            flags,
            &raw const program,
        )
    };
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result as i32)
    }
}

/// Whether the kernel knows a `SECCOMP_RET_*` action.
///
/// # Errors
/// The kernel's errno, other than the `EOPNOTSUPP` that means no.
pub fn action_available(action: u32) -> io::Result<bool> {
    // SAFETY: the kernel reads one u32 through the pointer, which outlives the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_GET_ACTION_AVAIL,
            0,
            &raw const action,
        )
    };
    if result == 0 {
        return Ok(true);
    }
    match io::Error::last_os_error() {
        error if error.raw_os_error() == Some(libc::EOPNOTSUPP) => Ok(false),
        error => Err(error),
    }
}

/// Words of the buffer that a notification is received into: more than today's 80 bytes,
/// since the kernel writes the structure of its own version.
const NOTIFICATION_WORDS: usize = 32;

/// Checks that this kernel's structures fit the buffers of this module.
///
/// # Errors
/// `Unsupported` where they don't; else the kernel's errno.
pub fn check_sizes() -> io::Result<()> {
    let mut sizes = libc::seccomp_notif_sizes {
        seccomp_notif: 0,
        seccomp_notif_resp: 0,
        seccomp_data: 0,
    };
    // SAFETY: the kernel writes one seccomp_notif_sizes through the pointer, which is
    // valid for writes and outlives the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_GET_NOTIF_SIZES,
            0,
            &raw mut sizes,
        )
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    let fits = usize::from(sizes.seccomp_notif) <= NOTIFICATION_WORDS * size_of::<u64>()
        && usize::from(sizes.seccomp_notif_resp) <= size_of::<libc::seccomp_notif_resp>();
    if fits {
        Ok(())
    } else {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// Takes the next notification. Blocks until there is one: call when readable.
///
/// # Errors
/// `ENOENT` where the calling thread died meanwhile; else see seccomp_unotify(2).
pub fn receive(listener: BorrowedFd<'_>) -> io::Result<libc::seccomp_notif> {
    // The kernel refuses a buffer that isn't zeroed.
    let mut buffer = [0u64; NOTIFICATION_WORDS];
    let pointer = buffer.as_mut_ptr().cast::<libc::seccomp_notif>();
    // SAFETY: the kernel writes its own struct seccomp_notif, which check_sizes() found to
    // fit the buffer; the buffer is exclusively ours and outlives the call.
    let result = unsafe {
        libc::ioctl(
            listener.as_raw_fd(),
            libc::SECCOMP_IOCTL_NOTIF_RECV,
            pointer,
        )
    };
    if result != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the buffer is larger than the structure, aligned to 8 as its u64 demand, and
    // initialised; every bit pattern is a valid seccomp_notif, which is integers only.
    Ok(unsafe { pointer.read() })
}

/// Answers a notification.
///
/// # Errors
/// `ENOENT` where the call waits no more; else see seccomp_unotify(2).
pub fn respond(listener: BorrowedFd<'_>, mut response: libc::seccomp_notif_resp) -> io::Result<()> {
    // SAFETY: the kernel reads one seccomp_notif_resp through the pointer, which is valid
    // and outlives the call.
    let result = unsafe {
        libc::ioctl(
            listener.as_raw_fd(),
            libc::SECCOMP_IOCTL_NOTIF_SEND,
            &raw mut response,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Asks whether a call still waits.
///
/// # Errors
/// `ENOENT` where it doesn't; else see seccomp_unotify(2).
pub fn id_valid(listener: BorrowedFd<'_>, id: u64) -> io::Result<()> {
    // SAFETY: the kernel reads one u64 through the pointer, which outlives the call.
    let result = unsafe {
        libc::ioctl(
            listener.as_raw_fd(),
            libc::SECCOMP_IOCTL_NOTIF_ID_VALID,
            &raw const id,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn structures_have_the_size_of_this_kernel() {
        check_sizes().unwrap();
        assert_eq!(size_of::<libc::seccomp_notif>(), 80);
        assert_eq!(size_of::<libc::seccomp_notif_resp>(), 24);
    }

    #[test]
    fn the_actions_of_our_filters_are_available() {
        assert!(action_available(libc::SECCOMP_RET_USER_NOTIF).unwrap());
        assert!(action_available(libc::SECCOMP_RET_KILL_PROCESS).unwrap());
        assert!(!action_available(0x1234_0000).unwrap());
    }
}
