//! What follows from violations of each severity, as policy has it.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A failed assumption fails the test.

use std::time::Duration;

use cordon_supervisor::crash::Evidence;
use cordon_supervisor::ending::Ending;
use cordon_supervisor::lifecycle::{Failure, State};
use cordon_supervisor::manifest::PluginId;
use cordon_supervisor::plugin::Event;
use cordon_supervisor::violations::{Action, Actions, Class};
use cordon_supervisor::worker::Isolation;
use cordon_supervisor::{CallError, Supervisor};
use cordon_tests::host::{call, eventually, load, status, supervisor};
use cordon_tests::plugins::fixture;
use sandbox::report::Control;

const PATIENCE: Duration = Duration::from_secs(30);
const GRANTED: &str = "cpu 100000/100000 us";

/// Has more threads than the kernel gives it: a violation of severity high that ends nothing.
const FEW_THREADS: &str = "[restart]\nwhen = \"never\"\n[monitor]\ninterval = \"24h\"\n[limits]\nthreads = { declared = 2, hard = 4 }\n";

async fn violate(supervisor: &Supervisor, probe: &PluginId) {
    let before = status(supervisor, probe).by_kind.get("threads").copied();
    call(supervisor, probe, "threads", "10").await.unwrap_err();
    let more = || status(supervisor, probe).by_kind.get("threads").copied() > before;
    assert!(eventually(PATIENCE, more).await);
}

/// The bandwidth of its group, as attested.
fn bandwidth(supervisor: &Supervisor, probe: &PluginId) -> String {
    let worker = supervisor.worker(probe).unwrap();
    let report = worker.attest().unwrap();
    let value = report.finding(Control::Cgroup).unwrap().value.clone();
    value[value.find("cpu").unwrap()..].to_owned()
}

