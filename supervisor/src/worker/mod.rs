//! One live worker: its process, its socket, and the tasks that serve them.
//!
//! [`launch`] makes it, attests it and has it load the plugin; then [`serve`] moves
//! frames, [`denials`] answers the filter's notifications, [`output`] reads what it
//! prints, [`events`] follows the kernel's counts, [`audit`] and [`cpu`] measure what it
//! takes. All of them run on the supervisor's I/O thread.

mod attestation;
mod attested;
mod audit;
mod cpu;
mod crash;
mod denials;
mod disk;
mod dying;
mod events;
mod evidence;
mod handshake;
mod isolation;
pub(crate) mod launch;
mod launch_error;
mod looking;
mod output;
mod process;
mod restraint;
mod serve;
mod timeline;
mod usage;

pub use isolation::Isolation;
pub use launch_error::LaunchError;
pub use timeline::Timeline;

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use ipc_proto::message::ToWorker;
use sandbox::attest::{Baseline, Expected};
use sandbox::cgroup::Probe;
use sandbox::launch::Stage;
use sandbox::report::{Demands, Finding, Report};
use sandbox::seccomp::Phase;
use sandbox::steps::now;
use tokio::sync::{Notify, oneshot, watch};

use crate::crash::{Desk, Scene};
use crate::ending::Ending;
use crate::filters::{Filter, FilterMode};
use crate::launcher::Launcher;
use crate::manifest::Concurrency;
use crate::mux::{Mux, OpenError, Reply, Unanswered, WorkerDecoder};
use crate::package::Package;
use crate::plugin::{Outcome, Plugin};
use crate::violations::{Action as Response, Actions, Kind, Violation};

/// Times that govern a worker, from policy.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Times {
    /// From the launch to a plugin that was created.
    pub(crate) load: Duration,
    /// Between the cancellation of a late call and the kill.
    pub(crate) grace: Duration,
    /// Between two attestations.
    pub(crate) attest: Duration,
}

/// A confined process with its plugin.
#[derive(Debug)]
pub struct Worker {
    pub(crate) plugin: Arc<Plugin>,
    launcher: Launcher,
    launch_id: u64,
    socket: Arc<OwnedFd>,
    pidfd: Arc<OwnedFd>,
    init: OwnedFd,
    pid: u32,
    /// Nothing where it has no cgroup.
    probe: Option<Probe>,
    process: process::Process,
    connections: usage::Connections,
    /// What every attestation holds it against.
    expected: Expected,
    baseline: Baseline,
    attestations: AtomicU64,
    /// Something happened that is a reason to attest it.
    suspect: Notify,
    filter: Arc<Filter>,
    package: Arc<Package>,
    serving: AtomicBool,
    /// Locked for each read alone.
    decoder: Mutex<WorkerDecoder>,
    mux: Mutex<Mux>,
    cpu: Mutex<cpu::CpuMeter>,
    above: Mutex<audit::Above>,
    events: Mutex<events::Meter>,
    wake: Notify,
    cause: Mutex<Option<Ending>>,
    /// What was seen of its death, or why nothing.
    scene: Mutex<Option<Result<Scene, String>>>,
    desk: Arc<Desk>,
    since: Instant,
    isolation: Mutex<Option<Isolation>>,
    /// The plugin's restrictions may have changed.
    pub(crate) restrained: Notify,
    /// Whether it has less CPU time than it was granted.
    throttled: Mutex<bool>,
    told_unthrottled: Mutex<bool>,
    ended: watch::Sender<Option<Ending>>,
    times: Times,
    demands: Demands,
    report: Report,
    stages: Vec<Stage>,
    timeline: OnceLock<Timeline>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Worker {
    /// Opens a request; its answer comes through the receiver.
    ///
    /// # Errors
    /// [`OpenError`].
    pub(crate) fn request(
        &self,
        message: &ToWorker<'_>,
        deadline: Option<Duration>,
    ) -> Result<(u64, oneshot::Receiver<Result<Reply, Unanswered>>), OpenError> {
        let now = Instant::now();
        let opened = lock(&self.mux).open(message, deadline, now)?;
        if let Some(now) = self.cpu_time() {
            lock(&self.cpu).begin(opened.0, now);
        }
        self.flush();
        // The I/O task may sleep beyond the new deadline.
        self.wake.notify_one();
        Ok(opened)
    }

    /// Gives a call up; its late answer will be ignored.
    pub(crate) fn cancel(&self, call: u64) {
        lock(&self.mux).cancel(call, Instant::now());
        self.flush();
        self.wake.notify_one();
    }

    /// Asks the plugin to shut down, and kills what is left after `grace`.
    pub(crate) async fn shut_down(&self, grace: Duration) {
        if let Ok((_, answer)) = self.request(&ToWorker::Shutdown, Some(grace)) {
            // Answered or not, it ends now.
            tokio::time::timeout(grace, answer).await.ok();
        }
        self.kill(Ending::Unloaded);
        self.ended().await;
    }

    /// Kills every process of it, now. The first reason counts, and is told by `true`.
    pub(crate) fn kill(&self, cause: Ending) -> bool {
        let first = {
            let mut kept = lock(&self.cause);
            let first = kept.is_none();
            kept.get_or_insert(cause);
            first
        };
        self.slay();
        first
    }

    /// Kills it, by way of isolation where policy says so of violations of that kind.
    fn end_for(&self, kind: &Kind, cause: Ending) -> bool {
        let response = self.plugin.record.response(kind.severity());
        match response.contains(Response::Isolate) {
            true => self.isolate(cause),
            false => self.kill(cause),
        }
    }

    fn slay(&self) {
        // Init's death ends the pid namespace at once; the launcher makes sure and cleans
        // up. Where we may not signal init, the launcher may.
        let _ = rustix::process::pidfd_send_signal(&self.init, rustix::process::Signal::KILL);
        self.launcher.kill(self.launch_id);
    }

    /// Why it was killed, if it was.
    fn cause(&self) -> Option<Ending> {
        lock(&self.cause).clone()
    }

    /// Waits until every process is gone.
    pub async fn ended(&self) -> Ending {
        let mut ended = self.ended.subscribe();
        match ended.wait_for(Option::is_some).await {
            Ok(ending) => ending.clone().unwrap_or(Ending::Lost),
            Err(_) => Ending::Lost,
        }
    }

    /// How it ended, if it has.
    #[must_use]
    pub fn ending(&self) -> Option<Ending> {
        self.ended.borrow().clone()
    }

    /// What was read back of its confinement before a plugin byte ran.
    #[must_use]
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// What its seccomp filter was made of.
    #[must_use]
    pub fn mode(&self) -> FilterMode {
        self.filter.mode
    }

    /// What of its confinement policy does without, by the operator's explicit word.
    #[must_use]
    pub fn conceded(&self) -> Vec<Finding> {
        self.report
            .conceded(&self.demands)
            .into_iter()
            .cloned()
            .collect()
    }

    /// When each step of its launch was done.
    #[must_use]
    pub fn stages(&self) -> &[Stage] {
        &self.stages
    }

    /// When the supervisor's parts of its launch were done; zeroes until all are.
    #[must_use]
    pub fn timeline(&self) -> Timeline {
        self.timeline.get().copied().unwrap_or_default()
    }

    /// From the request to a plugin that was created.
    #[must_use]
    pub fn launch_time(&self) -> Duration {
        let Timeline { asked, created, .. } = self.timeline();
        Duration::from_nanos(created - asked)
    }

    /// How long its plugin has been there; nothing while it is being loaded.
    #[must_use]
    pub fn uptime(&self) -> Duration {
        let created = self.timeline.get().map(|timeline| timeline.created);
        created.map_or(Duration::ZERO, |created| {
            Duration::from_nanos(now().saturating_sub(created))
        })
    }

    /// Its pid, for display and procfs only.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    fn phase(&self) -> Phase {
        if self.serving.load(Ordering::Acquire) {
            Phase::Serving
        } else {
            Phase::Loading
        }
    }

