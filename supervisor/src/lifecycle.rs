//! The life of a plugin as a pure state machine: state and event in, state and actions out.
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

/// What the supervisor has to do, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Verify, launch and create; then report `Loaded`, `LoadFailed` or `TrustRefused`.
    Launch,
    /// Let calls through.
    AdmitCalls,
    /// Refuse new calls.
    HoldCalls,
    /// Let running calls end within the grace time, ask the plugin to shut down, then kill.
    ShutDown,
    /// Kill the worker at once.
    Kill,
    /// Answer the calls in flight with an error.
    FailCalls,
    /// Reap the worker and remove its cgroup.
    Teardown,
    /// Write down that the plugin is unmounted.
    RecordUnmount,
    /// Delete what is written down, and start counting violations from zero.
    ClearUnmount,
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
    pub fn on(&self, event: Event) -> Result<(Self, &'static [Action]), IllegalTransition> {
        use Action::*;
        use State::*;
        let next: (Self, &'static [Action]) = match (self, event) {
            (Available | Failed { .. } | Untrusted, Event::LoadRequested) => (Loading, &[Launch]),
            (Failed { .. } | Untrusted, Event::UnloadRequested) => (Available, &[]),

            (Loading, Event::Loaded) => (Active, &[AdmitCalls]),
            (Loading, Event::LoadFailed(reason)) => (Failed { reason }, &[Kill, Teardown]),
            (Loading, Event::TrustRefused) => (Untrusted, &[Kill, Teardown]),

            (Active, Event::Pause) => (Inactive, &[HoldCalls]),
            (Inactive, Event::Resume) => (Active, &[AdmitCalls]),

            (Loading, Event::UnloadRequested) => (Unloading, &[Kill]),
            (Active | Inactive, Event::UnloadRequested) => (Unloading, &[HoldCalls, ShutDown]),
            (Unloading, Event::WorkerGone(_) | Event::LoadFailed(_) | Event::TrustRefused) => {
                (Available, &[FailCalls, Teardown])
            }
            (Loading | Active | Inactive, Event::WorkerGone(reason)) => {
                (Failed { reason }, &[HoldCalls, FailCalls, Teardown])
            }

            (Loading | Active | Inactive | Unloading, Event::ThresholdReached(reason)) => (
                Unmounted { reason },
                &[RecordUnmount, HoldCalls, Kill, FailCalls, Teardown],
            ),
            // A dead worker's last violations may be heard of late.
            (Available | Failed { .. }, Event::ThresholdReached(reason)) => {
                (Unmounted { reason }, &[RecordUnmount])
            }
            (Unmounted { .. }, Event::Enable) => (Available, &[ClearUnmount]),

            // News that was under way when the worker's fate was sealed.
            (Unloading, Event::Loaded)
            | (Available | Failed { .. } | Untrusted, Event::WorkerGone(_))
            | (
                Unmounted { .. },
                Event::Loaded
                | Event::LoadFailed(_)
                | Event::TrustRefused
                | Event::WorkerGone(_)
                | Event::ThresholdReached(_),
            ) => (self.clone(), &[]),

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

    /// A row per event, a column per state, in the order above; `.` is illegal.
    const TABLE: [&str; 10] = [
        // from:  available loading   active    inactive  unloading failed    untrusted unmounted
        "loading   .         .         .         .         loading   loading   .", // load
        ".         untrusted .         .         available .         .         unmounted", // trust refused
        ".         active    .         .         unloading .         .         unmounted", // loaded
        ".         failed    .         .         available .         .         unmounted", // load failed
        ".         .         inactive  .         .         .         .         .",         // pause
        ".         .         .         active    .         .         .         .",         // resume
        ".         unloading unloading unloading .         available available .",         // unload
        "available failed    failed    failed    available failed    untrusted unmounted", // worker gone
        "unmounted unmounted unmounted unmounted unmounted unmounted .         unmounted", // threshold
        ".         .         .         .         .         .         .         available", // enable
    ];

    #[test]
    fn every_state_and_event() {
        for (event, row) in events().into_iter().zip(TABLE) {
            for (state, expected) in states().into_iter().zip(row.split_whitespace()) {
                let next = state
                    .on(event.clone())
                    .map_or(".".to_owned(), |(next, _)| next.to_string());
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
    fn actions_bring_workers_and_calls_where_the_state_says() {
        for (state, event) in states()
            .into_iter()
            .flat_map(|state| events().map(|event| (state.clone(), event)))
        {
            let Ok((next, actions)) = state.on(event.clone()) else {
                continue;
            };
            let does = |action| actions.contains(&action);
            let name = format!("{state} on {event:?}: {next}, {actions:?}");
            assert_eq!(
                does(Action::Launch),
                !has_worker(&state) && has_worker(&next),
                "{name}"
            );
            assert_eq!(
                does(Action::Teardown),
                has_worker(&state) && !has_worker(&next),
                "{name}"
            );
            let calls = |state: &State| *state == State::Active;
            assert_eq!(
                does(Action::AdmitCalls),
                !calls(&state) && calls(&next),
                "{name}"
            );
            assert!(
                !calls(&state) || calls(&next) || does(Action::HoldCalls),
                "{name}"
            );
            let unmounted = |state: &State| matches!(state, State::Unmounted { .. });
            assert_eq!(
                does(Action::RecordUnmount),
                !unmounted(&state) && unmounted(&next),
                "{name}"
            );
            assert_eq!(
                does(Action::ClearUnmount),
                unmounted(&state) && !unmounted(&next),
                "{name}"
            );
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
