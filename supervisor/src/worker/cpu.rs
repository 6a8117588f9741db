//! CPU time of calls, and of what runs between them, held against the limit.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use nix::time::ClockId;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{Worker, lock};
use crate::ending::Ending;
use crate::limits::{Amount, LimitName, Quantity};
use crate::units::{Percent, TimeSpan};
use crate::violations::Tier;

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
    /// When the share was reckoned last, and the clock then.
    reckoned: Option<(Instant, Duration)>,
}

/// Over how long the share of the processors is reckoned, at least: ten times the kernel's
/// period, within which a worker may take all of its share at once.
const SHARE_SPAN: Duration = Duration::from_secs(1);

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

    /// The share taken since this was told last; nothing where that is too short ago.
    fn share(&mut self, now: Instant, clock: Duration) -> Option<Percent> {
        let (since, before) = *self.reckoned.get_or_insert((now, clock));
        let span = now.saturating_duration_since(since);
        if span < SHARE_SPAN {
            return None;
        }
        self.reckoned = Some((now, clock));
        let taken = clock.saturating_sub(before).as_micros();
        let percent = taken.saturating_mul(100) / span.as_micros();
        Some(Percent::new(u32::try_from(percent).unwrap_or(u32::MAX)))
    }
}

impl Worker {
    /// CPU time so far: of the group where the plugin may start processes, else of its one
    /// process.
    pub(super) fn cpu_time(&self) -> Option<Duration> {
        match &self.probe {
            Some(probe) if self.plugin.grants.processes => Some(probe.usage().ok()?.cpu),
            _ => self.own_cpu_time(),
        }
    }

    /// By the process's clock (clock_getcpuclockid(3)). The clock is found by pid: void once
    /// the pidfd says that the process has ended.
    fn own_cpu_time(&self) -> Option<Duration> {
        let pid = nix::unistd::Pid::from_raw(self.pid as i32);
        let time = ClockId::pid_cpu_clock_id(pid).and_then(ClockId::now).ok()?;
        let mut ended = [PollFd::new(&self.pidfd, PollFlags::IN)];
        match poll(&mut ended, Some(&Timespec::default())) {
            Ok(0) => Some(Duration::from(time)),
            _ => None,
        }
    }

    /// The share of the processors that it took since it was asked last: of the group, where
    /// there is one, `clock` being its CPU time.
    pub(super) fn cpu_share(&self, clock: Duration) -> Option<Percent> {
        lock(&self.cpu).share(Instant::now(), clock)
    }

    /// Work that no call asked for gets what one call gets, between two polls.
    pub(super) fn audit_background(&self) {
        let Some(now) = self.cpu_time() else { return };
        let taken = lock(&self.cpu).take_background(now);
        if taken > self.plugin.grants.limits.cpu.declared().as_duration() {
            self.overstep(LimitName::Cpu, Tier::Declared, amount(taken));
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
