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

fn events() -> [Event; 11] {
    use Event::*;
    [
        LoadRequested,
        RestartDue,
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
const TABLE: [&str; 11] = [
    // from:  available loading   active    inactive  unloading failed    untrusted unmounted
    "+loading   .          .          .          .          +loading  +loading  .", // load
    ".          .          .          .          .          +loading  .         .", // restart due
    "available  untrusted  .          .          available  failed    .         unmounted", // trust refused
    "!available active     .          .          !unloading !failed   .         !unmounted", // loaded
    "available  failed     .          .          available  failed    .         unmounted", // load failed
    ".          .          inactive   .          .          .         .         .",         // pause
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
fn crash_loop_is_left_only_by_who_asks_for_it() {
    let looping = State::Failed {
        reason: Failure::CrashLoop {
            restarts: 5,
            within: TimeSpan::secs(600),
            last: Box::new(CRASH),
        },
    };
    assert!(looping.on(Event::RestartDue).is_err());
    let (next, action) = looping.on(Event::LoadRequested).unwrap();
    assert_eq!((next, action), (State::Loading, Some(Action::Launch)));
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
    fn only_an_operator_ends_an_unmount(indices in proptest::collection::vec(0..11usize, 0..64)) {
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