    /// A violation of its plugin, now, during the calls in flight. A serial plugin is at the
    /// oldest of them; a reply that its worker holds back, for 50 us at most, counts as none.
    fn violation(&self, kind: Kind) -> Violation {
        let mut calls = lock(&self.mux).in_flight();
        if self.plugin.manifest.concurrency == Concurrency::Serial {
            calls.truncate(1);
        }
        self.plugin.record.violation(kind).during(calls)
    }

    /// Records a violation, and does what follows from it.
    fn violate(&self, violation: Violation) {
        self.suspect.notify_one();
        self.follow(self.plugin.record.violate(violation));
    }

    /// Counts a violation, and records it only where none like it is known.
    fn violate_again(&self, kind: Kind) {
        match self.plugin.record.repeat(&kind) {
            Some(outcome) => {
                self.suspect.notify_one();
                self.follow(outcome);
            }
            None => self.violate(self.violation(kind)),
        }
    }

    fn follow(&self, outcome: Outcome) {
        let Outcome {
            class,
            actions,
            unmounted,
        } = outcome;
        match (actions.contains(Response::Isolate), unmounted) {
            (true, true) => drop(self.isolate(Ending::Unmounted)),
            (true, false) => drop(self.isolate(Ending::Isolated { violation: class })),
            // Not before it was looked at.
            (false, true) if self.being_isolated() => {}
            (false, true) => drop(self.kill(Ending::Unmounted)),
            (false, false) => {}
        }
        if !actions.and(Actions::RESTRICTIONS).is_empty() {
            self.restrained.notify_one();
        }
    }

    /// Writes what is queued, as far as the socket takes it; the rest goes when it is
    /// writable again.
    fn flush(&self) {
        use rustix::net::{SendFlags, send};
        let mut mux = lock(&self.mux);
        while !mux.unsent().is_empty() {
            match send(
                &self.socket,
                mux.unsent(),
                SendFlags::DONTWAIT | SendFlags::NOSIGNAL,
            ) {
                Ok(count) => mux.sent(count),
                Err(rustix::io::Errno::INTR) => {}
                // Full, or gone: the I/O task sees either.
                Err(_) => break,
            }
        }
    }
}
