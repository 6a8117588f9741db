//! From what the kernel tells of a plugin to what is recorded of it.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use cordon_supervisor::config::Policy;
use cordon_supervisor::lifecycle::State;
use cordon_supervisor::limits::LimitName;
use cordon_supervisor::manifest::PluginId;
use cordon_supervisor::notice::Notice;
use cordon_supervisor::plugin::{Event, Output};
use cordon_supervisor::violations::{Kind as Violated, Tier};
use cordon_supervisor::{Call, Supervisor};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use sandbox::cgroup::{Controller, Kind, Layout};
use sandbox::steps::now;

use crate::blocking::block_on;
use crate::fleet::group;
use crate::report::{Row, Section};
use crate::statistics::Samples;
use crate::{Built, Result};

/// Microseconds from the event to the record that 99 of 100 may take.
const BUDGET: f64 = 10_000.0;
/// Nothing but events is to tell, and nothing that was told is to have consequences.
const POLICY: &str = r#"
[monitor]
interval = "24h"
[limits]
heap = { declared = "16MiB", hard = "16MiB" }
threads = { declared = 8, hard = 8 }
[restart]
when = "never"
[violations]
auto_unmount = false
log_violations = false
"#;
/// Denials of a plugin are looked at 32 times a second; the others are only counted.
const BETWEEN_DENIALS: Duration = Duration::from_millis(40);
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn run(built: &Built, runs: usize) -> Result<Vec<Section>> {
    let policy = Policy::parse(Path::new("bench"), POLICY)?;
    let supervisor = block_on(Supervisor::builder().policy(policy).start())?;
    let bench = Bench {
        news: listen(&supervisor),
        plugin: block_on(supervisor.load(&built.plugin("victim")))?,
        supervisor,
    };
    let mut rows = Vec::new();
    let mut add = |what: &str, samples: &Samples, budget: bool| {
        rows.push(Row::alone(
            "events",
            format!("p50 {what}"),
            samples.median(),
        ));
        let (p99, what) = (samples.percentile(99), format!("p99 {what}"));
        rows.push(match budget {
            true => Row::against(BUDGET, "events", what, p99).goal(1.0),
            false => Row::alone("events", what, p99),
        });
    };
    add("denied call to its violation", &bench.denials(runs)?, true);
    add(
        "refused thread to its violation",
        &bench.threads("thread", runs)?,
        true,
    );
    add(
        "refused thread to its violation, while the call goes on",
        &bench.threads("thread-in-call", runs)?,
        true,
    );
    let (told, buried) = bench.exits(runs)?;
    add("exit to its notice", &told, true);
    add("exit to the plugin's state, all of it gone", &buried, false);
    add(
        "kill for memory to its violation",
        &bench.kills(runs)?,
        true,
    );
    let title = format!("events: {runs} of each, one at a time");
    let notes = vec![
        format!("floor: the {BUDGET} us that it may take; until a host that listens has it"),
        "a kill for memory begins where the kernel announces it, all else in the plugin, \
         before its call"
            .into(),
        "cgroup v1 announces no refused thread: it is looked for every 5 ms during a call, and \
         3 ms after it"
            .into(),
    ];
    Ok(vec![Section { title, rows, notes }])
}

struct Bench {
    supervisor: Supervisor,
    plugin: PluginId,
    news: Receiver<(u64, News)>,
}

/// What a host hears, with when.
enum News {
    Event(Event),
    Output(Output),
}

fn listen(supervisor: &Supervisor) -> Receiver<(u64, News)> {
    let (sender, news) = channel();
    let (mut events, mut output) = (supervisor.subscribe(), supervisor.subscribe_output());
    let said = sender.clone();
    thread::spawn(move || {
        while let Ok(event) = block_on(events.recv()) {
            if sender.send((now(), News::Event(event))).is_err() {
                return;
            }
        }
    });
    thread::spawn(move || {
        while let Ok(output) = block_on(output.recv()) {
            if said.send((now(), News::Output(output))).is_err() {
                return;
            }
        }
    });
    news
}

impl Bench {
    fn denials(&self, runs: usize) -> Result<Samples> {
        let mut samples = Samples::default();
        for _ in 0..runs {
            let began = self.call("deny")?.parse()?;
            let is = |kind: &Violated| matches!(kind, Violated::DeniedSyscall { .. });
            samples.push(since(began, self.violation(is)?));
            thread::sleep(BETWEEN_DENIALS);
        }
        Ok(samples)
    }

