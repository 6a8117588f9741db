//! The launch, in the order of ARCHITECTURE.md: [`launcher`] makes the groups and the
//! namespaces, [`init`] builds the root and forks, [`guard`]
//! waits for what it forked, [`worker`] locks itself down.

mod group;
mod guard;
pub mod init;
pub(crate) mod instance;
pub mod launcher;
mod rootless;
pub mod worker;
mod workers;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::launch::{Cause, Failure, Stage, Step};

/// Numbers under which a worker finds its fds after exec.
pub mod fds {
    /// Standard input: `/dev/null` of the private root.
    pub const STDIN: i32 = 0;
    /// Standard output: a pipe to the supervisor.
    pub const STDOUT: i32 = 1;
    /// Standard error: a pipe to the supervisor.
    pub const STDERR: i32 = 2;
    /// The socket to the supervisor.
    pub const IPC: i32 = 3;
    /// A sealed memfd with the [`Lockdown`](crate::plan::Lockdown), closed once read.
    pub const LOCKDOWN: i32 = 4;
    /// The status pipe, closed by exec.
    pub(crate) const STATUS: i32 = 5;
    /// The worker's program, closed by exec.
    pub(crate) const PROGRAM: i32 = 6;
}

/// Argument that makes `cordon-worker` a worker.
pub const WORKER_ARGUMENT: &str = "worker";
/// Argument that makes `cordon-worker` the launcher.
pub const LAUNCHER_ARGUMENT: &str = "launcher";

/// The writing end of the status pipe: a record per finished step; end of file means
/// that the worker was executed, since exec closes the last copy.
pub(crate) struct Status(OwnedFd);

/// `step`, `errno` (0: done), and the time in nanoseconds.
const RECORD: usize = 16;

impl Status {
    pub(crate) fn new(pipe: OwnedFd) -> Status {
        Status(pipe)
    }

    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// Runs one step and reports it; on failure the process ends here.
    pub(crate) fn step<T>(&self, step: Step, work: impl FnOnce() -> io::Result<T>) -> T {
        match work() {
            Ok(value) => {
                self.write(step, 0);
                value
            }
            Err(error) => {
                self.write(step, error.raw_os_error().unwrap_or(libc::EIO));
                crate::sys::clone::exit_now(1)
            }
        }
    }

    fn write(&self, step: Step, errno: i32) {
        let mut record = [0; RECORD];
        record[..4].copy_from_slice(&(step as u32).to_le_bytes());
        record[4..8].copy_from_slice(&errno.to_le_bytes());
        record[8..].copy_from_slice(&now().to_le_bytes());
        // If nobody reads any more the launcher is gone, and so are we in a moment.
        let _ = rustix::io::write(&self.0, &record);
    }
}

/// What the status pipe said so far.
#[derive(Default)]
pub(crate) struct Progress {
    pub(crate) stages: Vec<Stage>,
    pub(crate) failure: Option<Failure>,
}

impl Progress {
    /// Reads what is there; `true` at the end of the pipe.
    pub(crate) fn read(&mut self, pipe: BorrowedFd<'_>) -> bool {
        let mut buffer = [0; RECORD * 32];
        // Records are far below PIPE_BUF: none is ever torn.
        match rustix::io::read(pipe, &mut buffer) {
            Ok(0) => true,
            Ok(length) => {
                buffer[..length]
                    .chunks_exact(RECORD)
                    .for_each(|record| self.take(record));
                false
            }
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => false,
            Err(_) => true,
        }
    }

    fn take(&mut self, record: &[u8]) {
        let number = |range: std::ops::Range<usize>| {
            record[range]
                .iter()
                .rev()
                .fold(0u64, |value, byte| value << 8 | u64::from(*byte))
        };
        let Some(step) = Step::from_number(number(0..4) as u32) else {
            return;
        };
        match number(4..8) as i32 {
            0 => self.stages.push(Stage {
                step,
                at: number(8..16),
            }),
            errno => {
                self.failure.get_or_insert(Failure {
                    step,
                    cause: Cause::Errno(errno),
                });
            }
        }
    }
}

/// `CLOCK_MONOTONIC` in nanoseconds.
#[must_use]
pub fn now() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
