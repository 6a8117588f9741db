//! The polls: every worker's usage at an interval. Events come by themselves, see
//! [`crate::worker`].

use std::sync::{Arc, Weak};
use std::time::Instant;

use super::{Entry, Shared};
use crate::metrics::Metrics;
use crate::worker::Worker;

/// Parts of an interval: in each of them some workers have their turn, so that a thousand
/// don't have it at once.
const TURNS: u32 = 16;

/// Whose turn is when: one timer for all workers.
#[derive(Debug, Default)]
pub(super) struct Rota {
    turns: [Vec<Weak<Worker>>; TURNS as usize],
    /// The turn that comes next.
    next: usize,
}

impl Rota {
    /// Gives a worker its turn, where the fewest others have theirs.
    pub(super) fn add(&mut self, worker: &Arc<Worker>) {
        let fewest = self.turns.iter_mut().min_by_key(|turn| turn.len());
        if let Some(turn) = fewest {
            turn.push(Arc::downgrade(worker));
        }
    }

    /// The workers that have their turn now; those that ended are forgotten.
    fn turn(&mut self) -> impl Iterator<Item = Arc<Worker>> {
        let next = (self.next + 1) % self.turns.len();
        let turn = &mut self.turns[std::mem::replace(&mut self.next, next)];
        turn.retain(|worker| worker.strong_count() > 0);
        turn.iter().filter_map(Weak::upgrade)
    }
}

/// Audits all workers within each of policy's intervals until the supervisor is gone.
pub(super) async fn poll(shared: Weak<Shared>) {
    let interval = shared
        .upgrade()
        .map(|shared| shared.policy.monitor_interval);
    let Some(interval) = interval else { return };
    let pause = interval.as_duration() / TURNS;
    let mut due = Instant::now();
    loop {
        // One that was suspended doesn't catch up.
        due = (due + pause).max(Instant::now());
        tokio::time::sleep_until(due.into()).await;
        let Some(shared) = shared.upgrade() else {
            return;
        };
        let workers: Vec<_> = shared.rota().turn().collect();
        for worker in workers {
            worker.audit_in_turn().await;
            tokio::task::yield_now().await;
        }
        if shared.rota().next == 0 {
            shared.publish();
        }
    }
}

impl Shared {
    /// Reads every worker's usage and holds it against its limits.
    pub(super) fn audit(&self) {
        for worker in self.workers() {
            worker.audit();
        }
        self.publish();
    }

    pub(super) fn workers(&self) -> Vec<Arc<Worker>> {
        let plugins = self.plugins();
        plugins
            .values()
            .filter_map(|entry| entry.worker.clone())
            .collect()
    }

    /// What was counted of every plugin.
    pub(super) fn metrics(&self) -> Metrics {
        let of = |entry: &Entry| entry.record.metrics(entry.worker.as_deref());
        Metrics::now(self.plugins().values().map(of))
    }

    /// Tells it to those who wait for it, if there are any.
    pub(super) fn publish(&self) {
        if self.published.receiver_count() > 0 {
            self.published.send_replace(Arc::new(self.metrics()));
        }
    }
}
