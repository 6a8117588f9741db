//! What the supervisor keeps of one plugin, from worker to worker.

mod speaker;
mod violations;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ipc_proto::message::HostOp;
use serde::Serialize;
use tokio::sync::watch;

pub(crate) use speaker::Speaker;
pub use speaker::{Event, Output};
pub(crate) use violations::Outcome;

use crate::ending::Ending;
use crate::grants::Grants;
use crate::host::{Context, HostAnswer};
use crate::lifecycle::{self, Action, Failure, IllegalTransition, State};
use crate::limits::{Limit, Limits, Quantity};
use crate::manifest::{Manifest, PluginId};
use crate::metrics::{Latency, Meters, PluginMetrics};
use crate::notice::Notice;
use crate::output::{Budget, Charge, Line, Source, Tail};
use crate::restart::{Decision, Restarts};
use crate::trust::Digest;
use crate::usage::Reading;
use crate::violations::{Action as Response, Tracker, Violation};
use crate::worker::Worker;

/// One plugin as it was loaded last. What outlives a load is in its [`Record`].
#[derive(Debug)]
pub struct Plugin {
    pub(crate) manifest: Manifest,
    pub(crate) grants: Grants,
    pub(crate) record: Arc<Record>,
    launch: Launch,
}

/// A launch of a plugin, by which news of it are known: counted from one.
pub(crate) type Launch = u64;

/// Why a plugin is launched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// Somebody asked for it.
    Asked,
    /// Policy has it restarted.
    Due(Restart),
}

/// A restart that is to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Restart {
    /// The launch that failed.
    after: Launch,
    /// When it is due.
    pub(crate) at: Instant,
}

/// What is kept of a plugin by its id.
#[derive(Debug)]
pub struct Record {
    id: PluginId,
    speaker: Speaker,
    /// Changed under the lock of `inner` alone.
    state: watch::Sender<State>,
    meters: Meters,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    tracker: Tracker,
    /// Of the file that `context` and the budgets belong to.
    digest: Digest,
    log: Budget,
    messages: Budget,
    denials: Budget,
    tail: Tail,
    context: Context,
    counters: Counters,
    usage: Option<Reading>,
    restarts: Restarts,
    /// The latest launch, whatever became of it, was a restart.
    restarted: bool,
    /// Only while it has failed.
    due: Option<Restart>,
}

/// What was counted over all workers of a plugin.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// Calls answered.
    pub calls: u64,
    /// Workers launched.
    pub launches: u64,
    /// Those of them that were restarts.
    pub restarts: u64,
    /// Calls that brought their callers no result: refused, failed, too late, or crashed.
    pub errors: u64,
    /// How long answered calls took.
    pub latency: Option<Latency>,
}

impl Plugin {
    /// Begins a launch.
    ///
    /// # Errors
    /// The plugin's state allows none.
    pub(crate) fn begin(
        manifest: Manifest,
        grants: Grants,
        digest: Digest,
        record: Arc<Record>,
        cause: Cause,
    ) -> Result<Plugin, IllegalTransition> {
        let launch = record.begin(digest, &grants.limits, cause)?;
        Ok(Plugin {
            manifest,
            grants,
            record,
            launch,
        })
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &PluginId {
        &self.manifest.id
    }

    /// Takes news of this launch or its worker; what is to be done about the worker comes
    /// back.
    pub(crate) fn news(&self, event: lifecycle::Event) -> Option<Action> {
        self.record.news(self.launch, event)
    }

    pub(crate) fn worker_ended(&self, ending: &Ending) {
        let ending = ending.clone();
        // Whatever is to be done about it: it is gone.
        self.news(lifecycle::Event::WorkerGone(Failure::Ended { ending }));
    }

    pub(crate) fn charge_log(&self, bytes: u64, now: Instant) -> Charge {
        self.record.inner().log.charge(bytes, now)
    }

    pub(crate) fn charge_denial(&self, now: Instant) -> Charge {
        self.record.inner().denials.charge(1, now)
    }

    pub(crate) fn charge_message(&self, now: Instant) -> Charge {
        self.record.inner().messages.charge(1, now)
    }
}

impl Record {
    pub(crate) fn new(
        id: PluginId,
        tracker: Tracker,
        digest: Digest,
        limits: &Limits,
        restarts: Restarts,
        speaker: Speaker,
    ) -> Record {
        let inner = Inner {
            tracker,
            digest,
            log: budget(&limits.log),
            messages: budget(&limits.messages),
            denials: budget(&limits.denials),
            tail: Tail::default(),
            context: Context::default(),
            counters: Counters::default(),
            usage: None,
            restarts,
            restarted: false,
            due: None,
        };
        Record {
            id,
            speaker,
            state: watch::Sender::new(State::Available),
            meters: Meters::default(),
            inner: Mutex::new(inner),
        }
    }

