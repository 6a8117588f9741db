//! Calls: many at a time, late ones, cancelled ones, and what a plugin asks of its host.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cordon_supervisor::ending::Ending;
use cordon_supervisor::lifecycle::{Failure, State};
use cordon_supervisor::manifest::PluginId;
use cordon_supervisor::output::Source;
use cordon_supervisor::plugin::Output;
use cordon_supervisor::supervisor::Verdict;
use cordon_supervisor::{Call, CallError, Supervisor};
use cordon_tests::host::{call, eventually, load, status, supervisor};
use cordon_tests::plugins::{example, fixture, greet};
use tokio::task::JoinSet;

const MANY: usize = 200;
const A_SECOND: Duration = Duration::from_secs(1);
const NOT_FOUND: i32 = 7;
const DENIED: i32 = 6;

#[tokio::test]
async fn replies_to_many_calls_in_flight_reach_their_callers() {
    let supervisor = Arc::new(supervisor("").await);
    let deflate = load(&supervisor, &example("deflate")).await;
    let mut calls = JoinSet::new();
    for number in 0..MANY {
        let (supervisor, deflate) = (Arc::clone(&supervisor), deflate.clone());
        calls.spawn(async move {
            let payload = format!("{number} ").repeat(10 * number).into_bytes();
            let packed = bytes(&supervisor, &deflate, "compress", &payload).await;
            let unpacked = bytes(&supervisor, &deflate, "expand", &packed).await;
            (number, payload == unpacked)
        });
    }

    let mut replies = calls.join_all().await;

    replies.sort_unstable();
    let right: Vec<_> = (0..MANY).map(|number| (number, true)).collect();
    assert_eq!(replies, right);
    // A reply reaches its caller before it is counted.
    let counted = || status(&supervisor, &deflate).counters.calls == 2 * MANY as u64;
    assert!(eventually(A_SECOND, counted).await);
}

#[tokio::test]
async fn payload_of_the_greatest_length_comes_back_whole() {
    let supervisor = supervisor("[limits]\nheap = \"256MiB\"\ncpu = \"10s\"").await;
    let probe = load(&supervisor, &fixture("probe")).await;
    let payload = vec![b'x'; 16 << 20];
    let longer = vec![b'x'; (16 << 20) + 8192];

    let echoed = bytes(&supervisor, &probe, "echo", &payload).await;
    let refused = raw(&supervisor, &probe, "echo", &longer).await;

    assert!(echoed == payload, "{} bytes came back", echoed.len());
    assert!(
        matches!(refused, Err(CallError::TooLarge { .. })),
        "{refused:?}"
    );
}

#[tokio::test]
async fn late_call_of_an_obedient_plugin_costs_the_call_alone() {
    let supervisor = supervisor("").await;
    let probe = load(&supervisor, &fixture("probe")).await;
    let worker = status(&supervisor, &probe).pid;
    let after = Duration::from_millis(50);
    let late = Call {
        method: "rest",
        payload: b"10",
        deadline: Some(after),
        ..Call::default()
    };
    let started = Instant::now();

    let error = supervisor.call(&probe, late).await.unwrap_err();

    assert!(started.elapsed() < A_SECOND);
    let plugin = probe.clone();
    assert_eq!(error, CallError::Deadline { plugin, after });
    // Its late answer is nobody's any more: the next call gets its own.
    let reply = call(&supervisor, &probe, "rest", "0").await;
    assert_eq!(reply.unwrap(), "rested");
    let status = status(&supervisor, &probe);
    assert_eq!((status.state, status.pid), (State::Active, worker));
}

#[tokio::test]
async fn late_call_that_goes_on_costs_the_worker() {
    let supervisor = supervisor("[limits]\ncpu = \"1h\"").await;
    let vandal = load(&supervisor, &example("vandal")).await;
    let stuck = Call {
        method: "spin",
        payload: b"20",
        deadline: Some(Duration::from_millis(50)),
        ..Call::default()
    };
    let worker = supervisor.worker(&vandal).unwrap();
    let started = Instant::now();

    let error = supervisor.call(&vandal, stuck).await.unwrap_err();
    let ending = worker.ended().await;

    assert!(matches!(error, CallError::Deadline { .. }), "{error}");
    assert!(matches!(ending, Ending::Deadline { .. }), "{ending}");
    assert!(started.elapsed() < A_SECOND);
    let reason = Failure::Ended { ending };
    assert_eq!(status(&supervisor, &vandal).state, State::Failed { reason });
    supervisor.reload(&vandal).await.unwrap();
    call(&supervisor, &vandal, "well-behaved", "")
        .await
        .unwrap();
}

#[tokio::test]
async fn call_whose_future_is_dropped_is_cancelled_in_the_plugin() {
    let supervisor = supervisor("").await;
    let probe = load(&supervisor, &fixture("probe")).await;
    let worker = status(&supervisor, &probe).pid;
    let rest = call(&supervisor, &probe, "rest", "20");

    let dropped = tokio::time::timeout(Duration::from_millis(50), rest).await;
    let started = Instant::now();
    let reply = call(&supervisor, &probe, "rest", "0").await;

    assert!(dropped.is_err());
    assert_eq!(reply.unwrap(), "rested");
    assert!(started.elapsed() < A_SECOND, "it was not told to stop");
    let status = status(&supervisor, &probe);
    assert_eq!((status.pid, status.counted), (worker, 0));
}

