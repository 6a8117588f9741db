//! The life of a plugin as a pure state machine: state and event in, state and action out.
//!
//! ```text
//! Available ─► Loading ─► Active ⇄ Inactive ─► Unloading ─► Available
//!                 │          └── worker gone ─► Failed ─► Loading, asked for or as a restart
//!                 └── Failed, Untrusted
//! any that ran ── threshold ─► Unmounted ── an operator ─► Available
//! ```

use std::fmt;

use serde::Serialize;
use thiserror::Error;

use crate::ending::Ending;
use crate::units::TimeSpan;
use crate::violations::Class;

/// Where a plugin stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum State {
    /// Known, without a worker.
    Available,
    /// Being verified, launched, created.
    Loading,
    /// Takes calls.
    Active,
    /// Paused: has a worker, takes no calls.
    Inactive,
    /// Finishes its calls and goes.
    Unloading,
    /// Couldn't be loaded, or lost its worker.
    Failed {
        /// Why.
        reason: Failure,
    },
    /// Its origin isn't trusted; it never ran.
    Untrusted,
    /// Had too many violations. Only an operator re-enables it.
    Unmounted {
        /// Why.
        reason: Unmount,
    },
}

/// Why a plugin failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "failure", rename_all = "snake_case")]
pub enum Failure {
    /// It couldn't be loaded.
    Load {
        /// What went wrong, one sentence.
        detail: String,
    },
    /// Its worker ended.
    Ended {
        /// How.
        ending: Ending,
    },
    /// It failed again and again, so it isn't restarted any more; whoever loads it begins anew.
    CrashLoop {
        /// How often it was restarted within `within`.
        restarts: u32,
        /// The window of policy.
        #[serde(rename = "within_us")]
        within: TimeSpan,
        /// The failure that was one too many.
        last: Box<Failure>,
    },
}

/// Why a plugin was unmounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Unmount {
    /// Violations counted.
    pub counted: u64,
    /// The class of the last one.
    pub last: Class,
}

/// What happens to a plugin. What comes from a worker that has been torn down must not be told of
/// its successor; only the news of that worker's own end is harmless.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Somebody wants it loaded.
    LoadRequested,
    /// It failed a while ago, and policy has it restarted.
    RestartDue,
    /// Its origin was found wanting.
    TrustRefused,
    /// Its worker has created it.
    Loaded,
    /// It couldn't be loaded.
    LoadFailed(Failure),
    /// Somebody wants it paused.
    Pause,
    /// Somebody wants it to go on.
    Resume,
    /// Somebody wants it gone.
    UnloadRequested,
    /// Its worker has ended, however that came.
    WorkerGone(Failure),
    /// It has had too many violations.
    ThresholdReached(Unmount),
    /// An operator allows it again.
    Enable,
}

/// What the supervisor has to do. What follows from a worker's end (calls in flight answered
/// with an error, groups removed) it does at every end, whatever the state; calls are let
/// through in state Active alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Verify, launch and create; then report `Loaded`, `LoadFailed` or `TrustRefused`.
    Launch,
    /// Ask the plugin to shut down, and kill what is left after the grace time.
    ShutDown,
    /// Kill the worker at once, or give up the launch that is to make it.
    Kill,
    /// Count violations from zero.
    ClearViolations,
}

/// An event that makes no sense in a state.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("a plugin that is {state} can't {event}")]
pub struct IllegalTransition {
    /// The state.
    pub state: State,
    /// The event.
    pub event: Event,
}

impl State {
    /// What `event` makes of this state, and what is to be done about it.
    pub fn on(&self, event: Event) -> Result<(Self, Option<Action>), IllegalTransition> {
        use Action::*;
        use State::*;
        let next = match (self, event) {
            (Available | Failed { .. } | Untrusted, Event::LoadRequested) => {
                (Loading, Some(Launch))
            }
            // Whatever happened meanwhile to a plugin that isn't down for a failure any more, a
            // restart is no part of it.
            (Failed { reason }, Event::RestartDue) if !reason.is_final() => (Loading, Some(Launch)),
            (Failed { .. } | Untrusted, Event::UnloadRequested) => (Available, None),

            (Loading, Event::Loaded) => (Active, None),
            (Loading, Event::LoadFailed(reason)) => (Failed { reason }, None),
            (Loading, Event::TrustRefused) => (Untrusted, None),

            (Active, Event::Pause) => (Inactive, None),
            (Inactive, Event::Resume) => (Active, None),

            (Loading, Event::UnloadRequested) => (Unloading, Some(Kill)),
            (Active | Inactive, Event::UnloadRequested) => (Unloading, Some(ShutDown)),
            (Unloading, Event::WorkerGone(_) | Event::LoadFailed(_) | Event::TrustRefused) => {
                (Available, None)
            }
            (Loading | Active | Inactive, Event::WorkerGone(reason)) => (Failed { reason }, None),

            (Loading | Active | Inactive | Unloading, Event::ThresholdReached(reason)) => {
                (Unmounted { reason }, Some(Kill))
            }
            // A dead worker's last violations may be heard of late.
            (Available | Failed { .. }, Event::ThresholdReached(reason)) => {
                (Unmounted { reason }, None)
            }
            (Unmounted { .. }, Event::ThresholdReached(_)) => (self.clone(), Some(Kill)),
            (Unmounted { .. }, Event::Enable) => (Available, Some(ClearViolations)),

            // News that was under way when the launch's or the worker's fate was sealed.
            (Available | Failed { .. } | Unloading | Unmounted { .. }, Event::Loaded) => {
                (self.clone(), Some(Kill))
            }
            (
                Available | Failed { .. } | Unmounted { .. },
                Event::LoadFailed(_) | Event::TrustRefused | Event::WorkerGone(_),
            )
            | (Untrusted, Event::WorkerGone(_)) => (self.clone(), None),

            (state, event) => {
                return Err(IllegalTransition {
                    state: state.clone(),
                    event,
                });
            }
        };
        Ok(next)
    }
}

impl Failure {
    /// Whether policy has no further restart for it.
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(self, Self::CrashLoop { .. })
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Available => "available",
            Self::Loading => "loading",
            Self::Active => "active",
            Self::Inactive => "inactive",
            Self::Unloading => "unloading",
            Self::Failed { .. } => "failed",
            Self::Untrusted => "untrusted",
            Self::Unmounted { .. } => "unmounted",
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Load { detail } => f.write_str(detail),
            Self::Ended { ending } => ending.fmt(f),
            Self::CrashLoop {
                restarts,
                within,
                last,
            } => {
                write!(
                    f,
                    "it crashes in a loop, {restarts} restarts within {within}; the last time: {last}"
                )
            }
        }
    }
}

impl fmt::Display for Unmount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} violations, the last one: {}",
            self.counted, self.last
        )
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LoadRequested => "be loaded",
            Self::RestartDue => "be restarted",
            Self::TrustRefused => "be found untrusted",
            Self::Loaded => "have been loaded",
            Self::LoadFailed(_) => "fail to load",
            Self::Pause => "be paused",
            Self::Resume => "be resumed",
            Self::UnloadRequested => "be unloaded",
            Self::WorkerGone(_) => "lose a worker",
            Self::ThresholdReached(_) => "reach its violation threshold",
            Self::Enable => "be enabled",
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests;
