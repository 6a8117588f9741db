//! What the supervisor keeps of one plugin, from worker to worker.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use ipc_proto::message::HostOp;
use serde::Serialize;
use tokio::sync::broadcast;

use crate::ending::Ending;
use crate::grants::Grants;
use crate::host::{Context, HostAnswer};
use crate::lifecycle::{self, Action, Failure, IllegalTransition, State, Unmount};
use crate::limits::Quantity;
use crate::manifest::{Manifest, PluginId};
use crate::output::{Budget, Charge, Line, Source, Tail};
use crate::usage::Reading;
use crate::violations::{Kind, Tracker, Verdict, Violation};

/// Something that happened, for the host.
#[derive(Debug, Clone)]
pub enum Event {
    /// A plugin is in another state now.
    State {
        /// Which plugin.
        plugin: PluginId,
        /// Its state.
        state: State,
    },
    /// A plugin did what it may not.
    Violation(Arc<Violation>),
    /// A plugin printed or logged a line.
    Line {
        /// Which plugin.
        plugin: PluginId,
        /// The line, escaped.
        line: Line,
    },
    /// A plugin emitted an event of its own; name and payload are hostile bytes.
    Emitted {
        /// Which plugin.
        plugin: PluginId,
        /// Its name.
        name: String,
        /// What it carries.
        payload: Vec<u8>,
    },
}

/// One plugin as it was loaded last. What outlives a load is in its [`Record`].
#[derive(Debug)]
pub struct Plugin {
    pub(crate) manifest: Manifest,
    pub(crate) grants: Grants,
    pub(crate) record: Arc<Record>,
    log: Mutex<Budget>,
    messages: Mutex<Budget>,
}

/// What is kept of a plugin by its id.
pub struct Record {
    id: PluginId,
    events: broadcast::Sender<Event>,
    inner: Mutex<Inner>,
}

struct Inner {
    state: State,
    tracker: Tracker,
    tail: Tail,
    context: Context,
    counters: Counters,
    usage: Option<Reading>,
}

/// What was counted over all workers of a plugin.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counters {
    /// Calls answered.
    pub calls: u64,
    /// Workers launched.
    pub launches: u64,
    /// Time that answered calls took in all.
    #[serde(skip)]
    pub call_time: Duration,
}

impl Plugin {
    pub(crate) fn new(manifest: Manifest, grants: Grants, record: Arc<Record>) -> Plugin {
        let now = Instant::now();
        let log = &grants.limits.log;
        let messages = &grants.limits.messages;
        Plugin {
            log: Mutex::new(Budget::new(log.declared().raw(), log.hard().raw(), now)),
            messages: Mutex::new(Budget::new(
                messages.declared().raw(),
                messages.hard().raw(),
                now,
            )),
            manifest,
            grants,
            record,
        }
    }

    /// Its id.
    #[must_use]
    pub fn id(&self) -> &PluginId {
        &self.manifest.id
    }

    pub(crate) fn charge_log(&self, bytes: u64, now: Instant) -> Charge {
        lock(&self.log).charge(bytes, now)
    }

    pub(crate) fn charge_message(&self, now: Instant) -> Charge {
        lock(&self.messages).charge(1, now)
    }
}

impl Record {
    pub(crate) fn new(id: PluginId, tracker: Tracker, events: broadcast::Sender<Event>) -> Record {
        let inner = Inner {
            state: State::Available,
            tracker,
            tail: Tail::default(),
            context: Context::default(),
            counters: Counters::default(),
            usage: None,
        };
        Record {
            id,
            events,
            inner: Mutex::new(inner),
        }
    }

    /// The plugin's state.
    #[must_use]
    pub fn state(&self) -> State {
        self.inner().state.clone()
    }

    /// Takes an event of its life; what is to be done comes back.
    pub(crate) fn advance(
        &self,
        event: lifecycle::Event,
    ) -> Result<&'static [Action], IllegalTransition> {
        let mut inner = self.inner();
        let (state, actions) = inner.state.on(event)?;
        if actions.contains(&Action::ClearUnmount) {
            inner.tracker.reset();
        }
        let changed = inner.state != state;
        inner.state = state.clone();
        drop(inner);
        if changed {
            self.tell(Event::State {
                plugin: self.id.clone(),
                state,
            });
        }
        Ok(actions)
    }

    /// Records a violation; `true` when the plugin is unmounted for it now.
    pub(crate) fn violate(&self, violation: Violation) -> bool {
        let class = violation.kind.class();
        let shared = Arc::new(violation.clone());
        let verdict = self.inner().tracker.record(violation);
        self.tell(Event::Violation(shared));
        match verdict {
            Verdict::Logged | Verdict::Counted { .. } => false,
            Verdict::Unmount { counted } => {
                let reason = Unmount {
                    counted,
                    last: class,
                };
                // An untrusted plugin never ran; every other state can be unmounted.
                self.advance(lifecycle::Event::ThresholdReached(reason))
                    .is_ok()
            }
        }
    }

    /// A violation of this plugin, now.
    pub(crate) fn violation(&self, kind: Kind) -> Violation {
        Violation::new(self.id.clone(), kind, SystemTime::now())
    }

    pub(crate) fn worker_ended(&self, ending: &Ending) {
        self.inner().usage = None;
        let failure = Failure::Ended {
            ending: ending.clone(),
        };
        // Illegal only where no worker can be: then there is nothing to note.
        self.advance(lifecycle::Event::WorkerGone(failure)).ok();
    }

    pub(crate) fn print(&self, source: Source, text: String) {
        let line = Line { source, text };
        self.inner().tail.push(line.clone());
        self.tell(Event::Line {
            plugin: self.id.clone(),
            line,
        });
    }

    /// Counts an answered call, if it was one and somebody waited for it.
    pub(crate) fn answered(&self, took: Option<Duration>) {
        let Some(took) = took else { return };
        let mut inner = self.inner();
        inner.counters.calls += 1;
        inner.counters.call_time += took;
    }

    pub(crate) fn launched(&self) {
        self.inner().counters.launches += 1;
    }

    pub(crate) fn host_call(&self, op: &HostOp<'_>) -> HostAnswer {
        let mut emitted = None;
        let answer = self.inner().context.answer(op, |name, payload| {
            emitted = Some((name.to_owned(), payload.to_vec()));
        });
        if let Some((name, payload)) = emitted {
            self.tell(Event::Emitted {
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
        let inner = self.inner();
        Snapshot {
            state: inner.state.clone(),
            tracker: inner.tracker.clone(),
            lines: inner.tail.lines(),
            counters: inner.counters,
            usage: inner.usage,
        }
    }

    fn tell(&self, event: Event) {
        // Nobody has to listen.
        self.events.send(event).ok();
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        lock(&self.inner)
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// A copy of what is kept of a plugin.
pub(crate) struct Snapshot {
    pub(crate) state: State,
    pub(crate) tracker: Tracker,
    pub(crate) lines: Vec<Line>,
    pub(crate) counters: Counters,
    pub(crate) usage: Option<Reading>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
