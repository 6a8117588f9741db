//! A plugin that goes on when its call is over: it pays for it, and nobody else does.

use std::time::{Duration, Instant};

use cordon_supervisor::ending::Ending;
use cordon_supervisor::lifecycle::{Failure, State};
use cordon_supervisor::manifest::PluginId;
use cordon_supervisor::{Call, Supervisor};
use cordon_tests::host::{call, load, status, supervisor};
use cordon_tests::plugins::{example, fixture};

/// Calls the neighbour for a while, each call with a deadline that a starved supervisor
/// misses; the number of calls it answered.
async fn neighbour_answers(supervisor: &Supervisor, neighbour: &PluginId, span: Duration) -> usize {
    let end = Instant::now() + span;
    let mut answered = 0;
    while Instant::now() < end {
        let request = Call {
            method: "count",
            payload: b"a b a",
            deadline: Some(Duration::from_millis(500)),
            ..Call::default()
        };
        let reply = supervisor.call(neighbour, request).await;
        assert_eq!(
            reply.as_deref().map_err(ToString::to_string),
            Ok(&b"a 2\nb 1\n"[..])
        );
        answered += 1;
    }
    assert_eq!(status(supervisor, neighbour).counted, 0);
    answered
}

#[tokio::test]
async fn flood_of_log_records_ends_the_flooder_and_starves_nobody() {
    let supervisor = supervisor("").await;
    let flooder = load(&supervisor, &fixture("flooder")).await;
    let neighbour = load(&supervisor, &example("wordcount")).await;
    let worker = supervisor.worker(&flooder).unwrap();

    let begun = call(&supervisor, &flooder, "flood-log", "").await;
    let answered = neighbour_answers(&supervisor, &neighbour, Duration::from_secs(2)).await;

    assert_eq!(begun.unwrap(), "begun");
    assert!(answered > 20, "{answered} calls answered");
    let ending = worker.ending().expect("the flooder lives on");
    assert!(matches!(ending, Ending::Protocol { .. }), "{ending}");
    let flooder = status(&supervisor, &flooder);
    assert_eq!(
        flooder.by_kind.get("protocol"),
        Some(&1),
        "{:?}",
        flooder.by_kind
    );
    let reason = Failure::Ended { ending };
    assert_eq!(flooder.state, State::Failed { reason });
}

#[tokio::test]
async fn flood_of_output_waits_at_a_full_pipe_and_is_counted_once() {
    let supervisor = supervisor("").await;
    let flooder = load(&supervisor, &fixture("flooder")).await;
    let neighbour = load(&supervisor, &example("wordcount")).await;

    let begun = call(&supervisor, &flooder, "flood-output", "").await;
    let answered = neighbour_answers(&supervisor, &neighbour, Duration::from_secs(1)).await;

    assert_eq!(begun.unwrap(), "begun");
    assert!(answered > 20, "{answered} calls answered");
    let flooder = status(&supervisor, &flooder);
    // Above declared it is noise, beyond hard it is counted: once a minute each.
    assert_eq!(
        flooder.by_kind.get("log"),
        Some(&2),
        "{:?}",
        flooder.by_kind
    );
    assert_eq!(flooder.counted, 1);
    assert_eq!(flooder.state, State::Active);
}

#[tokio::test]
async fn work_that_no_call_asked_for_is_found_by_the_audit() {
    let supervisor = supervisor("[limits]\ncpu = \"100ms\"\n[monitor]\ninterval = \"1h\"").await;
    let spinner = load(&supervisor, &fixture("flooder")).await;

    call(&supervisor, &spinner, "spin", "").await.unwrap();
    tokio::time::sleep(Duration::from_millis(600)).await;
    supervisor.audit();
    supervisor.audit();

    let spinner = status(&supervisor, &spinner);
    assert_eq!(
        spinner.by_kind.get("cpu"),
        Some(&1),
        "{:?}",
        spinner.by_kind
    );
    assert_eq!(spinner.state, State::Active);
}

#[tokio::test]
async fn one_call_above_its_hard_cpu_limit_is_two_violations() {
    let supervisor = supervisor("[limits]\ncpu = \"100ms\"").await;
    let vandal = load(&supervisor, &example("vandal")).await;

    let error = call(&supervisor, &vandal, "spin", "5").await.unwrap_err();

    assert!(error.to_string().contains("CPU time"), "{error}");
    let vandal = status(&supervisor, &vandal);
    // One above declared, one at hard; the kill follows the second.
    assert_eq!(vandal.by_kind.get("cpu"), Some(&2), "{:?}", vandal.by_kind);
}
