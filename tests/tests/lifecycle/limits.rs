//! What a plugin takes between its declared and its hard limits is counted, and no more.

use std::time::{Duration, Instant};

use cordon_supervisor::ending::Ending;
use cordon_supervisor::lifecycle::State;
use cordon_supervisor::limits::LimitName;
use cordon_supervisor::manifest::PluginId;
use cordon_supervisor::violations::{Kind, Tier, Violation};
use cordon_supervisor::{CallError, Supervisor};
use cordon_tests::host::{call, eventually, load, status, supervisor};
use cordon_tests::plugins::fixture;

const MIB: u64 = 1 << 20;

/// So that nothing but the test's own audits is seen.
const NO_POLLS: &str = "[monitor]\ninterval = \"24h\"\n";

#[tokio::test]
async fn heap_above_declared_is_counted_once_until_it_was_below_again() {
    let limit = "[limits]\nheap = { declared = \"16MiB\", hard = \"256MiB\" }";
    let supervisor = supervisor(&format!("{NO_POLLS}{limit}")).await;
    let probe = load(&supervisor, &fixture("probe")).await;
    let counted = async |mib: &str| {
        call(&supervisor, &probe, "heap", mib).await.unwrap();
        supervisor.audit();
        supervisor.audit();
        status(&supervisor, &probe).counted
    };

    assert_eq!(counted("1").await, 0);
    assert_eq!(counted("32").await, 1);
    assert_eq!(counted("1").await, 1);
    assert_eq!(counted("32").await, 2);
    let used = measured(&supervisor, &probe, LimitName::Heap, Tier::Declared);
    // Recorded as it grew.
    assert!(used.0 > 16 * MIB && used.0 < 48 * MIB, "{used:?}");
    assert_eq!(used.1, 16 * MIB);
    assert_eq!(status(&supervisor, &probe).state, State::Active);
}

#[tokio::test]
async fn threads_above_declared_are_counted() {
    let limit = "[limits]\nthreads = { declared = 2, hard = 8 }";
    let supervisor = supervisor(&format!("{NO_POLLS}{limit}")).await;
    let probe = load(&supervisor, &fixture("probe")).await;

    call(&supervisor, &probe, "threads", "4").await.unwrap();
    supervisor.audit();

    let used = measured(&supervisor, &probe, LimitName::Threads, Tier::Declared);
    assert_eq!(used, (5, 2));
    assert_eq!(status(&supervisor, &probe).usage.unwrap().threads, 5);
}

#[tokio::test]
async fn thread_beyond_hard_is_refused_and_recorded_by_event() {
    let limit = "[limits]\nthreads = { declared = 2, hard = 4 }";
    let supervisor = supervisor(&format!("{NO_POLLS}{limit}")).await;
    let probe = load(&supervisor, &fixture("probe")).await;

    let error = call(&supervisor, &probe, "threads", "10").await;

    assert!(error.unwrap_err().to_string().contains("no thread"));
    let seen = || status(&supervisor, &probe).counted > 0;
    assert!(eventually(Duration::from_secs(1), seen).await);
    let used = measured(&supervisor, &probe, LimitName::Threads, Tier::Hard);
    assert_eq!(used, (5, 4));
}

#[tokio::test]
async fn file_descriptors_above_declared_are_counted() {
    let limit = "[limits]\nfds = { declared = 16, hard = 20 }";
    let supervisor = supervisor(&format!("{NO_POLLS}{limit}")).await;
    let hoarder = load(&supervisor, &fixture("hoarder")).await;

    supervisor.audit();

    let used = measured(&supervisor, &hoarder, LimitName::Fds, Tier::Declared);
    assert_eq!(used, (18, 16));
}

#[tokio::test]
async fn file_descriptors_beyond_hard_are_refused() {
    let limit = "[limits]\nfds = { declared = 16, hard = 17 }";
    let supervisor = supervisor(limit).await;

    let error = supervisor.load(&fixture("hoarder")).await.unwrap_err();

    assert!(error.to_string().contains("no more files"), "{error}");
}

#[tokio::test]
async fn polls_find_what_no_event_tells() {
    let limit = "[limits]\nthreads = { declared = 2, hard = 8 }";
    let poll = "[monitor]\ninterval = \"100ms\"";
    let supervisor = supervisor(&format!("{poll}\n{limit}")).await;
    let probe = load(&supervisor, &fixture("probe")).await;

    call(&supervisor, &probe, "threads", "4").await.unwrap();

    let seen = || status(&supervisor, &probe).counted == 1;
    assert!(eventually(Duration::from_secs(2), seen).await);
}

