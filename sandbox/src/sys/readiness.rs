//! Readiness of fds in tokio, for owned fds alone.

use std::io;
use std::os::fd::OwnedFd;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Registers `fd` with the current tokio runtime.
///
/// # Errors
/// What registering with epoll gives.
///
/// # Panics
/// Outside a tokio runtime.
pub fn register(fd: OwnedFd, interest: Interest) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: an OwnedFd is open, stays the same fd, and is closed by nobody else for as
    // long as it lives, and AsyncFd gives it out by shared reference only.
    let registered = unsafe { AsyncFd::register_with_interest(fd, interest) };
    registered.map_err(io::Error::from)
}
