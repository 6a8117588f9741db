//! What a worker takes, read from outside at an interval and held against its limits.

use std::sync::Arc;
use std::time::Duration;

use sandbox::cgroup::Usage;

use super::usage::Connections;
use super::{Worker, lock};
use crate::ending::Ending;
use crate::grants::Grants;
use crate::limits::{Amount, LimitName, Quantity};
use crate::units::{ByteSize, Count};
use crate::usage::Reading;
use crate::violations::{Kind, Tier};

/// Which limits were passed at the last reading, so that one overstep counts once.
#[derive(Debug, Default)]
pub(super) struct Above {
    /// The last reading of its group.
    pub(super) usage: Option<Usage>,
    limits: Vec<LimitName>,
}

/// Files of `/proc` that the supervisor's I/O thread looks at in an audit: what a plugin may
/// bring beyond that must not keep the others waiting.
const MOST_LOOKED_AT: u64 = 256;

impl Worker {
    /// The audit, where it doesn't take the I/O thread for long.
    pub(crate) async fn audit_in_turn(self: &Arc<Self>) {
        if self.looked_at() <= MOST_LOOKED_AT {
            self.audit();
            return;
        }
        let worker = Arc::clone(self);
        // It fails only with the runtime.
        tokio::task::spawn_blocking(move || worker.audit())
            .await
            .ok();
    }

    /// How many files of `/proc` an audit may have to look at: as many as its limits let the
    /// plugin make.
    fn looked_at(&self) -> u64 {
        let Grants { limits, .. } = &self.plugin.grants;
        let processes = match self.plugin.grants.processes {
            true => limits.threads.hard().raw(),
            false => 1,
        };
        let each = match self.connections {
            Connections::OfProcesses => limits.fds.hard().raw(),
            Connections::Impossible | Connections::OfNamespace => 1,
        };
        processes.saturating_mul(each)
    }

    /// The audit: one reading, held against the declared limits.
    pub(crate) fn audit(&self) -> Option<Reading> {
        let reading = self.read_usage()?;
        let rows = [
            (LimitName::Heap, ByteSize::bytes(reading.heap).amount()),
            (LimitName::Threads, Count::new(reading.threads).amount()),
            (LimitName::Fds, Count::new(reading.fds).amount()),
            (LimitName::Disk, ByteSize::bytes(reading.disk).amount()),
        ];
        for (name, used) in rows {
            self.audit_limit(name, used);
        }
        if let Some(share) = self.cpu_share(Duration::from_micros(reading.cpu_us)) {
            // The kernel lets no more through: what seems so is the error of the measurement.
            let most = self.plugin.grants.limits.cpu_share.hard();
            self.audit_limit(LimitName::CpuShare, share.min(most).amount());
        }
        if let Some(connections) = reading.connections {
            self.audit_limit(LimitName::Connections, Count::new(connections).amount());
        }
        self.audit_background();
        self.audit_events();
        self.plugin.record.set_usage(reading);
        Some(reading)
    }

    /// Holds the heap against its limit, between two audits.
    pub(super) fn audit_heap(&self) {
        let declared = self.plugin.grants.limits.heap.declared().as_u64();
        let heap = self
            .probe
            .as_ref()
            .map(|probe| probe.heap_at_most(declared));
        if let Some(Ok(heap)) = heap {
            self.audit_limit(LimitName::Heap, ByteSize::bytes(heap).amount());
        }
    }

    /// Counts an overstep once, until usage was below the limit again. Above the hard tier it is
    /// killed, where the kernel has no limit for that sum.
    fn audit_limit(&self, name: LimitName, used: Amount) {
        let limit = self.plugin.grants.limits.get(name);
        if used.raw() > limit.hard().raw() && !name.is_held_by_kernel() {
            let ending = Ending::Limit {
                resource: name,
                used,
                limit: limit.hard(),
            };
            if self.kill(ending) {
                self.overstep(name, Tier::Hard, used);
            }
            return;
        }
        let over = used.raw() > limit.declared().raw();
        let new = {
            let mut above = lock(&self.above);
            let was = above.limits.contains(&name);
            match (over, was) {
                (true, false) => above.limits.push(name),
                (false, true) => above.limits.retain(|known| *known != name),
                _ => {}
            }
            over && !was
        };
        if new {
            self.overstep(name, Tier::Declared, used);
        }
    }

    /// Records that a tier of a limit was passed.
    pub(super) fn overstep(&self, name: LimitName, tier: Tier, used: impl Into<Option<Amount>>) {
        let limit = self.plugin.grants.limits.get(name);
        let limit = match tier {
            Tier::Declared => limit.declared(),
            Tier::Hard => limit.hard(),
        };
        let violation = self.violation(Kind::Limit {
            resource: name,
            tier,
        });
        self.violate(
            violation
                .measured(used, limit)
                .allowed_by(format!("limits.{name}")),
        );
    }
}