/// Whether the host takes an event of it.
async fn emits(supervisor: &Supervisor, probe: &PluginId) -> bool {
    const DENIED: i32 = 6;
    match call(supervisor, probe, "emit", "x").await {
        Ok(_) => true,
        Err(CallError::Plugin { status: DENIED, .. }) => false,
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn high_revokes_throttles_and_watches_until_an_operator_resets_it() {
    let policy = FEW_THREADS.to_owned() + "[violations]\nwatch = \"100ms\"\nthrottle = \"20%\"";
    let supervisor = supervisor(&policy).await;
    let probe = load(&supervisor, &fixture("probe")).await;
    assert!(emits(&supervisor, &probe).await);
    assert_eq!(bandwidth(&supervisor, &probe), GRANTED);
    assert!(status(&supervisor, &probe).restrictions.is_empty());
    assert!(status(&supervisor, &probe).usage.is_none());

    violate(&supervisor, &probe).await;

    let restricted = || status(&supervisor, &probe).restrictions == Actions::RESTRICTIONS;
    assert!(eventually(PATIENCE, restricted).await);
    // Throttled and attested: less than granted is no gap.
    assert_eq!(bandwidth(&supervisor, &probe), "cpu 20000/100000 us");
    assert!(!emits(&supervisor, &probe).await);
    assert_eq!(call(&supervisor, &probe, "echo", "x").await.unwrap(), "x");
    // Policy's own polls come once a day.
    let polled = || status(&supervisor, &probe).usage.is_some();
    assert!(eventually(PATIENCE, polled).await);

    supervisor.reset_violations(&probe).unwrap();

    let free = || {
        let status = status(&supervisor, &probe);
        status.restrictions.is_empty() && status.counted == 0
    };
    assert!(eventually(PATIENCE, free).await);
    let granted = || bandwidth(&supervisor, &probe) == GRANTED;
    assert!(eventually(PATIENCE, granted).await);
    assert!(emits(&supervisor, &probe).await);
}

#[tokio::test]
async fn restrictions_are_the_plugins_and_its_next_worker_has_them() {
    let supervisor = supervisor(FEW_THREADS).await;
    let probe = load(&supervisor, &fixture("probe")).await;
    violate(&supervisor, &probe).await;
    supervisor.unload(&probe).await.unwrap();

    supervisor.reload(&probe).await.unwrap();

    let throttled = || bandwidth(&supervisor, &probe) == "cpu 10000/100000 us";
    assert!(eventually(PATIENCE, throttled).await);
    assert_eq!(
        status(&supervisor, &probe).restrictions,
        Actions::RESTRICTIONS
    );
}

#[tokio::test]
async fn restrictions_end_after_their_time() {
    let policy = FEW_THREADS.to_owned()
        + "[violations]\nwindow = \"1s\"\nrestricted = \"1s\"\nwatch = \"100ms\"";
    let supervisor = supervisor(&policy).await;
    let probe = load(&supervisor, &fixture("probe")).await;
    violate(&supervisor, &probe).await;

    let free = || {
        let status = status(&supervisor, &probe);
        status.restrictions.is_empty() && status.counted == 0
    };
    assert!(eventually(PATIENCE, free).await);
    let granted = || bandwidth(&supervisor, &probe) == GRANTED;
    assert!(eventually(PATIENCE, granted).await);
}

#[tokio::test]
async fn policy_sets_actions_for_one_plugin() {
    let policy = FEW_THREADS.to_owned()
        + "[plugin.probe.violations.actions]\nhigh = [\"throttle\"]\nmedium = []";
    let supervisor = supervisor(&policy).await;
    let probe = load(&supervisor, &fixture("probe")).await;
    assert!(emits(&supervisor, &probe).await);

    violate(&supervisor, &probe).await;

    let throttled = Actions::of(&[Action::Throttle]);
    let restricted = || status(&supervisor, &probe).restrictions == throttled;
    assert!(eventually(PATIENCE, restricted).await);
    assert_eq!(status(&supervisor, &probe).counted, 0);
    assert!(emits(&supervisor, &probe).await);
}

/// How a plugin was isolated that did this.
async fn isolated(policy: &str, plugin: &str, method: &str, payload: &str) -> (Ending, Isolation) {
    let supervisor = supervisor(&format!("[restart]\nwhen = \"never\"\n{policy}")).await;
    let plugin = load(&supervisor, &fixture(plugin)).await;
    let worker = supervisor.worker(&plugin).unwrap();
    assert_eq!(worker.isolation(), None);
    let result = call(&supervisor, &plugin, method, payload).await;
    let ending = tokio::time::timeout(PATIENCE, worker.ended())
        .await
        .unwrap();
    if let Err(error) = result {
        assert!(matches!(error, CallError::Ended { .. }), "{error}");
    }
    let State::Failed { reason } = status(&supervisor, &plugin).state else {
        panic!("{:?}", status(&supervisor, &plugin).state);
    };
    let expected = Failure::Ended {
        ending: ending.clone(),
    };
    assert_eq!(reason, expected);
    (ending, worker.isolation().unwrap())
}

#[tokio::test]
async fn critical_freezes_the_worker_before_it_is_looked_at_and_killed() {
    let supervisor = supervisor("[restart]\nwhen = \"never\"").await;
    let flooder = load(&supervisor, &fixture("flooder")).await;
    let (worker, mut events) = (supervisor.worker(&flooder).unwrap(), supervisor.subscribe());
    call(&supervisor, &flooder, "flood-log", "").await.ok();
    let evidence = async {
        loop {
            if let Event::Crash(crash) = events.recv().await.unwrap() {
                return crash.evidence.clone();
            }
        }
    };
    let evidence = tokio::time::timeout(PATIENCE, evidence).await.unwrap();
    let (ending, isolation) = (worker.ended().await, worker.isolation().unwrap());
    assert!(matches!(ending, Ending::Protocol { .. }), "{ending}");
    assert_eq!(evidence, Evidence::Frozen);
    assert!(
        matches!(isolation, Isolation::Frozen { .. }),
        "{isolation:?}"
    );
}

#[tokio::test]
async fn a_worker_that_the_freezer_does_not_reach_is_killed_all_the_same() {
    // Its thread waits for the answer to its call, where the freezer doesn't reach it.
    let policy = "[violations.actions]\nmedium = [\"isolate\"]";
    let (ending, isolation) = isolated(policy, "denier", "open", "/etc/shadow").await;
    let violation = Class::Syscall;
    assert_eq!(ending, Ending::Isolated { violation });
    assert_eq!(isolation, Isolation::Held);
}

#[tokio::test]
async fn what_is_not_to_be_isolated_is_killed_at_once() {
    let policy = "[violations.actions]\ncritical = [\"count\"]";
    let supervisor = supervisor(policy).await;
    let flooder = load(&supervisor, &fixture("flooder")).await;
    let worker = supervisor.worker(&flooder).unwrap();
    call(&supervisor, &flooder, "flood-log", "").await.ok();
    let ending = worker.ended().await;
    assert!(matches!(ending, Ending::Protocol { .. }), "{ending}");
    assert_eq!(worker.isolation(), None);
}

#[tokio::test]
async fn the_one_too_many_is_isolated_too_where_policy_says_so() {
    let policy = "[violations]\nthreshold = 1\nactions.medium = [\"count\", \"isolate\"]";
    let supervisor = supervisor(policy).await;
    let denier = load(&supervisor, &fixture("denier")).await;
    let worker = supervisor.worker(&denier).unwrap();
    call(&supervisor, &denier, "open", "/etc/shadow")
        .await
        .unwrap_err();
    assert_eq!(worker.ended().await, Ending::Unmounted);
    let state = status(&supervisor, &denier).state;
    assert!(matches!(state, State::Unmounted { .. }), "{state}");
    assert_ne!(worker.isolation(), None);
}
