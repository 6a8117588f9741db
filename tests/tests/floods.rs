//! A plugin that goes on when its call is over: it pays for it, and nobody else does.

use std::time::{Duration, Instant};

use cordon_supervisor::ending::Ending;
use cordon_supervisor::lifecycle::{Failure, State};
use cordon_supervisor::manifest::PluginId;
use cordon_supervisor::{Call, Supervisor};
use cordon_tests::host::{call, load, status, supervisor};
use cordon_tests::plugins::{example, fixture};
use tokio::sync::Mutex;

/// Floods take all that they get: one at a time, or they would measure each other.
static ALONE: Mutex<()> = Mutex::const_new(());

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
    let _alone = ALONE.lock().await;
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
    let _alone = ALONE.lock().await;
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

/// Violations only count, denials have no limit that matters, and threads abound.
const UNRESTRAINED: &str = r#"
    [violations]
    auto_unmount = false
    [limits]
    threads = 32
    denials = 100000000
    cpu = "1h"
    [call]
    deadline = "60s"
"#;

fn denials(supervisor: &Supervisor, plugin: &PluginId) -> u64 {
    let status = status(supervisor, plugin);
    status.by_kind.get("denied-syscall").copied().unwrap_or(0)
}

#[tokio::test]
async fn flood_of_denied_calls_ends_the_flooder_within_a_second() {
    let _alone = ALONE.lock().await;
    let rules = "[violations]\nauto_unmount = false\n[limits]\nthreads = 32";
    let supervisor = supervisor(rules).await;
    let flooder = load(&supervisor, &fixture("flooder")).await;
    let worker = supervisor.worker(&flooder).unwrap();

    let begun = Instant::now();
    let answer = call(&supervisor, &flooder, "flood-denials", "16").await;
    let ended = tokio::time::timeout(Duration::from_secs(10), worker.ended()).await;
    let lived = begun.elapsed();

    // Its call may be cut off by its end.
    assert!(answer.is_err() || answer.unwrap() == "begun");
    let ending = ended.expect("the flooder lives on");
    assert!(
        matches!(ending, Ending::DenialFlood { used: 5001 }),
        "{ending}"
    );
    assert!(lived < Duration::from_secs(1), "{lived:?}");
    let limit = status(&supervisor, &flooder);
    assert_eq!(
        limit.by_kind.get("denials"),
        Some(&2),
        "{:?}",
        limit.by_kind
    );
    assert!(denials(&supervisor, &flooder) > 5000);
    assert!(limit.violations.len() < 200, "{}", limit.violations.len());
}

#[tokio::test]
async fn denied_calls_of_many_threads_are_counted_exactly() {
    let _alone = ALONE.lock().await;
    let supervisor = supervisor(UNRESTRAINED).await;
    let flooder = load(&supervisor, &fixture("flooder")).await;

    let refused = call(&supervisor, &flooder, "deny-exactly", "5000").await;

    assert_eq!(refused.unwrap(), "20000");
    assert_eq!(denials(&supervisor, &flooder), 20_000);
    let status = status(&supervisor, &flooder);
    assert_eq!((status.counted, status.state), (20_000, State::Active));
    let kept = status.violations.iter().map(|kept| 1 + kept.repeated);
    assert_eq!(kept.sum::<u64>(), 20_000);
}

#[tokio::test]
async fn denials_of_a_neighbour_are_recorded_in_time_while_another_floods() {
    let _alone = ALONE.lock().await;
    let supervisor = supervisor(UNRESTRAINED).await;
    let flooder = load(&supervisor, &fixture("flooder")).await;
    let neighbour = load(&supervisor, &fixture("probe")).await;
    let begun = call(&supervisor, &flooder, "flood-denials", "16").await;
    assert_eq!(begun.unwrap(), "begun");

    // A machine that is busy otherwise may spoil one round, but not three.
    let mut p99 = u64::MAX;
    let (start, before) = (Instant::now(), denials(&supervisor, &flooder));
    for _ in 0..3 {
        let round = call(&supervisor, &neighbour, "deny", "").await.unwrap();
        p99 = p99.min(round.parse().unwrap());
        if p99 <= 50_000 {
            break;
        }
    }
    let flood = denials(&supervisor, &flooder) - before;
    let rate = flood as f64 / start.elapsed().as_secs_f64();

    println!("p99 {p99} us beside {rate:.0} denials a second");
    assert_eq!(denials(&supervisor, &neighbour) % 500, 0);
    assert!(p99 <= 50_000, "{p99} us beside {rate:.0} denials a second");
    assert!(rate > 1000.0, "that was no flood: {rate:.0} a second");
}

#[tokio::test]
async fn work_that_no_call_asked_for_is_found_by_the_audit() {
    let _alone = ALONE.lock().await;
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
    let _alone = ALONE.lock().await;
    let supervisor = supervisor("[limits]\ncpu = \"100ms\"").await;
    let vandal = load(&supervisor, &example("vandal")).await;

    let error = call(&supervisor, &vandal, "spin", "5").await.unwrap_err();

    assert!(error.to_string().contains("CPU time"), "{error}");
    let vandal = status(&supervisor, &vandal);
    // One above declared, one at hard; the kill follows the second.
    assert_eq!(vandal.by_kind.get("cpu"), Some(&2), "{:?}", vandal.by_kind);
}
