//! A live worker attested again: at policy's interval, and after whatever may be the sign of
//! an attempt.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sandbox::attest::{AttestError, Subject, attest_again};
use sandbox::report::Report;
use tokio::time::{Instant, sleep, sleep_until};

use super::Worker;
use crate::ending::Ending;
use crate::violations::Kind;

/// Time between two attestations that events ask for, and after one that came to nothing.
const REST: Duration = Duration::from_secs(1);
/// How often in a row a process may be there without showing itself: one that ends needs a
/// moment, and one that hides behind threads which come and go gets no more.
const PATIENCE: u32 = 10;

/// Attests the worker again and again until it ends.
pub(super) async fn repeat(worker: Arc<Worker>) {
    let ended = async { drop(worker.ended().await) };
    tokio::select! { () = ended => {}, () = watch(&worker) => {} }
}

async fn watch(worker: &Arc<Worker>) {
    let mut rested = Instant::now();
    let mut hidden = 0;
    loop {
        tokio::select! {
            () = sleep(worker.times.attest) => {}
            () = worker.suspect.notified() => {
                sleep_until(rested).await;
                rested = Instant::now() + REST;
            }
        }
        while let Err(error) = look(worker).await {
            // A process that ends has no memory any more, and the kernel denies much of it then.
            let unseen = matches!(error, AttestError::Gone | AttestError::Read { .. });
            hidden += u32::from(!error.is_shortage());
            if !unseen || hidden == PATIENCE {
                worker.differs(&error);
                return;
            }
            sleep(REST).await;
        }
        hidden = 0;
        worker.attestations.fetch_add(1, Ordering::Relaxed);
    }
}

/// On a thread of its own: what a plugin's threads and fds cost to read, calls don't wait
/// for.
async fn look(worker: &Arc<Worker>) -> Result<(), AttestError> {
    let worker = Arc::clone(worker);
    let looked = tokio::task::spawn_blocking(move || worker.attest().map(drop));
    // A look that came to no end has seen nothing.
    looked.await.unwrap_or(Err(AttestError::Gone))
}

impl Worker {
    /// Reads its confinement back, now. Reads procfs: not for a thread that serves others.
    ///
    /// # Errors
    /// [`AttestError`]: what differs, or that the worker ended meanwhile.
    pub fn attest(&self) -> Result<Report, AttestError> {
        let subject = Subject {
            worker: self.pidfd.as_fd(),
            init: self.init.as_fd(),
            groups: self.probe.as_ref(),
        };
        attest_again(subject, &self.expected, &self.baseline)
    }

    /// How often it was found to be confined as it must be.
    #[must_use]
    pub fn attestations(&self) -> u64 {
        self.attestations.load(Ordering::Relaxed)
    }

    fn differs(&self, error: &AttestError) {
        let what = error.to_string();
        let cause = Ending::Confinement { what: what.clone() };
        if self.end_for(&Kind::Confinement, cause) {
            self.violate(self.violation(Kind::Confinement).seen(&what));
        }
    }
}
