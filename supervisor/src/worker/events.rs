//! What the kernel announces of a worker's group, as it happens.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sandbox::cgroup::{Events, FileError, Probe, Stalled};
use tokio::io::unix::AsyncFd;
use tokio::time::sleep;

use super::{Worker, lock};
use crate::ending::Ending;
use crate::limits::{LimitName, Quantity};
use crate::notice::{MemoryEvent, Notice};
use crate::units::{ByteSize, Count};
use crate::violations::{Kind, Tier};

/// Between two looks at what was announced: a plugin that makes events without end takes so
/// little of the supervisor's time.
const PAUSE: Duration = Duration::from_millis(2);
/// Looks for a kill that v1 announces before it counts it, each twice as late as the one before.
const LOOKS: u32 = 6;
/// When to look for what nothing announces: after an answer, and meanwhile for v2's heap and
/// v1's refused threads, which is one read of one file.
const AFTER_CALL: Duration = Duration::from_millis(3);
const HEAP_DURING_CALL: Duration = Duration::from_millis(50);
const FORKS_DURING_CALL: Duration = Duration::from_millis(5);
/// How often a plugin's events of memory are told at most, in sum.
const TELLING: Duration = Duration::from_secs(1);

/// What was counted so far, so that each event is told once.
#[derive(Debug, Default)]
pub(super) struct Meter {
    counted: Events,
    frozen: bool,
    told: Option<Instant>,
    /// When what the kernel counts without announcing it is to be read.
    due: Option<Instant>,
}

/// What came since the last look.
#[derive(Debug, Default, PartialEq, Eq)]
struct News {
    forks_refused: bool,
    killed_for_memory: bool,
    /// Notices of memory.
    memory: Vec<Notice>,
}

impl Meter {
    fn count(&mut self, events: Events, now: Instant) -> News {
        let before = &mut self.counted;
        let mut news = News {
            forks_refused: events.pids_max > before.pids_max,
            // With its group each process is counted, one after the other: it is one death.
            killed_for_memory: events.oom_kills > 0 && before.oom_kills == 0,
            memory: Vec::new(),
        };
        (before.pids_max, before.oom_kills) = (events.pids_max, events.oom_kills);
        if self.told.is_some_and(|told| now < told + TELLING) {
            return news;
        }
        let since = |now: Option<u64>, before: Option<u64>| {
            now.unwrap_or(0).saturating_sub(before.unwrap_or(0))
        };
        let memory = [
            (
                MemoryEvent::Low,
                since(events.memory_low, before.memory_low),
            ),
            (
                MemoryEvent::High,
                since(events.memory_high, before.memory_high),
            ),
            (
                MemoryEvent::Max,
                events.memory_max.saturating_sub(before.memory_max),
            ),
            (MemoryEvent::Oom, since(events.oom, before.oom)),
        ];
        let grown = memory.into_iter().filter(|(_, times)| *times > 0);
        news.memory = grown
            .map(|(event, times)| Notice::Memory { event, times })
            .collect();
        if !news.memory.is_empty() {
            self.told = Some(now);
        }
        self.counted = events;
        news
    }

    fn bring_forward(&mut self, due: Instant) {
        self.due = Some(self.due.map_or(due, |before| before.min(due)));
    }
}

/// Follows what the kernel announces until the worker ends.
pub(super) async fn watch(worker: Arc<Worker>, watch: AsyncFd<Arc<OwnedFd>>) {
    tokio::select! { () = follow(&worker, watch) => {}, _ = worker.ended() => {} }
}

async fn follow(worker: &Worker, watch: AsyncFd<Arc<OwnedFd>>) {
    let Some(probe) = &worker.probe else { return };
    while let Ok(mut ready) = watch.readable().await {
        // What comes from here on is announced anew.
        ready.clear_ready();
        worker.look();
        if !probe.counts_before_telling() {
            for look in 0..LOOKS {
                sleep(Duration::from_millis(1 << look)).await;
                worker.look();
            }
        }
        sleep(PAUSE).await;
    }
}

impl Worker {
    /// How long tasks of it stood still so far, where that is measured.
    pub(crate) fn stalled(&self) -> Option<Stalled> {
        self.probe.as_ref()?.stalled().ok()?
    }