    pub(crate) fn id(&self) -> &PluginId {
        &self.id
    }

    /// The plugin's state.
    #[must_use]
    pub fn state(&self) -> State {
        self.state.borrow().clone()
    }

    /// Waits until it isn't being loaded any more.
    pub(crate) async fn not_loading(&self) {
        self.leaves(|state| *state == State::Loading).await;
    }

    /// Waits until it isn't being unloaded any more.
    pub(crate) async fn not_unloading(&self) {
        self.leaves(|state| *state == State::Unloading).await;
    }

    async fn leaves(&self, state: impl Fn(&State) -> bool) {
        let mut states = self.state.subscribe();
        // The sender is ours.
        states.wait_for(|now| !state(now)).await.ok();
    }

    /// Takes what somebody wants; what is to be done comes back.
    pub(crate) fn advance(
        &self,
        event: lifecycle::Event,
    ) -> Result<Option<Action>, IllegalTransition> {
        self.turn(&mut self.inner(), event)
    }

    fn turn(
        &self,
        inner: &mut Inner,
        event: lifecycle::Event,
    ) -> Result<Option<Action>, IllegalTransition> {
        let (state, action) = self.state.borrow().on(event)?;
        if action == Some(Action::ClearViolations) {
            inner.tracker.reset();
        }
        if !matches!(state, State::Failed { .. }) {
            inner.due = None;
        }
        if *self.state.borrow() != state {
            self.state.send_replace(state.clone());
            self.tell(Event::State {
                plugin: self.id.clone(),
                state,
            });
        }
        Ok(action)
    }

    fn begin(
        &self,
        digest: Digest,
        limits: &Limits,
        cause: Cause,
    ) -> Result<Launch, IllegalTransition> {
        let mut inner = self.inner();
        match cause {
            Cause::Asked => {
                self.turn(&mut inner, lifecycle::Event::LoadRequested)?;
                inner.restarts.forget();
                inner.restarted = false;
            }
            Cause::Due(restart) => {
                if inner.due != Some(restart) {
                    return Err(IllegalTransition {
                        state: self.state(),
                        event: lifecycle::Event::RestartDue,
                    });
                }
                self.turn(&mut inner, lifecycle::Event::RestartDue)?;
                inner.restarted = true;
                inner.counters.restarts += 1;
            }
        }
        inner.counters.launches += 1;
        if inner.digest != digest {
            // Another program: it inherits nothing of the one before.
            inner.digest = digest;
            inner.context = Context::default();
            inner.log = budget(&limits.log);
            inner.messages = budget(&limits.messages);
            inner.denials = budget(&limits.denials);
        }
        Ok(inner.counters.launches)
    }

    fn news(&self, launch: Launch, event: lifecycle::Event) -> Option<Action> {
        let mut inner = self.inner();
        if inner.counters.launches != launch {
            // There is another launch by now.
            return Some(Action::Kill);
        }
        if let lifecycle::Event::WorkerGone(_) = event {
            inner.usage = None;
        }
        let event = inner.judged(&self.state(), event);
        // What makes no sense comes of a worker that has no place.
        self.turn(&mut inner, event).unwrap_or(Some(Action::Kill))
    }

    /// Takes a restart that couldn't even begin for one that failed; `false` where it isn't to
    /// come any more.
    pub(crate) fn not_restarted(&self, restart: Restart, failure: Failure) -> bool {
        let mut inner = self.inner();
        if inner.due != Some(restart) {
            return false;
        }
        inner.restarted = true;
        // No state in which there is a restart to come refuses these.
        self.turn(&mut inner, lifecycle::Event::RestartDue).ok();
        let failure = inner.failed(failure);
        self.turn(&mut inner, lifecycle::Event::LoadFailed(failure))
            .ok();
        true
    }

    /// The restart that is to come, if one is.
    pub(crate) fn due(&self) -> Option<Restart> {
        self.inner().due
    }

    /// Tells what is no violation.
    pub(crate) fn notice(&self, notice: Notice) {
        self.tell(Event::Notice {
            plugin: self.id.clone(),
            notice,
        });
    }

