//! How oversteps are seen: once each, by polls and clocks, and with their figures.

use std::sync::Arc;
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
async fn polls_find_what_no_event_tells() {
    let limit = "[limits]\nthreads = { declared = 2, hard = 8 }";
    let poll = "[monitor]\ninterval = \"100ms\"";
    let supervisor = supervisor(&format!("{poll}\n{limit}")).await;
    let probe = load(&supervisor, &fixture("probe")).await;

    call(&supervisor, &probe, "threads", "4").await.unwrap();

    let seen = || status(&supervisor, &probe).counted == 1;
    assert!(eventually(Duration::from_secs(30), seen).await);
}

#[tokio::test]
async fn cpu_time_of_a_call_beyond_hard_costs_the_worker() {
    let limit = "[limits]\ncpu = { declared = \"50ms\", hard = \"100ms\" }";
    let supervisor = supervisor(limit).await;
    let probe = load(&supervisor, &fixture("probe")).await;
    let started = Instant::now();

    let error = call(&supervisor, &probe, "spin", "20").await.unwrap_err();

    assert!(started.elapsed() < Duration::from_secs(10));
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

/// What the last violation of this limit says was used and allowed.
fn measured(
    supervisor: &Supervisor,
    plugin: &PluginId,
    resource: LimitName,
    tier: Tier,
) -> (u64, u64) {
    let violations = status(supervisor, plugin).violations;
    let wanted = Kind::Limit { resource, tier };
    let is = |violation: &&Arc<Violation>| violation.kind == wanted;
    let found = violations.iter().rev().find(is);
    let found = found.unwrap_or_else(|| panic!("no {wanted}: {violations:#?}"));
    (found.used.unwrap().raw(), found.limit.unwrap().raw())
}
