//! What init reports: a thread that it holds while it dies, and how the worker ended.

use std::io;
use std::os::fd::OwnedFd;
use std::process::ExitStatus;
use std::sync::Arc;

use rustix::io::read;
use sandbox::sys::readiness::register;
use sandbox::trace::{Held, RECORD, Report};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// The reading end of init's report pipe.
#[derive(Debug)]
pub(super) struct Reports(AsyncFd<Arc<OwnedFd>>);

impl Reports {
    pub(super) fn new(pipe: OwnedFd) -> io::Result<Reports> {
        rustix::io::ioctl_fionbio(&pipe, true)?;
        register(pipe, Interest::READABLE).map(Reports)
    }

    /// Waits for a report; `None` where init has ended without one.
    pub(super) async fn next(&self) -> Option<Report> {
        loop {
            let mut ready = self.0.readable().await.ok()?;
            match one(self.0.get_ref()) {
                Ok(report) => return report,
                Err(rustix::io::Errno::AGAIN) => ready.clear_ready(),
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => return None,
            }
        }
    }

    /// What is left to be read once init has ended: a thread that nobody looked at, and how
    /// the worker ended.
    pub(super) fn rest(&self) -> (Option<Held>, Option<ExitStatus>) {
        let (mut held, mut status) = (None, None);
        // It writes one of each.
        for _ in 0..2 {
            match one(self.0.get_ref()) {
                Ok(Some(Report::Held(thread))) => held = Some(thread),
                Ok(Some(Report::Ended(ended))) => status = Some(ended),
                _ => break,
            }
        }
        (held, status)
    }
}

fn one(pipe: &OwnedFd) -> rustix::io::Result<Option<Report>> {
    let mut record = [0; RECORD];
    // A write of so few bytes to a pipe is never split (pipe(7)).
    let length = read(pipe, &mut record)?;
    Ok(Report::decode(&record[..length]))
}
