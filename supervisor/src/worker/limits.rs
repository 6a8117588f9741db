//! What a worker takes, measured from outside and held against its limits.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::fs::{CWD, StatxFlags, statx};
use sandbox::cgroup::{Events, Probe, Readiness, Usage, Watch};
use sandbox::sys::readiness::register;
use tokio::io::Interest;

use super::{Worker, lock};
use crate::ending::Ending;
use crate::limits::{Amount, LimitName, Quantity};
use crate::units::{ByteSize, Count, TimeSpan};
use crate::usage::Reading;
use crate::violations::{Kind, Tier};

/// How soon after a call the counters without an event of their own are read.
const UNNOTIFIED: Duration = Duration::from_millis(50);

/// Which limits were passed at the last reading, so that one overstep counts once.
#[derive(Debug, Default)]
pub(super) struct Above {
    limits: Vec<LimitName>,
    events: Option<Events>,
    /// When what the kernel counts without saying so is to be read.
    due: Option<Instant>,
}

/// CPU time of the calls in flight, and of what runs between them. With one call its own;
/// with several only their sum can be told, and the sum of their limits is enforced.
#[derive(Debug, Default)]
pub(super) struct CpuMeter {
    started: HashMap<u64, Duration>,
    since: Duration,
    calls: u32,
    told: bool,
    /// The clock when the last call ended: from then on nobody asked it to work.
    idle: Duration,
    /// Taken between calls since the last audit.
    background: Duration,
}

impl CpuMeter {
    pub(super) fn begin(&mut self, call: u64, now: Duration) {
        if self.started.is_empty() {
            self.background += now.saturating_sub(self.idle);
            (self.since, self.calls, self.told) = (now, 0, false);
        }
        self.calls += 1;
        self.started.insert(call, now);
    }

    /// The call's share, if it was the only one.
    fn end(&mut self, call: u64, now: Option<Duration>) -> Option<Duration> {
        let started = self.started.remove(&call)?;
        let now = now?;
        self.idle = now;
        (self.calls == 1).then(|| now.saturating_sub(started))
    }

    fn used(&self, now: Duration) -> Option<Duration> {
        (!self.started.is_empty()).then(|| now.saturating_sub(self.since))
    }

    /// What ran between calls since this was asked last.
    fn take_background(&mut self, now: Duration) -> Duration {
        if self.started.is_empty() {
            self.background += now.saturating_sub(self.idle);
            self.idle = now;
        }
        std::mem::take(&mut self.background)
    }
}

impl Worker {
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

    /// The audit: one reading, held against the declared limits.
    pub(crate) fn audit(&self) -> Option<Reading> {
        let reading = self.read_usage()?;
        let rows = [
            (LimitName::Heap, ByteSize::bytes(reading.heap).amount()),
            (LimitName::Threads, Count::new(reading.threads).amount()),
            (LimitName::Fds, Count::new(reading.fds).amount()),
        ];
        for (name, used) in rows {
            self.audit_limit(name, used);
        }
        self.audit_background();
        self.audit_events();
        self.plugin.record.set_usage(reading);
        Some(reading)
    }

    /// Work that no call asked for gets what one call gets, between two polls.
    fn audit_background(&self) {
        let Some(now) = self.cpu_time() else { return };
        let taken = lock(&self.cpu).take_background(now);
        if taken > self.plugin.grants.limits.cpu.declared().as_duration() {
            self.overstep(LimitName::Cpu, Tier::Declared, amount(taken));
        }
    }

    /// Counts an overstep once, until usage was below the limit again.
    fn audit_limit(&self, name: LimitName, used: Amount) {
        let declared = self.plugin.grants.limits.get(name).declared();
        let over = used.raw() > declared.raw();
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

    /// When CPU time has to be looked at next: no earlier can the calls in flight have
    /// used up their limit, on the cores that the worker may use.
    pub(super) fn next_cpu_check(&self, now: Instant) -> Option<Instant> {
        let clock = self.cpu_time()?;
        let meter = lock(&self.cpu);
        let used = meter.used(clock)?;
        let limit = self.plugin.grants.limits.cpu;
        let tier = if meter.told {
            limit.hard()
        } else {
            limit.declared()
        };
        let budget = Duration::from_micros(tier.raw()) * meter.calls.max(1);
        Some(now + budget.saturating_sub(used).max(Duration::from_millis(5)))
    }

    /// Counts CPU time above the declared limit, and kills above the hard one.
    pub(super) fn check_cpu(&self) {
        let limit = self.plugin.grants.limits.cpu;
        let (declared, hard) = (limit.declared().raw(), limit.hard().raw());
        let Some(clock) = self.cpu_time() else { return };
        let (used, calls, tell) = {
            let mut meter = lock(&self.cpu);
            let Some(used) = meter.used(clock) else {
                return;
            };
            let calls = meter.calls.max(1);
            let tell = !meter.told && used > Duration::from_micros(declared) * calls;
            meter.told |= tell;
            (used, calls, tell)
        };
        if tell {
            self.overstep(LimitName::Cpu, Tier::Declared, amount(used));
        }
        let over = used >= Duration::from_micros(hard) * calls;
        if over && self.kill(Ending::Cpu { used }) {
            self.overstep(LimitName::Cpu, Tier::Hard, amount(used));
        }
    }

    /// A call was answered: its CPU time counts now, whatever the timers saw of it.
    pub(super) fn account_cpu(&self, call: u64) {
        let told = lock(&self.cpu).told;
        let clock = self.cpu_time();
        let Some(used) = lock(&self.cpu).end(call, clock) else {
            return;
        };
        let declared = self.plugin.grants.limits.cpu.declared().as_duration();
        if used > declared && !told {
            self.overstep(LimitName::Cpu, Tier::Declared, amount(used));
        }
    }
}

fn amount(time: Duration) -> Amount {
    TimeSpan::micros(time.as_micros() as u64).amount()
}

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