#[tokio::test]
async fn plugin_is_told_who_calls() {
    let supervisor = supervisor("").await;
    let probe = load(&supervisor, &fixture("probe")).await;
    let call = Call {
        method: "caller",
        tenant: "acme",
        user: "ada",
        ..Call::default()
    };

    let reply = supervisor.call(&probe, call).await;

    assert_eq!(reply.unwrap(), b"acme/ada");
}

#[tokio::test]
async fn context_is_kept_from_worker_to_worker_and_apart_from_other_plugins() {
    let one = supervisor("").await;
    let other = supervisor("").await;
    let probe = load(&one, &fixture("probe")).await;
    load(&other, &fixture("probe")).await;

    call(&one, &probe, "set", "colour=green").await.unwrap();
    one.unload(&probe).await.unwrap();
    one.reload(&probe).await.unwrap();

    assert_eq!(call(&one, &probe, "get", "colour").await.unwrap(), "green");
    let unknown = call(&other, &probe, "get", "colour").await;
    assert_eq!(status_of(unknown), NOT_FOUND);
}

#[tokio::test]
async fn service_that_was_not_granted_is_denied() {
    let supervisor = supervisor("").await;
    let probe = load(&supervisor, &fixture("probe")).await;

    let reply = call(&supervisor, &probe, "service", "mail").await;

    assert_eq!(status_of(reply), DENIED);
}

#[tokio::test]
async fn events_lines_and_logs_of_a_plugin_reach_the_host_escaped() {
    let supervisor = supervisor("").await;
    let probe = load(&supervisor, &fixture("probe")).await;
    let mut output = supervisor.subscribe_output();

    call(&supervisor, &probe, "emit", "done=\x1b7")
        .await
        .unwrap();
    call(&supervisor, &probe, "log", "log \x1b[31m\nred")
        .await
        .unwrap();
    call(&supervisor, &probe, "print", "out \x1b[2J\n")
        .await
        .unwrap();

    let printed = || status(&supervisor, &probe).lines.len() == 2;
    assert!(eventually(A_SECOND, printed).await);
    let lines = status(&supervisor, &probe).lines;
    let line = |source| lines.iter().find(|line| line.source == source).unwrap();
    assert_eq!(line(Source::Log).text, "log \\u{1b}[31m\\nred");
    assert_eq!(line(Source::Stdout).text, "out \\u{1b}[2J");
    let Ok(Output::Emitted { name, payload, .. }) = output.recv().await else {
        panic!("the event comes first")
    };
    assert_eq!((name.as_str(), &payload[..]), ("done", &b"\x1b7"[..]));
}

#[tokio::test]
async fn hook_lets_through_answers_itself_or_rejects() {
    let supervisor = supervisor("").await;
    let greet = load(&supervisor, &greet()).await;
    let hook = async |payload: &str| {
        let call = Call {
            method: "request",
            payload: payload.as_bytes(),
            ..Call::default()
        };
        supervisor.hook(&greet, call).await.unwrap()
    };

    assert_eq!(hook("friend").await, Verdict::Continue);
    assert_eq!(hook("ping").await, Verdict::Intercept(b"pong".into()));
    let reason = b"strangers are not greeted".into();
    assert_eq!(hook("stranger").await, Verdict::Reject(reason));
}

#[tokio::test]
async fn hook_or_method_that_a_plugin_lacks_is_an_error_and_harmless() {
    let supervisor = supervisor("").await;
    let greet = load(&supervisor, &greet()).await;
    let nothing = Call {
        method: "nothing",
        ..Call::default()
    };

    let method = supervisor.call(&greet, nothing).await.unwrap_err();
    let hook = supervisor.hook(&greet, nothing).await.unwrap_err();

    let missing = CallError::NoMethod {
        plugin: greet.clone(),
        method: "nothing".into(),
    };
    assert_eq!((method, hook), (missing.clone(), missing));
    assert_eq!(status(&supervisor, &greet).state, State::Active);
}

async fn raw(
    supervisor: &Supervisor,
    plugin: &PluginId,
    method: &str,
    payload: &[u8],
) -> Result<Vec<u8>, CallError> {
    let call = Call {
        method,
        payload,
        ..Call::default()
    };
    supervisor.call(plugin, call).await
}

async fn bytes(
    supervisor: &Supervisor,
    plugin: &PluginId,
    method: &str,
    payload: &[u8],
) -> Vec<u8> {
    raw(supervisor, plugin, method, payload).await.unwrap()
}

/// The status of the plugin ABI that a call failed with.
fn status_of(reply: Result<String, CallError>) -> i32 {
    match reply {
        Err(CallError::Plugin { status, .. }) => status,
        other => panic!("not the plugin's own error: {other:?}"),
    }
}