    /// Watches for stalls in the group that all workers are in; nothing where none are told.
    ///
    /// # Errors
    /// What the kernel refused.
    pub(crate) fn common_pressure(
        &self,
        stalled: Stalled,
    ) -> Result<Option<[OwnedFd; 2]>, FileError> {
        match &self.probe {
            Some(probe) => probe.common_pressure(stalled),
            None => Ok(None),
        }
    }

    /// After the kernel announced something.
    fn look(&self) {
        self.audit_events();
        self.audit_heap();
        self.suspect.notify_one();
    }

    /// After a call: v1 doesn't announce refused threads, and v2 not what heap is taken.
    pub(super) fn schedule_audit(&self) {
        if self.probe.is_some() {
            lock(&self.events).bring_forward(Instant::now() + AFTER_CALL);
        }
    }

    /// When to look for what nothing announces: also during calls.
    pub(super) fn next_audit(&self, now: Instant) -> Option<Instant> {
        let calling = !lock(&self.mux).is_idle();
        let mut meter = lock(&self.events);
        if let Some(probe) = self.probe.as_ref().filter(|_| calling) {
            meter.bring_forward(match probe.announces_forks() {
                true => now + HEAP_DURING_CALL,
                false => now + FORKS_DURING_CALL,
            });
        }
        meter.due
    }

    pub(super) fn audit_if_due(&self, now: Instant) {
        let due = lock(&self.events).due.take_if(|due| *due <= now).is_some();
        match &self.probe {
            // v2 announces what memory is taken where policy has it throttled from there.
            Some(probe) if due && probe.announces_forks() => self.audit_heap(),
            Some(probe) if due && self.forks_were_refused(probe) => self.audit_events(),
            _ => {}
        }
    }

    fn forks_were_refused(&self, probe: &Probe) -> bool {
        let counted = lock(&self.events).counted.pids_max;
        probe.forks_refused().is_ok_and(|refused| refused > counted)
    }

    /// What the kernel counted since the last look.
    pub(super) fn audit_events(&self) {
        let Some(probe) = &self.probe else { return };
        if let Ok(events) = probe.events() {
            self.count_events(events);
        }
        if let Ok(Some(state)) = probe.state() {
            let before = std::mem::replace(&mut lock(&self.events).frozen, state.frozen);
            if before != state.frozen {
                self.plugin.record.notice(Notice::Frozen(state.frozen));
            }
        }
    }

    /// Records what came since the last count.
    pub(super) fn count_events(&self, events: Events) {
        let news = lock(&self.events).count(events, Instant::now());
        if news.killed_for_memory {
            // On v2 the kernel ends the whole group (memory.oom.group); elsewhere we do.
            self.kill(Ending::OutOfMemory);
            let limit = self.plugin.grants.limits.heap.hard().amount();
            let used = events
                .memory_peak
                .map(|peak| ByteSize::bytes(peak).amount());
            self.violate(self.violation(Kind::OomKill).measured(used, limit));
        }
        if news.forks_refused {
            // The most that there were: one more was refused. One of the tasks is init.
            let threads = events.tasks_peak.map(|peak| peak.saturating_sub(1));
            let used = threads.map(|threads| Count::new(threads).amount());
            self.overstep(LimitName::Threads, Tier::Hard, used);
        }
        for notice in news.memory {
            self.plugin.record.notice(notice);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_event_is_told_once_and_those_of_memory_in_sum() {
        let mut meter = Meter::default();
        let now = Instant::now();
        let high = |times| {
            vec![Notice::Memory {
                event: MemoryEvent::High,
                times,
            }]
        };
        let mut events = Events {
            memory_high: Some(3),
            pids_max: 1,
            ..Events::default()
        };

        let news = meter.count(events, now);
        assert_eq!((news.forks_refused, news.memory), (true, high(3)));
        assert_eq!(meter.count(events, now), News::default());

        events.memory_high = Some(8);
        events.oom_kills = 1;
        let news = meter.count(events, now + TELLING / 2);
        assert_eq!((news.killed_for_memory, news.memory), (true, Vec::new()));
        let news = meter.count(events, now + TELLING);
        assert_eq!((news.killed_for_memory, news.memory), (false, high(5)));
    }
}