#[tokio::test]
async fn cpu_time_of_a_call_above_declared_is_counted_and_answered() {
    let limit = "[limits]\ncpu = { declared = \"50ms\", hard = \"1h\" }";
    let supervisor = supervisor(limit).await;
    let probe = load(&supervisor, &fixture("probe")).await;

    call(&supervisor, &probe, "spin", "0.01").await.unwrap();
    let below = status(&supervisor, &probe).counted;
    let reply = call(&supervisor, &probe, "spin", "0.2").await;

    assert_eq!(below, 0);
    assert_eq!(reply.unwrap(), "spun");
    let counted = || status(&supervisor, &probe).counted == 1;
    assert!(eventually(Duration::from_secs(1), counted).await);
    let used = measured(&supervisor, &probe, LimitName::Cpu, Tier::Declared);
    assert!((50_000..400_000).contains(&used.0), "{used:?}");
}

#[tokio::test]
async fn cpu_time_of_a_call_beyond_hard_costs_the_worker() {
    let limit = "[limits]\ncpu = { declared = \"50ms\", hard = \"100ms\" }";
    let supervisor = supervisor(limit).await;
    let probe = load(&supervisor, &fixture("probe")).await;
    let started = Instant::now();

    let error = call(&supervisor, &probe, "spin", "20").await.unwrap_err();

    assert!(started.elapsed() < Duration::from_secs(1));
    let CallError::Ended { ending, .. } = error else {
        panic!("{error}")
    };
    let Ending::Cpu { used } = ending else {
        panic!("{ending}")
    };
    assert!(used >= Duration::from_millis(100), "{used:?}");
    let (used, limit) = measured(&supervisor, &probe, LimitName::Cpu, Tier::Hard);
    assert!(used >= limit && limit == 100_000, "{used} of {limit}");
    supervisor.reload(&probe).await.unwrap();
}

#[tokio::test]
async fn time_that_a_call_sleeps_is_no_cpu_time() {
    let limit = "[limits]\ncpu = { declared = \"50ms\", hard = \"100ms\" }";
    let supervisor = supervisor(limit).await;
    let probe = load(&supervisor, &fixture("probe")).await;

    let reply = call(&supervisor, &probe, "rest", "0.3").await;

    assert_eq!(reply.unwrap(), "rested");
    assert_eq!(status(&supervisor, &probe).counted, 0);
}

#[tokio::test]
async fn host_calls_beyond_the_limit_are_denied() {
    let limit = "[limits]\nmessages = { declared = 2, hard = 3 }";
    let supervisor = supervisor(limit).await;
    let probe = load(&supervisor, &fixture("probe")).await;
    let set = async || call(&supervisor, &probe, "set", "key=value").await.is_ok();

    let answers = [set().await, set().await, set().await, set().await];

    assert_eq!(answers, [true, true, true, false]);
    assert_eq!(status(&supervisor, &probe).by_kind["messages"], 2);
}

#[tokio::test]
async fn lines_beyond_the_limit_are_dropped_and_noted() {
    let limit = "[limits]\nlog = { declared = \"64B\", hard = \"80B\" }";
    let supervisor = supervisor(limit).await;
    let probe = load(&supervisor, &fixture("probe")).await;

    for text in ["one", "two", "three"] {
        call(&supervisor, &probe, "log", text).await.unwrap();
    }

    let status = status(&supervisor, &probe);
    let lines: Vec<_> = status.lines.iter().map(|line| line.text.as_str()).collect();
    assert_eq!(lines, ["one", "two"]);
    assert_eq!((status.by_kind["log"], status.counted), (2, 1));
}

/// What the last violation of this limit says was used and allowed.
fn measured(
    supervisor: &Supervisor,
    plugin: &PluginId,
    resource: LimitName,
    tier: Tier,
) -> (u64, u64) {
    let violations = status(supervisor, plugin).violations;
    let wanted = Kind::Limit { resource, tier };
    let is = |violation: &&Violation| violation.kind == wanted;
    let found = violations.iter().rev().find(is);
    let found = found.unwrap_or_else(|| panic!("no {wanted}: {violations:#?}"));
    (found.used.unwrap().raw(), found.limit.unwrap().raw())
}
