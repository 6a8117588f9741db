//! Violations told to the host, by a function of its own.

use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::sync::broadcast::{self, error::RecvError};

use crate::violations::Violation;

/// Violations that wait for a host that is slow; beyond them it misses the oldest.
const WAITING: usize = 1024;
/// How long the end of a supervisor waits for the last of them to be told.
const LAST: Duration = Duration::from_secs(5);

/// A violation, as [`Builder::on_violation`](crate::Builder::on_violation) tells it.
#[derive(Debug, Clone)]
pub struct Alert {
    /// What happened.
    pub violation: Arc<Violation>,
    /// Violations that came before it, after the last that was told, and were too many.
    pub missed: u64,
}

/// The host's function.
#[derive(Clone)]
pub(crate) struct Callback(pub(crate) Arc<dyn Fn(&Alert) + Send + Sync>);

impl fmt::Debug for Callback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Callback")
    }
}

/// The way to the thread that the host's function runs on.
#[derive(Debug)]
pub(crate) struct Alerts {
    /// `None` is the end.
    queue: broadcast::Sender<Option<Arc<Violation>>>,
    done: Mutex<Receiver<()>>,
}

impl Alerts {
    /// Starts the thread.
    ///
    /// # Errors
    /// There can't be one more.
    pub(crate) fn start(callback: Callback) -> io::Result<Alerts> {
        let (queue, waiting) = broadcast::channel(WAITING);
        let (ending, done) = channel();
        thread::Builder::new()
            .name("cordon-alerts".into())
            .spawn(move || tell_all(&callback, waiting, &ending))?;
        Ok(Alerts {
            queue,
            done: Mutex::new(done),
        })
    }

    /// Hands a violation over; never waits.
    pub(crate) fn tell(&self, violation: &Arc<Violation>) {
        // An error is a host that panicked beyond rescue: there is nobody to tell.
        self.queue.send(Some(Arc::clone(violation))).ok();
    }

    /// Waits until the last are told, but not for ever: the host's function may hang.
    pub(crate) fn close(&self) {
        self.queue.send(None).ok();
        let done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        // The thread drops its end, and sends nothing.
        if let Err(std::sync::mpsc::RecvTimeoutError::Timeout) = done.recv_timeout(LAST) {
            tracing::warn!("the host's function for violations doesn't return");
        }
    }
}

fn tell_all(
    callback: &Callback,
    mut waiting: broadcast::Receiver<Option<Arc<Violation>>>,
    _ending: &Sender<()>,
) {
    let mut missed = 0;
    loop {
        match waiting.blocking_recv() {
            Ok(Some(violation)) => {
                let missed = std::mem::take(&mut missed);
                let alert = Alert { violation, missed };
                // What it panics with, the panic hook has told.
                catch_unwind(AssertUnwindSafe(|| (callback.0)(&alert))).ok();
            }
            Ok(None) | Err(RecvError::Closed) => return,
            Err(RecvError::Lagged(count)) => missed += count,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::mpsc;
    use std::time::{Instant, UNIX_EPOCH};

    use super::*;
    use crate::violations::Kind;

    fn violation() -> Arc<Violation> {
        let id = "greet".parse().unwrap();
        Arc::new(Violation::new(id, Kind::Protocol, UNIX_EPOCH))
    }

    fn start(callback: impl Fn(&Alert) + Send + Sync + 'static) -> Alerts {
        Alerts::start(Callback(Arc::new(callback))).unwrap()
    }

    #[test]
    fn each_is_told_in_order_and_all_before_the_end() {
        let told = Arc::new(Mutex::new(0_u64));
        let counter = Arc::clone(&told);
        let alerts = start(move |alert| *counter.lock().unwrap() += 1 + alert.missed);
        for _ in 0..100 {
            alerts.tell(&violation());
        }
        alerts.close();
        assert_eq!(*told.lock().unwrap(), 100);
    }

    #[test]
    fn a_host_that_is_slow_misses_the_oldest_and_is_told_how_many() {
        let (go, wait) = mpsc::channel::<()>();
        let wait = Mutex::new(wait);
        let told = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&told);
        let alerts = start(move |alert| {
            kept.lock().unwrap().push(alert.missed);
            wait.lock().unwrap().recv().ok();
        });
        let all = 3 * WAITING as u64;
        for _ in 0..all {
            alerts.tell(&violation());
        }
        drop(go);
        alerts.close();
        let told = told.lock().unwrap();
        assert_eq!(told.len() as u64 + told.iter().sum::<u64>(), all);
        assert!(told.len() <= WAITING + 1);
    }

    #[test]
    fn a_host_that_panics_is_told_the_next() {
        let told = Arc::new(Mutex::new(0));
        let counter = Arc::clone(&told);
        let alerts = start(move |_| {
            let nth = {
                let mut told = counter.lock().unwrap();
                *told += 1;
                *told
            };
            assert!(nth > 1, "the first");
        });
        alerts.tell(&violation());
        alerts.tell(&violation());
        alerts.close();
        assert_eq!(*told.lock().unwrap(), 2);
    }

    #[test]
    fn a_host_that_never_returns_does_not_hold_the_end_up_for_ever() {
        let (_go, wait) = mpsc::channel::<()>();
        let wait = Mutex::new(wait);
        let alerts = start(move |_| {
            wait.lock().unwrap().recv().ok();
        });
        alerts.tell(&violation());
        let began = Instant::now();
        alerts.close();
        assert!(began.elapsed() >= LAST);
    }
}