    fn threads(&self, method: &str, runs: usize) -> Result<Samples> {
        let mut samples = Samples::default();
        let refused = Violated::Limit {
            resource: LimitName::Threads,
            tier: Tier::Hard,
        };
        for _ in 0..runs {
            let began = self.call(method)?.parse()?;
            samples.push(since(began, self.violation(|kind| *kind == refused)?));
            thread::sleep(BETWEEN_DENIALS);
        }
        Ok(samples)
    }

    /// To the notice, and to the state that follows once nothing is left.
    fn exits(&self, runs: usize) -> Result<(Samples, Samples)> {
        let (mut told, mut buried) = (Samples::default(), Samples::default());
        for _ in 0..runs {
            self.fresh()?;
            // It ends before it can answer.
            self.call("exit").err();
            // By two threads: in any order.
            let (mut began, mut exited, mut failed) = (None, None, None);
            while began.is_none() || exited.is_none() || failed.is_none() {
                match self.news.recv_timeout(PATIENCE)? {
                    (_, News::Output(Output::Line { line, .. })) => {
                        began = Some(line.text.parse()?)
                    }
                    (
                        at,
                        News::Event(Event::Notice {
                            notice: Notice::Exited,
                            ..
                        }),
                    ) => exited = Some(at),
                    (
                        at,
                        News::Event(Event::State {
                            state: State::Failed { .. },
                            ..
                        }),
                    ) => {
                        failed = Some(at);
                    }
                    _ => {}
                }
            }
            let (Some(began), Some(exited), Some(failed)) = (began, exited, failed) else {
                continue;
            };
            told.push(since(began, exited));
            buried.push(since(began, failed));
        }
        Ok((told, buried))
    }

    fn kills(&self, runs: usize) -> Result<Samples> {
        let mut samples = Samples::default();
        for _ in 0..runs {
            self.fresh()?;
            let worker = self.supervisor.worker(&self.plugin);
            let announced = announced(worker.ok_or("the worker is gone")?.pid())?;
            self.call("allocate").err();
            let recorded = self.violation(|kind| *kind == Violated::OomKill)?;
            let announced = announced.join().map_err(|_| "a thread panicked")??;
            samples.push(since(announced, recorded));
        }
        Ok(samples)
    }

    /// Gives the plugin another worker.
    fn fresh(&self) -> Result<()> {
        // One that has failed needs no unloading.
        block_on(self.supervisor.unload(&self.plugin)).ok();
        Ok(block_on(self.supervisor.reload(&self.plugin))?)
    }

    fn call(&self, method: &str) -> Result<String> {
        let call = Call {
            method,
            ..Call::default()
        };
        let reply = block_on(self.supervisor.call(&self.plugin, call))?;
        Ok(String::from_utf8(reply)?)
    }

    /// When the next violation of that kind was heard of.
    fn violation(&self, wanted: impl Fn(&Violated) -> bool) -> Result<u64> {
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end {
            if let (at, News::Event(Event::Violation(violation))) =
                self.news.recv_timeout(PATIENCE)?
                && wanted(&violation.kind)
            {
                return Ok(at);
            }
        }
        Err("nothing was recorded".into())
    }
}

/// When the kernel announces that a worker ran out of memory: by a watch of our own.
fn announced(pid: u32) -> Result<JoinHandle<std::result::Result<u64, String>>> {
    let group = group(pid, Some(Controller::Memory))?;
    let (fd, flags): (OwnedFd, _) = match Layout::detect()?.kind() {
        Kind::V2 => {
            let mut events = File::open(group.join("memory.events"))?;
            // It counts as changed until it is first read.
            events.read_to_string(&mut String::new())?;
            (events.into(), PollFlags::PRI)
        }
        Kind::Hybrid | Kind::V1 => {
            let eventfd = eventfd(0, EventfdFlags::CLOEXEC)?;
            let control = File::open(group.join("memory.oom_control"))?;
            let registration = format!("{} {}", eventfd.as_raw_fd(), control.as_raw_fd());
            std::fs::write(group.join("cgroup.event_control"), registration)?;
            (eventfd, PollFlags::IN)
        }
    };
    let patience = Timespec::try_from(PATIENCE)?;
    Ok(thread::spawn(move || {
        match poll(&mut [PollFd::new(&fd, flags)], Some(&patience)) {
            Ok(1) => Ok(now()),
            other => Err(format!("no announcement: {other:?}")),
        }
    }))
}

fn since(began: u64, at: u64) -> Duration {
    Duration::from_nanos(at.saturating_sub(began))
}
