//! The worker's serve loop: one plugin, one thread, blocking.
//!
//! ```text
//! greet ─► handshake   locked down, or not
//! serve ─► session   what to do with a request, and in which stage of the plugin's life
//!            ├─► services  the host's functions, for the plugin's call that runs
//!            ├─► link      the connection: requests in, replies out, host calls in between
//!            │     ├─► inbox     what came and isn't dealt with yet; no I/O
//!            │     ├─► batch     which replies go out with one write; no I/O
//!            │     └─► transport reading with and without waiting
//!            └─► plugin    (load.rs, or a test's)
//! ```
//!
//! The kernel interface once it serves: `read`, `write`, `recvfrom` without waiting, memory.

mod batch;
mod handshake;
mod inbox;
mod link;
mod services;
mod session;
mod transport;

#[cfg(test)]
mod tests;

use std::io;
use std::os::fd::OwnedFd;

use ipc_proto::channel::RecvError;
use ipc_proto::frame::{DecodeError, EncodeError};
use ipc_proto::version::HandshakeError;
use sandbox::launch::Failure;
use sandbox::steps::worker::Confined;
use thiserror::Error;

use crate::load::Dlopen;

/// Tells the supervisor at `ipc` how the lockdown ended, and hands it the filter's listener.
///
/// # Errors
/// [`ServeError`]: the process is to exit.
pub(crate) fn greet(ipc: &OwnedFd, lockdown: Result<Confined, &Failure>) -> Result<(), ServeError> {
    let socket = transport::Socket::new(ipc);
    handshake::greet(socket, socket, lockdown)
}

/// Serves the supervisor at `ipc` until it asks for the end, after which the process is to exit 0.
///
/// Begins with receiving the supervisor's hello; this side's hello and `Ready` are out already.
///
/// # Errors
/// [`ServeError`]: the process is to exit otherwise.
pub(crate) fn serve(ipc: OwnedFd) -> Result<(), ServeError> {
    let socket = transport::Socket::new(&ipc);
    session::run(socket, socket, &mut Dlopen)
}

/// Why a worker can't go on. The supervisor is trusted: each of these is its end, or a defect.
#[derive(Debug, Error)]
pub(crate) enum ServeError {
    /// It went without asking for the end.
    #[error("the supervisor closed the connection")]
    Closed,
    /// Reading failed, or what came is not the protocol.
    #[error(transparent)]
    Receive(#[from] RecvError),
    /// Writing failed.
    #[error("cannot write to the supervisor: {0}")]
    Send(#[source] io::Error),
    /// A message of ours passed a limit of the wire.
    #[error("cannot send: {0}")]
    Encode(#[from] EncodeError),
    /// It is not the supervisor that this worker was built for.
    #[error(transparent)]
    Handshake(#[from] HandshakeError),
    /// A message that has no place in this stage of the plugin's life.
    #[error("{message} while {stage}")]
    OutOfSequence {
        /// Which message.
        message: &'static str,
        /// The stage that doesn't allow it.
        stage: &'static str,
    },
    /// An answer to a host call that was never made.
    #[error("an answer to host call {seq}, which was never made")]
    UnknownHostCall {
        /// Its number.
        seq: u32,
    },
}

impl From<DecodeError> for ServeError {
    fn from(error: DecodeError) -> Self {
        Self::Receive(error.into())
    }
}
