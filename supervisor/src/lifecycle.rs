//! The life of a plugin as a pure state machine: state and event in, state and action out.
//!
//! ```text
//! Available ─► Loading ─► Active ⇄ Inactive ─► Unloading ─► Available
//!                 │          └── worker gone ─► Failed ─► Loading
//!                 └── Failed, Untrusted
//! any that ran ── threshold ─► Unmounted ── an operator ─► Available
//! ```

use std::fmt;

use serde::Serialize;
use thiserror::Error;

use crate::ending::Ending;
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
mod tests {
    use proptest::prelude::*;

    use super::*;

    const UNMOUNT: Unmount = Unmount {
        counted: 10,
        last: Class::Syscall,
    };
    const CRASH: Failure = Failure::Ended {
        ending: Ending::Signal { number: 11 },
    };

    fn states() -> [State; 8] {
        use State::*;
        [
            Available,
            Loading,
            Active,
            Inactive,
            Unloading,
            Failed { reason: CRASH },
            Untrusted,
            Unmounted { reason: UNMOUNT },
        ]
    }

    fn events() -> [Event; 10] {
        use Event::*;
        [
            LoadRequested,
            TrustRefused,
            Loaded,
            LoadFailed(CRASH),
            Pause,
            Resume,
            UnloadRequested,
            WorkerGone(CRASH),
            ThresholdReached(UNMOUNT),
            Enable,
        ]
    }

    /// A row per event, a column per state, in the order above; `.` is illegal, and a mark
    /// is the action: `+` launch, `-` shut down, `!` kill, `0` clear violations.
    const TABLE: [&str; 10] = [
        // from:  available loading   active    inactive  unloading failed    untrusted unmounted
        "+loading   .          .          .          .          +loading  +loading  .", // load
        "available  untrusted  .          .          available  failed    .         unmounted", // trust refused
        "!available active     .          .          !unloading !failed   .         !unmounted", // loaded
        "available  failed     .          .          available  failed    .         unmounted", // load failed
        ".          .          inactive   .          .          .         .         .", // pause
        ".          .          .          active     .          .         .         .", // resume
        ".          !unloading -unloading -unloading .          available available .", // unload
        "available  failed     failed     failed     available  failed    untrusted unmounted", // worker gone
        "unmounted  !unmounted !unmounted !unmounted !unmounted unmounted .         !unmounted", // threshold
        ".          .          .          .          .          .         .         0available", // enable
    ];

    fn mark(action: Option<Action>) -> &'static str {
        match action {
            None => "",
            Some(Action::Launch) => "+",
            Some(Action::ShutDown) => "-",
            Some(Action::Kill) => "!",
            Some(Action::ClearViolations) => "0",
        }
    }

    #[test]
    fn every_state_and_event() {
        for (event, row) in events().into_iter().zip(TABLE) {
            for (state, expected) in states().into_iter().zip(row.split_whitespace()) {
                let next = state.on(event.clone());
                let next = next.map_or(".".to_owned(), |(next, action)| {
                    format!("{}{next}", mark(action))
                });
                assert_eq!(next, expected, "{state} on {event:?}");
            }
        }
    }

    fn has_worker(state: &State) -> bool {
        matches!(
            state,
            State::Loading | State::Active | State::Inactive | State::Unloading
        )
    }

    #[test]
    fn no_worker_is_left_behind_and_none_comes_unasked() {
        for (state, event) in states()
            .into_iter()
            .flat_map(|state| events().map(|event| (state.clone(), event)))
        {
            let Ok((next, action)) = state.on(event.clone()) else {
                continue;
            };
            let name = format!("{state} on {event:?}: {next}, {action:?}");
            let (had, has) = (has_worker(&state), has_worker(&next));
            assert_eq!(action == Some(Action::Launch), !had && has, "{name}");
            // A worker is there or comes, and the state has no use for it.
            let wanted = matches!(next, State::Loading | State::Active | State::Inactive);
            let ended = matches!(
                event,
                Event::WorkerGone(_) | Event::LoadFailed(_) | Event::TrustRefused
            );
            let left = (had || event == Event::Loaded) && !wanted && !ended;
            let ends = matches!(action, Some(Action::Kill | Action::ShutDown));
            let twice = matches!(
                (&state, &event),
                (State::Unmounted { .. }, Event::ThresholdReached(_))
            );
            assert_eq!(ends, left || twice, "{name}");
        }
    }

    #[test]
    fn an_illegal_event_says_so_in_words() {
        let error = State::Unmounted { reason: UNMOUNT }
            .on(Event::LoadRequested)
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "a plugin that is unmounted can't be loaded"
        );
    }

    #[test]
    fn a_state_with_its_reason_as_json() {
        let state = State::Failed { reason: CRASH };
        assert_eq!(
            serde_json::to_string(&state).unwrap(),
            r#"{"state":"failed","reason":{"failure":"ended","ending":{"kind":"signal","number":11}}}"#
        );
    }

    proptest! {
        #[test]
        fn only_an_operator_ends_an_unmount(indices in proptest::collection::vec(0..10usize, 0..64)) {
            let mut state = State::Available;
            for event in indices.into_iter().map(|index| events()[index].clone()) {
                let unmounted = matches!(state, State::Unmounted { .. });
                let enabling = event == Event::Enable;
                let next = state.on(event).map_or_else(|_| state.clone(), |(next, _)| next);
                if unmounted && !enabling {
                    prop_assert_eq!(&next, &state);
                }
                state = next;
            }
        }
    }
}
