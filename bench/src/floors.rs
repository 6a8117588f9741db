//! What the bare kernel takes for the least that could do the same.

use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::thread::{MembarrierCommand, membarrier};

use crate::Result;

/// The argument that makes this program the far end of a [`PingPong`]; the size follows.
pub(crate) const PONG: &str = "pong";

/// One start of a program and its end. `Command` takes posix_spawn(3), which is vfork and
/// exec, as long as nothing is asked of it that the child would have to do itself.
pub(crate) fn spawn_and_wait(program: &Path) -> Result<Duration> {
    let mut command = Command::new(program);
    let started = Instant::now();
    let status = command.status()?;
    let took = started.elapsed();
    if !status.success() {
        return Err(format!("{} ended with {status}", program.display()).into());
    }
    Ok(took)
}

/// One RCU grace period, for which cgroup v1 waits when a process joins a group.
/// `MEMBARRIER_CMD_GLOBAL` is such a wait and nothing else, see membarrier(2).
pub(crate) fn grace_period() -> Result<Duration> {
    let started = Instant::now();
    membarrier(MembarrierCommand::Global)?;
    Ok(started.elapsed())
}

/// Messages of one size to another process and back over a blocking SOCK_STREAM socket.
#[derive(Debug)]
pub(crate) struct PingPong {
    socket: UnixStream,
    message: Vec<u8>,
    peer: Child,
}

impl PingPong {
    pub(crate) fn start(size: usize) -> Result<PingPong> {
        let (socket, theirs) = UnixStream::pair()?;
        let peer = Command::new(std::env::current_exe()?)
            .args([PONG, &size.to_string()])
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .spawn()?;
        Ok(PingPong {
            socket,
            message: vec![0; size],
            peer,
        })
    }

    pub(crate) fn peer(&self) -> u32 {
        self.peer.id()
    }

    /// One round trip.
    pub(crate) fn ping(&mut self) -> Result<Duration> {
        let started = Instant::now();
        self.socket.write_all(&self.message)?;
        self.socket.read_exact(&mut self.message)?;
        Ok(started.elapsed())
    }
}

impl Drop for PingPong {
    fn drop(&mut self) {
        // The end of the stream is the end of the peer.
        self.socket.shutdown(std::net::Shutdown::Both).ok();
        self.peer.wait().ok();
    }
}

/// The far end: sends back what comes on stdin, a socket, until it closes.
pub(crate) fn pong(size: &str) -> Result<()> {
    let mut socket = UnixStream::from(std::io::stdin().as_fd().try_clone_to_owned()?);
    let mut message = vec![0; size.parse()?];
    while socket.read_exact(&mut message).is_ok() {
        socket.write_all(&message)?;
    }
    Ok(())
}
