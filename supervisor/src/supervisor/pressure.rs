//! Stalls (PSI): when workers stand still for want of memory or CPU time, whose tasks do.
//!
//! The kernel announces stalls in the group that all workers are in. Where it measures none
//! for groups, on cgroup v1 alone, none are told, as `cordon doctor` says: the host's own
//! pressure says nothing of a plugin.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Weak};
use std::time::Duration;

use sandbox::cgroup::Stalled;
use sandbox::sys::readiness::register;
use tokio::io::Interest;
use tokio::time::sleep;

use super::Shared;
use crate::notice::{Notice, Resource};
use crate::worker::Worker;

/// What is announced, of any 2 s, and told, in proportion. CPU time is waited for as soon as
/// two threads want the one core that a plugin has by default.
const ANNOUNCED: Stalled = Stalled {
    memory: Duration::from_millis(200),
    cpu: Duration::from_secs(1),
};
/// For how long it is looked whose stall it is.
const LOOK: Duration = Duration::from_secs(1);
/// Workers looked at before other tasks have their turn.
const BATCH: usize = 32;

impl Shared {
    /// Begins to watch with the first worker, through which the group is found.
    pub(super) fn watch_pressure(self: &Arc<Self>, worker: &Worker) {
        self.pressure
            .call_once(|| match worker.common_pressure(ANNOUNCED) {
                Ok(Some(triggers)) => drop(tokio::spawn(watch(Arc::downgrade(self), triggers))),
                // `cordon doctor` says so.
                Ok(None) => {}
                Err(error) => tracing::warn!("stalls of plugins aren't told: {error}"),
            });
    }
}

async fn watch(shared: Weak<Shared>, triggers: [OwnedFd; 2]) {
    let [memory, cpu] = triggers.map(|trigger| register(trigger, Interest::PRIORITY));
    let (memory, cpu) = match (memory, cpu) {
        (Ok(memory), Ok(cpu)) => (memory, cpu),
        (Err(error), _) | (_, Err(error)) => {
            tracing::warn!("stalls of plugins aren't told: {error}");
            return;
        }
    };
    loop {
        let ready = tokio::select! {
            ready = memory.ready(Interest::PRIORITY) => ready,
            ready = cpu.ready(Interest::PRIORITY) => ready,
        };
        let Ok(mut ready) = ready else { return };
        ready.clear_ready();
        let Some(workers) = shared.upgrade().map(|shared| shared.workers()) else {
            return;
        };
        let before = stalled(workers).await;
        sleep(LOOK).await;
        for (count, (worker, before)) in before.into_iter().enumerate() {
            if let Some(worker) = worker.upgrade()
                && let Some(after) = worker.stalled()
            {
                tell(&worker, before, after);
            }
            turn(count).await;
        }
    }
}

/// How long tasks of each stood still so far. Workers that end meanwhile aren't held.
async fn stalled(workers: Vec<Arc<Worker>>) -> Vec<(Weak<Worker>, Stalled)> {
    let mut found = Vec::with_capacity(workers.len());
    for (count, worker) in workers.into_iter().enumerate() {
        let stalled = worker.stalled();
        found.extend(stalled.map(|stalled| (Arc::downgrade(&worker), stalled)));
        turn(count).await;
    }
    found
}

/// Now and then other tasks have their turn.
async fn turn(count: usize) {
    if count % BATCH == BATCH - 1 {
        tokio::task::yield_now().await;
    }
}

fn tell(worker: &Worker, before: Stalled, after: Stalled) {
    let rows = [
        (
            Resource::Memory,
            after.memory.saturating_sub(before.memory),
            ANNOUNCED.memory,
        ),
        (
            Resource::Cpu,
            after.cpu.saturating_sub(before.cpu),
            ANNOUNCED.cpu,
        ),
    ];
    for (resource, stalled, announced) in rows {
        if stalled >= announced / 2 {
            worker.plugin.record.notice(Notice::Stalled {
                resource,
                stalled,
                within: LOOK,
            });
        }
    }
}
