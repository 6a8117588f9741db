//! Attributes of the calling process that rustix doesn't cover, and `close_range`.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

/// Closes every fd from `first` up, whatever was left open.
///
/// # Errors
/// The kernel's errno, see close_range(2).
pub fn close_from(first: u32) -> io::Result<()> {
    // SAFETY: takes no pointers. Callers are about to exec or hold no owned fd from
    // `first` up, so no fd object is left dangling.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, 0) };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Gives every signal its default effect and blocks none: whoever started the launcher
/// may have had it otherwise, and ignored signals survive clone and exec.
pub fn default_signals() {
    for signal in 1..=libc::SIGRTMAX() {
        // SAFETY: SIG_DFL runs no code of ours. KILL, STOP and libc's own refuse, rightly.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    // SAFETY: a zeroed sigset_t is storage for sigemptyset, which initialises it; the old
    // mask isn't asked for.
    unsafe {
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
    }
}

/// Takes over an fd that the parent process handed down under a fixed number.
///
/// # Errors
/// `EBADF` where that number isn't open.
pub fn inherited_fd(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: F_GETFD takes no pointers.
    if unsafe { libc::fcntl(number, libc::F_GETFD) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the fd is open, and by the launch protocol (ARCHITECTURE.md) numbers 3
    // and up belong to whoever takes them first; each caller takes its own once.
    let fd = unsafe { OwnedFd::from_raw_fd(number) };
    rustix::io::fcntl_setfd(&fd, rustix::io::FdFlags::CLOEXEC)?;
    Ok(fd)
}

/// Puts `fd` at `number` and leaves it open across exec.
///
/// # Errors
/// The kernel's errno, see dup2(2).
pub fn place_fd(fd: RawFd, number: RawFd) -> io::Result<()> {
    // SAFETY: takes no pointers. Called between fork and exec only, where whatever
    // stood at `number` is given up with the old program.
    if unsafe { libc::dup2(fd, number) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// An fd at a number that [`place_fd`] filled in this process.
#[must_use]
pub fn borrow_placed(number: RawFd) -> std::os::fd::BorrowedFd<'static> {
    // SAFETY: callers name numbers they placed themselves, between fork and exec, where
    // nothing closes them; -1, the one forbidden value, is never placed.
    unsafe { std::os::fd::BorrowedFd::borrow_raw(number) }
}
