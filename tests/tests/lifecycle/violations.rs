//! Violations count per plugin, across its workers, until an operator is needed.

use cordon_supervisor::ending::Ending;
use cordon_supervisor::lifecycle::State;
use cordon_supervisor::plugin::Event;
use cordon_supervisor::supervisor::ManageError;
use cordon_supervisor::{CallError, LoadError};
use cordon_tests::host::{call, load, status, supervisor};
use cordon_tests::plugins::{example, fixture};
use tokio::sync::broadcast::error::RecvError;

#[tokio::test]
async fn violations_count_across_workers_until_the_plugin_is_unmounted() {
    let supervisor = supervisor("[violations]\nthreshold = 3").await;
    let vandal = load(&supervisor, &example("vandal")).await;

    for counted in 1..3 {
        let error = call(&supervisor, &vandal, "unshare", "").await;
        let error = error.unwrap_err().to_string();
        assert!(error.contains("it tried unshare"), "{error}");
        assert_eq!(status(&supervisor, &vandal).counted, counted);
        supervisor.reload(&vandal).await.unwrap();
    }
    let error = call(&supervisor, &vandal, "unshare", "").await;

    assert!(matches!(error, Err(CallError::Ended { .. })), "{error:?}");
    let State::Unmounted { reason } = status(&supervisor, &vandal).state else {
        panic!("{:?}", status(&supervisor, &vandal))
    };
    assert_eq!(reason.counted, 3);
    let unmounted = supervisor.reload(&vandal).await;
    assert!(matches!(unmounted, Err(LoadError::Unmounted { .. })));
    let unmounted = supervisor.load(&example("vandal")).await;
    assert!(matches!(unmounted, Err(LoadError::Unmounted { .. })));
    let error = call(&supervisor, &vandal, "well-behaved", "").await;
    assert!(matches!(error, Err(CallError::NotActive { .. })));
    assert_eq!(status(&supervisor, &vandal).pid, None);
}

#[tokio::test]
async fn operator_enables_an_unmounted_plugin_and_it_counts_from_zero() {
    let supervisor = supervisor("[violations]\nthreshold = 1").await;
    let vandal = load(&supervisor, &example("vandal")).await;
    let active = supervisor.enable(&vandal);
    call(&supervisor, &vandal, "unshare", "").await.unwrap_err();

    supervisor.enable(&vandal).unwrap();

    assert!(matches!(active, Err(ManageError::State { .. })));
    let enabled = status(&supervisor, &vandal);
    assert_eq!((enabled.state, enabled.counted), (State::Available, 0));
    supervisor.reload(&vandal).await.unwrap();
    call(&supervisor, &vandal, "well-behaved", "")
        .await
        .unwrap();
}

#[tokio::test]
async fn without_auto_unmount_a_plugin_is_only_counted() {
    let rules = "[plugin.vandal]\nviolations = { threshold = 1, auto_unmount = false }";
    let supervisor = supervisor(rules).await;
    let vandal = load(&supervisor, &example("vandal")).await;

    for _ in 0..3 {
        call(&supervisor, &vandal, "open-shadow", "").await.unwrap();
    }

    let status = status(&supervisor, &vandal);
    assert_eq!(status.state, State::Active);
    assert!(status.counted >= 3, "{status:?}");
}

#[tokio::test]
async fn fd_that_a_plugin_sends_is_refused_by_the_filter_and_recorded() {
    let supervisor = supervisor("").await;
    let vandal = load(&supervisor, &example("vandal")).await;

    let reply = call(&supervisor, &vandal, "send-fd", "").await.unwrap();

    assert_eq!(reply, "STOPPED: EPERM sendmsg with SCM_RIGHTS");
    let vandal = status(&supervisor, &vandal);
    let kinds: Vec<_> = vandal
        .violations
        .iter()
        .map(|v| v.kind.to_string())
        .collect();
    assert_eq!(kinds, ["denied system call sendmsg"]);
    assert_eq!(vandal.state, State::Active);
}

#[tokio::test]
async fn unmounting_one_plugin_leaves_the_others() {
    let supervisor = supervisor("[violations]\nthreshold = 1").await;
    let vandal = load(&supervisor, &example("vandal")).await;
    let probe = load(&supervisor, &fixture("probe")).await;
    let rest = call(&supervisor, &probe, "rest", "0.1");
    let deed = call(&supervisor, &vandal, "unshare", "");

    let (rest, deed) = tokio::join!(rest, deed);

    assert_eq!(rest.unwrap(), "rested");
    assert!(deed.is_err());
    assert_eq!(status(&supervisor, &probe).state, State::Active);
}

#[tokio::test]
async fn host_hears_of_every_violation_and_change_of_state() {
    let supervisor = supervisor("").await;
    let mut events = supervisor.subscribe();
    let vandal = load(&supervisor, &example("vandal")).await;

    call(&supervisor, &vandal, "unshare", "").await.unwrap_err();

    let mut heard = Vec::new();
    while heard.len() < 4 {
        match events.recv().await.unwrap() {
            Event::State { state, .. } => heard.push(state.to_string()),
            Event::Violation(violation) => heard.push(violation.kind.to_string()),
            Event::Notice { .. } | Event::Crash(_) => {}
        }
    }
    let denied = "denied system call unshare";
    assert_eq!(heard, ["loading", "active", denied, "failed"]);
}

#[tokio::test]
async fn flood_of_lines_hides_no_violation_and_no_change_of_state() {
    let supervisor = supervisor("").await;
    let (mut events, mut output) = (supervisor.subscribe(), supervisor.subscribe_output());
    let probe = load(&supervisor, &fixture("probe")).await;
    let lines = "\n".repeat(10_000);

    call(&supervisor, &probe, "print", &lines).await.unwrap();
    supervisor.unload(&probe).await.unwrap();

    for expected in ["loading", "active", "unloading", "available"] {
        match events.recv().await {
            Ok(Event::State { state, .. }) => assert_eq!(state.to_string(), expected),
            other => panic!("not {expected}: {other:?}"),
        }
    }
    assert!(matches!(output.recv().await, Err(RecvError::Lagged(_))));
}

#[tokio::test]
async fn denial_that_is_one_too_many_ends_the_worker_in_the_middle_of_its_call() {
    let supervisor = supervisor("[violations]\nthreshold = 1").await;
    let vandal = load(&supervisor, &example("vandal")).await;

    let error = call(&supervisor, &vandal, "open-shadow", "").await;

    let unmounted = CallError::Ended {
        plugin: vandal.clone(),
        ending: Ending::Unmounted,
    };
    assert_eq!(error.unwrap_err(), unmounted);
    let state = status(&supervisor, &vandal).state;
    assert!(matches!(state, State::Unmounted { .. }), "{state}");
}
