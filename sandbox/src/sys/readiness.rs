//! Readiness of fds in tokio, for owned fds alone.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Registers `fd` with the current tokio runtime. Whoever else uses the fd may share it: a
/// thousand workers leave none to spare for duplicates.
///
/// # Errors
/// What registering with epoll gives.
///
/// # Panics
/// Outside a tokio runtime.
pub fn register(
    fd: impl Into<Arc<OwnedFd>>,
    interest: Interest,
) -> io::Result<AsyncFd<Arc<OwnedFd>>> {
    // SAFETY: an OwnedFd is open, stays the same fd, and is closed by nobody else for as
    // long as it lives, which an Arc of it prolongs, and both give it out by shared reference
    // only.
    let registered = unsafe { AsyncFd::register_with_interest(fd.into(), interest) };
    registered.map_err(io::Error::from)
}
