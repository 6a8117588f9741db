//! What the kernel says of itself: refusals and pressure, as they happen.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sandbox::cgroup::{Events, Probe, Readiness, Watch};
use sandbox::sys::readiness::register;
use tokio::io::Interest;

use super::{Worker, lock};
use crate::limits::{LimitName, Quantity};
use crate::units::Count;
use crate::violations::Tier;

/// How soon after a call the counters without an event of their own are read.
const UNNOTIFIED: Duration = Duration::from_millis(50);

/// Follows the kernel's own events until the worker ends.
pub(super) async fn watch(worker: Arc<Worker>) {
    let Some(probe) = &worker.probe else { return };
    let memory = follow(&worker, probe.memory_watch());
    let pids = probe.pids_watch();
    let pids = async {
        match pids {
            Some(watch) => follow(&worker, watch).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! { () = memory => {}, () = pids => {}, _ = worker.ended() => {} }
}

async fn follow(worker: &Worker, watch: Watch<'_>) {
    let interest = match watch.readiness {
        Readiness::Priority => Interest::PRIORITY,
        Readiness::Readable => Interest::READABLE,
    };
    let Ok(fd) = watch.fd.try_clone_to_owned() else {
        return;
    };
    let Ok(fd) = register(fd, interest) else {
        return;
    };
    loop {
        let Ok(mut ready) = fd.ready(interest).await else {
            return;
        };
        worker.audit_events();
        worker.suspect.notify_one();
        ready.clear_ready();
    }
}

impl Worker {
    /// After a call that may have been refused threads without an event: v1 counts such
    /// refusals and notifies nobody.
    pub(super) fn schedule_audit(&self) {
        let unnotified = |probe: &Probe| probe.pids_watch().is_none();
        if self.probe.as_ref().is_some_and(unnotified) {
            lock(&self.above)
                .due
                .get_or_insert(Instant::now() + UNNOTIFIED);
        }
    }

    pub(super) fn next_audit(&self) -> Option<Instant> {
        lock(&self.above).due
    }

    pub(super) fn audit_if_due(&self, now: Instant) {
        let due = lock(&self.above).due.take_if(|due| *due <= now).is_some();
        if due {
            self.audit_events();
        }
    }

    /// What the kernel counted since the last look.
    pub(super) fn audit_events(&self) {
        let events = self.probe.as_ref().and_then(|probe| probe.events().ok());
        if let Some(events) = events {
            self.count_events(events);
        }
    }

    /// Records what was refused since the last count.
    pub(super) fn count_events(&self, events: Events) {
        let before = lock(&self.above).events.replace(events);
        let refused = events.pids_max_hits - before.map_or(0, |before| before.pids_max_hits);
        if refused > 0 {
            let limit = self.plugin.grants.limits.threads.hard().raw();
            self.overstep(
                LimitName::Threads,
                Tier::Hard,
                Count::new(limit + 1).amount(),
            );
        }
    }
}
