//! What a worker takes, read from outside at an interval and held against its limits.

use std::time::Duration;

use rustix::fs::{CWD, StatxFlags, statx};
use sandbox::cgroup::Usage;

use super::{Worker, lock};
use crate::ending::Ending;
use crate::limits::{Amount, LimitName, Quantity};
use crate::units::{ByteSize, Count};
use crate::usage::Reading;
use crate::violations::{Kind, Tier};

/// Which limits were passed at the last reading, so that one overstep counts once.
#[derive(Debug, Default)]
pub(super) struct Above {
    limits: Vec<LimitName>,
}

impl Worker {
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
        self.audit_background();
        self.audit_events();
        self.plugin.record.set_usage(reading);
        Some(reading)
    }

    /// Holds the heap against its limit, between two audits.
    pub(super) fn audit_heap(&self) {
        let usage = self.probe.as_ref().and_then(|probe| probe.usage().ok());
        if let Some(usage) = usage {
            self.audit_limit(LimitName::Heap, ByteSize::bytes(usage.heap).amount());
        }
    }

    /// Counts an overstep once, until usage was below the limit again. Above the hard tier,
    /// which takes more than what the kernel holds it to, it is killed.
    fn audit_limit(&self, name: LimitName, used: Amount) {
        let limit = self.plugin.grants.limits.get(name);
        if used.raw() > limit.hard().raw() {
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

    /// Reads what it takes now. Void if the worker ended meanwhile.
    pub(crate) fn read_usage(&self) -> Option<Reading> {
        let usage = match &self.probe {
            Some(probe) => probe.usage().ok()?,
            None => self.own_usage()?,
        };
        // The size of the folder is the number of open fds (Linux 6.2, proc_pid_fd(5)).
        let path = format!("/proc/{}/fd", self.pid);
        let counted = statx(
            CWD,
            path.as_str(),
            rustix::fs::AtFlags::empty(),
            StatxFlags::SIZE,
        );
        let fds = match counted {
            Ok(stat) if stat.stx_size > 0 => stat.stx_size,
            _ => std::fs::read_dir(path).ok()?.count() as u64,
        };
        sandbox::sys::pidfd::pid(&self.pidfd).ok()?;
        Some(Reading {
            heap: usage.heap,
            cpu_us: usage.cpu.as_micros() as u64,
            threads: u64::from(usage.tasks).saturating_sub(1),
            fds,
            disk: self.disk_usage()?,
        })
    }

    /// What its one process takes, where there is no cgroup to count: see proc_pid_status(5).
    fn own_usage(&self) -> Option<Usage> {
        let process = procfs::process::Process::new(self.pid as i32).ok()?;
        let status = process.status().ok()?;
        let bytes = |kib: Option<u64>| kib.unwrap_or(0).saturating_mul(1024);
        Some(Usage {
            heap: bytes(status.rssanon).saturating_add(bytes(status.rssshmem)),
            memory: bytes(status.vmrss),
            cpu: self.cpu_time()?,
            // A group would count init too.
            tasks: u32::try_from(status.threads).ok()?.saturating_add(1),
        })
    }

    /// Records that a tier of a limit was passed.
    pub(super) fn overstep(&self, name: LimitName, tier: Tier, used: Amount) {
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