    pub(crate) fn print(&self, source: Source, text: String) {
        let line = Line { source, text };
        self.inner().tail.push(line.clone());
        self.say(Output::Line {
            plugin: self.id.clone(),
            line,
        });
    }

    /// Counts an answered call, if it was one and somebody waited for it.
    pub(crate) fn answered(&self, took: Option<Duration>) {
        if let Some(took) = took {
            self.meters.answered(took);
        }
    }

    /// Counts a call that brought its caller no result.
    pub(crate) fn call_failed(&self) {
        self.meters.failed();
    }

    /// What was counted of it, and of its `worker`.
    pub(crate) fn metrics(&self, worker: Option<&Worker>) -> PluginMetrics {
        let mut inner = self.inner();
        PluginMetrics {
            id: self.id.clone(),
            state: self.state(),
            counters: self.meters.add_to(inner.counters),
            counted: inner.tracker.counted(Instant::now()),
            by_kind: inner.tracker.by_class().clone(),
            usage: inner.usage,
            uptime: worker.map(Worker::uptime),
        }
    }

    pub(crate) fn host_call(&self, op: &HostOp<'_>) -> HostAnswer {
        let tells = matches!(op, HostOp::ContextSet { .. } | HostOp::Emit { .. });
        if tells && self.restrictions().contains(Response::Revoke) {
            return HostAnswer::DENIED;
        }
        let mut emitted = None;
        let answer = self.inner().context.answer(op, |name, payload| {
            emitted = Some((name.to_owned(), payload.to_vec()));
        });
        if let Some((name, payload)) = emitted {
            self.say(Output::Emitted {
                plugin: self.id.clone(),
                name,
                payload,
            });
        }
        answer
    }

    pub(crate) fn set_usage(&self, usage: Reading) {
        self.inner().usage = Some(usage);
    }

    /// Copies what was kept.
    pub(crate) fn snapshot(&self) -> Snapshot {
        let mut inner = self.inner();
        let by_kind = inner.tracker.by_class().iter();
        Snapshot {
            by_kind: by_kind.map(|(class, n)| (class.to_string(), *n)).collect(),
            violations: inner.tracker.recent().cloned().collect(),
            counted: inner.tracker.counted(Instant::now()),
            lines: inner.tail.lines(),
            counters: self.meters.add_to(inner.counters),
            usage: inner.usage,
            due: inner.due,
        }
    }

    fn tell(&self, event: Event) {
        // Nobody has to listen.
        self.speaker.events.send(event).ok();
    }

    fn say(&self, output: Output) {
        self.speaker.output.send(output).ok();
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A copy of what is kept of a plugin.
pub(crate) struct Snapshot {
    pub(crate) counted: u64,
    pub(crate) by_kind: BTreeMap<String, u64>,
    pub(crate) violations: Vec<Arc<Violation>>,
    pub(crate) lines: Vec<Line>,
    pub(crate) counters: Counters,
    pub(crate) usage: Option<Reading>,
    pub(crate) due: Option<Restart>,
}

impl Inner {
    /// News of a plugin that fails, with what policy makes of it: a restart that becomes due, or
    /// a crash loop. A first load that fails isn't repeated: whoever asked for it is told.
    fn judged(&mut self, state: &State, event: lifecycle::Event) -> lifecycle::Event {
        use lifecycle::Event::{LoadFailed, WorkerGone};
        let served = match state {
            State::Active | State::Inactive => true,
            State::Loading => self.restarted,
            _ => false,
        };
        if !served {
            return event;
        }
        match event {
            WorkerGone(failure) => WorkerGone(self.failed(failure)),
            LoadFailed(failure) => LoadFailed(self.failed(failure)),
            event => event,
        }
    }

    fn failed(&mut self, failure: Failure) -> Failure {
        let now = Instant::now();
        match self.restarts.decide(&failure, now) {
            Decision::Stay => failure,
            Decision::After(pause) => {
                self.due = Some(Restart {
                    after: self.counters.launches,
                    at: now + pause,
                });
                failure
            }
            Decision::CrashLoop { restarts } => Failure::CrashLoop {
                restarts,
                within: self.restarts.rules().window,
                last: Box::new(failure),
            },
        }
    }
}

fn budget<Q: Quantity>(limit: &Limit<Q>) -> Budget {
    Budget::new(limit.declared().raw(), limit.hard().raw(), Instant::now())
}
