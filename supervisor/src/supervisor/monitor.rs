//! The polls: every worker's usage at an interval. Events come by themselves, see
//! [`crate::worker`].

use std::sync::{Arc, Weak};

use super::Shared;
use crate::worker::Worker;

/// Audits all workers at policy's interval until the supervisor is gone.
pub(super) async fn poll(shared: Weak<Shared>) {
    loop {
        let Some(interval) = shared
            .upgrade()
            .map(|shared| shared.policy.monitor_interval)
        else {
            return;
        };
        tokio::time::sleep(interval.as_duration()).await;
        let Some(shared) = shared.upgrade() else {
            return;
        };
        shared.audit();
    }
}

impl Shared {
    /// Reads every worker's usage and holds it against its limits.
    pub(super) fn audit(&self) {
        let workers: Vec<Arc<Worker>> = self
            .plugins()
            .values()
            .filter_map(|entry| entry.worker.clone())
            .collect();
        for worker in workers {
            worker.audit();
        }
    }
}
