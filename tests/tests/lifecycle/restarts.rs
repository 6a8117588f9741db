//! Plugins that fail come back as policy says, and no others.

use std::time::Duration;

use cordon_supervisor::ending::Ending;
use cordon_supervisor::lifecycle::{Failure, State};
use cordon_supervisor::manifest::PluginId;
use cordon_supervisor::{Call, CallError, Supervisor};
use cordon_tests::host::{builder, call, eventually, load, status, supervisor};
use cordon_tests::plugins::{EarlyVandal, example, fixture};

use crate::deaths::EARLY_VANDALS;

const PATIENCE: Duration = Duration::from_secs(10);
/// Soon, so that tests needn't wait.
const SOON: &str = "[restart]\nfirst = \"10ms\"\nmost = \"10ms\"\n";
/// Far beyond the pauses of [`SOON`].
const LONG_AFTER: Duration = Duration::from_millis(500);

async fn back(supervisor: &Supervisor, plugin: &PluginId, restarts: u64) -> bool {
    let is_back = || {
        let status = status(supervisor, plugin);
        status.state == State::Active && status.counters.restarts == restarts
    };
    eventually(PATIENCE, is_back).await
}

/// That it stays down, and in that state.
async fn stays(supervisor: &Supervisor, plugin: &PluginId, launches: u64) -> State {
    let before = status(supervisor, plugin);
    tokio::time::sleep(LONG_AFTER).await;
    let after = status(supervisor, plugin);
    assert_eq!(after.state, before.state);
    assert_eq!(
        (after.restart_in, after.counters.launches),
        (None, launches)
    );
    after.state
}

#[tokio::test]
async fn crashed_plugin_comes_back_and_keeps_what_was_counted() {
    let supervisor = supervisor(SOON).await;
    let vandal = load(&supervisor, &example("vandal")).await;

    for (restarts, deed) in [(1, "segv"), (2, "exit0"), (3, "allocate")] {
        call(&supervisor, &vandal, deed, "").await.unwrap_err();
        assert!(back(&supervisor, &vandal, restarts).await, "{deed}");
        let reply = call(&supervisor, &vandal, "well-behaved", "").await;
        assert_eq!(reply.unwrap(), "DONE: well-behaved call 1");
    }

    let status = status(&supervisor, &vandal);
    assert_eq!(status.counters.launches, 4);
    assert_eq!(status.by_kind["oom-kill"], 1);
}

#[tokio::test]
async fn plugin_that_cannot_be_interrupted_is_killed_and_comes_back() {
    let supervisor = supervisor(&format!("{SOON}[call]\ngrace = \"50ms\"")).await;
    let probe = load(&supervisor, &fixture("probe")).await;
    let request = Call {
        method: "spin",
        payload: b"20",
        deadline: Some(Duration::from_millis(50)),
        ..Call::default()
    };

    let error = supervisor.call(&probe, request).await.unwrap_err();

    assert!(matches!(error, CallError::Deadline { .. }), "{error}");
    assert!(back(&supervisor, &probe, 1).await);
    assert_eq!(status(&supervisor, &probe).by_kind["deadline"], 1);
    let reply = call(&supervisor, &probe, "echo", "a").await;
    assert_eq!(reply.unwrap(), "a");
}

#[tokio::test]
async fn plugin_that_crashes_in_a_loop_stays_down_until_somebody_loads_it() {
    let supervisor = supervisor(&format!("{SOON}attempts = 2")).await;
    let vandal = load(&supervisor, &example("vandal")).await;
    for restarts in 1..=2 {
        call(&supervisor, &vandal, "segv", "").await.unwrap_err();
        assert!(back(&supervisor, &vandal, restarts).await);
    }

    call(&supervisor, &vandal, "segv", "").await.unwrap_err();

    let State::Failed { reason } = stays(&supervisor, &vandal, 3).await else {
        panic!("it has a worker")
    };
    let Failure::CrashLoop {
        restarts: 2, last, ..
    } = &reason
    else {
        panic!("{reason}")
    };
    let ending = Ending::Signal { number: 11 };
    assert_eq!(**last, Failure::Ended { ending });
    let sentence =
        "it crashes in a loop, 2 restarts within 10 min; the last time: it died of SIGSEGV";
    assert_eq!(reason.to_string(), sentence);
    supervisor.reload(&vandal).await.unwrap();
    call(&supervisor, &vandal, "segv", "").await.unwrap_err();
    assert!(back(&supervisor, &vandal, 3).await);
}

#[tokio::test]
async fn restart_that_meets_a_passing_error_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let supervisor = builder("[restart]\nfirst = \"100ms\"\n")
        .state_dir(&state)
        .start()
        .await
        .unwrap();
    let vandal = load(&supervisor, &example("vandal")).await;
    // What can't be read may say that it is unmounted.
    let obstacle = state.join("unmounted/vandal.json");
    std::fs::create_dir(&obstacle).unwrap();

    call(&supervisor, &vandal, "segv", "").await.unwrap_err();

    let refused = || {
        let status = status(&supervisor, &vandal);
        matches!(
            status.state,
            State::Failed {
                reason: Failure::Load { .. }
            }
        ) && status.restart_in.is_some()
    };
    assert!(eventually(PATIENCE, refused).await);
    std::fs::remove_dir(&obstacle).unwrap();
    assert!(back(&supervisor, &vandal, 1).await);
}

#[tokio::test]
async fn unmounted_plugin_never_comes_back_by_itself() {
    let limits = "[violations]\nthreshold = 1\n[limits]\ncpu = \"50ms\"";
    let supervisor = supervisor(&format!("{SOON}{limits}")).await;
    let probe = load(&supervisor, &fixture("probe")).await;

    call(&supervisor, &probe, "spin", "20").await.unwrap_err();

    let state = stays(&supervisor, &probe, 1).await;
    assert!(matches!(state, State::Unmounted { .. }), "{state}");
}

#[tokio::test]
async fn what_no_honest_plugin_does_is_not_answered_by_a_restart() {
    let supervisor = supervisor(SOON).await;
    let vandal = load(&supervisor, &example("vandal")).await;

    call(&supervisor, &vandal, "ptrace-parent", "")
        .await
        .unwrap_err();

    let state = stays(&supervisor, &vandal, 1).await;
    assert!(matches!(state, State::Failed { .. }), "{state}");
}

#[tokio::test]
async fn who_unloads_a_failed_plugin_calls_its_restart_off() {
    let supervisor = supervisor("[restart]\nfirst = \"200ms\"").await;
    let vandal = load(&supervisor, &example("vandal")).await;
    call(&supervisor, &vandal, "segv", "").await.unwrap_err();
    assert!(status(&supervisor, &vandal).restart_in.is_some());

    supervisor.unload(&vandal).await.unwrap();

    assert_eq!(stays(&supervisor, &vandal, 1).await, State::Available);
}

#[tokio::test]
async fn first_load_that_fails_is_its_callers_to_repeat() {
    let _alone = EARLY_VANDALS.lock().await;
    let supervisor = supervisor(SOON).await;
    let plugin = EarlyVandal::build("segv", "");

    supervisor.load(&plugin.path()).await.unwrap_err();

    let id = supervisor.list()[0].id.clone();
    let state = stays(&supervisor, &id, 1).await;
    assert!(matches!(state, State::Failed { .. }), "{state}");
}
