//! What violations bring a live worker: less CPU time, and a closer look.

use std::sync::Arc;

use sandbox::cgroup::CpuMax;
use tokio::time::sleep;

use super::{Worker, lock};
use crate::violations::{Action, Actions};

/// Restrains a worker as policy has it, until it ends.
pub(super) async fn restrain(worker: Arc<Worker>) {
    tokio::select! { () = follow(&worker) => {}, _ = worker.ended() => {} }
}

async fn follow(worker: &Arc<Worker>) {
    loop {
        let restrictions = worker.throttle();
        if restrictions.is_empty() {
            worker.restrained.notified().await;
            continue;
        }
        // Also to see when it is over.
        let interval = worker.plugin.record.violation_rules().watch.as_duration();
        tokio::select! {
            () = worker.restrained.notified() => {}
            () = sleep(interval) => {
                if restrictions.contains(Action::Watch) {
                    worker.audit_in_turn().await;
                }
            }
        }
    }
}

impl Worker {
    /// What restricts it at the moment, as far as it does.
    pub(crate) fn restrictions(&self) -> Actions {
        let wanted = self.plugin.record.restrictions();
        match *lock(&self.throttled) {
            true => wanted,
            false => wanted.without(Action::Throttle),
        }
    }

    /// Gives it as much CPU time as its plugin's restrictions leave; they are the answer.
    pub(super) fn throttle(&self) -> Actions {
        let restrictions = self.plugin.record.restrictions();
        let wanted = restrictions.contains(Action::Throttle);
        if *lock(&self.throttled) == wanted {
            return restrictions;
        }
        let Some(granted) = self.granted_cpu() else {
            self.unthrottled("it has no cgroup");
            return restrictions;
        };
        let set = |probe: &sandbox::cgroup::Probe| match wanted {
            true => probe.set_cpu_max(self.throttled_cpu(granted)),
            false => probe.set_cpu_max(granted),
        };
        match self.probe.as_ref().map(set) {
            Some(Ok(())) => *lock(&self.throttled) = wanted,
            Some(Err(error)) => self.unthrottled(&error.to_string()),
            None => self.unthrottled("it has no cgroup"),
        }
        restrictions
    }

    fn granted_cpu(&self) -> Option<CpuMax> {
        Some(self.expected.applied.as_ref()?.cpu_max)
    }

    fn throttled_cpu(&self, granted: CpuMax) -> CpuMax {
        let share = self.plugin.record.violation_rules().throttle.as_u32();
        let quota_us = granted.period_us * u64::from(share) / 100;
        CpuMax {
            // cpu.max takes no less.
            quota_us: quota_us.clamp(1000, granted.quota_us.max(1000)),
            ..granted
        }
    }

    /// Tells it once for each worker.
    fn unthrottled(&self, why: &str) {
        if !std::mem::replace(&mut *lock(&self.told_unthrottled), true) {
            let plugin = self.plugin.id();
            tracing::warn!("{plugin}: its CPU time can't be changed for its violations: {why}");
        }
    }
}
