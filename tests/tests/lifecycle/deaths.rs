//! Workers that end, by their own doing or because somebody wants them gone.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use cordon_supervisor::ending::Ending;
use cordon_supervisor::lifecycle::{Failure, State};
use cordon_supervisor::{Call, CallError, LoadError};
use cordon_tests::host::{call, load, status, supervisor};
use cordon_tests::plugins::{EarlyVandal, bare, example, greet};
use cordon_tests::traces::{Process, groups};
use tokio::sync::Mutex;

const SIGABRT: i32 = 6;
const SIGSEGV: i32 = 11;
const A_SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn death_of_a_worker_is_a_typed_error_within_a_second_and_a_reload_heals_it() {
    let deaths = [
        ("segv", Ending::Signal { number: SIGSEGV }),
        ("abort", Ending::Signal { number: SIGABRT }),
        ("exit0", Ending::Exit { code: 0 }),
        ("allocate", Ending::OutOfMemory),
    ];
    let supervisor = supervisor("").await;
    let vandal = load(&supervisor, &example("vandal")).await;
    for (method, ending) in deaths {
        let started = Instant::now();

        let error = call(&supervisor, &vandal, method, "").await.unwrap_err();

        assert!(started.elapsed() < A_SECOND, "{method}: {error}");
        let died = CallError::Ended {
            plugin: vandal.clone(),
            ending: ending.clone(),
        };
        assert_eq!(error, died, "{method}");
        let reason = Failure::Ended { ending };
        let failed = State::Failed { reason };
        assert_eq!(status(&supervisor, &vandal).state, failed, "{method}");
        supervisor.reload(&vandal).await.unwrap();
        let reply = call(&supervisor, &vandal, "well-behaved", "").await;
        assert_eq!(reply.unwrap(), "DONE: well-behaved call 1", "{method}");
    }
}

#[tokio::test]
async fn call_of_a_plugin_that_failed_says_so() {
    let supervisor = supervisor("").await;
    let vandal = load(&supervisor, &example("vandal")).await;
    call(&supervisor, &vandal, "abort", "").await.unwrap_err();

    let error = call(&supervisor, &vandal, "well-behaved", "").await;

    let State::Failed { reason } = status(&supervisor, &vandal).state else {
        panic!("it lives")
    };
    let expected = CallError::NotActive {
        plugin: vandal,
        state: State::Failed { reason },
    };
    assert_eq!(error, Err(expected));
}

#[tokio::test]
async fn every_call_in_flight_learns_of_the_death() {
    let supervisor = supervisor("").await;
    let vandal = load(&supervisor, &example("vandal")).await;
    let abort = call(&supervisor, &vandal, "abort", "");
    let behind = call(&supervisor, &vandal, "well-behaved", "");

    let (abort, behind) = tokio::join!(abort, behind);

    let died = CallError::Ended {
        plugin: vandal.clone(),
        ending: Ending::Signal { number: SIGABRT },
    };
    assert_eq!(
        (abort.unwrap_err(), behind.unwrap_err()),
        (died.clone(), died)
    );
}

#[tokio::test]
async fn plugin_that_dies_while_loading_failed_and_leaves_nothing() {
    let _alone = EARLY_VANDALS.lock().await;
    let supervisor = supervisor("").await;
    let plugin = EarlyVandal::build("abort", "");

    let error = supervisor.load(&plugin.path()).await.unwrap_err();

    assert!(error.to_string().contains("SIGABRT"), "{error}");
    let [status] = &supervisor.list()[..] else {
        panic!("one plugin was loaded")
    };
    let ending = Ending::Signal { number: SIGABRT };
    let reason = Failure::Ended { ending };
    assert_eq!(status.state, State::Failed { reason });
    assert_eq!(status.pid, None);
    assert_eq!(groups_named("vandal-early."), NONE);
}

#[tokio::test]
async fn plugin_that_lies_about_its_abi_is_refused_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let plugin = bare(folder.path(), "-DABI=0x20000");
    let manifest = "id = \"liar\"\nversion = \"1.0.0\"\nabi = \"1.0\"\n";
    std::fs::write(folder.path().join("bare.toml"), manifest).unwrap();
    let supervisor = supervisor("").await;

    let error = supervisor.load(&plugin).await.unwrap_err();

    assert!(matches!(error, LoadError::Launch { .. }), "{error}");
    assert!(error.to_string().contains("ABI is 2.0"), "{error}");
    assert_eq!(groups_named("liar."), NONE);
}

#[tokio::test]
async fn unloaded_plugin_is_available_takes_no_calls_and_leaves_nothing() {
    let supervisor = supervisor("").await;
    let greet = load(&supervisor, &greet()).await;
    call(&supervisor, &greet, "greet", "Ada").await.unwrap();
    let worker = status(&supervisor, &greet).pid.unwrap();
    let groups = groups_with(worker);
    assert_ne!(groups, NONE);

    supervisor.unload(&greet).await.unwrap();

    assert_eq!(status(&supervisor, &greet).state, State::Available);
    assert_eq!(status(&supervisor, &greet).counters.calls, 1);
    let error = call(&supervisor, &greet, "greet", "Ada").await.unwrap_err();
    assert!(matches!(error, CallError::NotActive { .. }), "{error}");
    assert_eq!(Process::of(worker), None);
    assert!(!groups.iter().any(|group| group.exists()), "{groups:?}");
    supervisor.reload(&greet).await.unwrap();
    let reply = call(&supervisor, &greet, "greet", "Bob").await.unwrap();
    assert_eq!(reply, "Hello, Bob! You are number 1.");
}

#[tokio::test]
async fn call_in_flight_when_its_plugin_is_unloaded_learns_of_it() {
    let supervisor = supervisor("[call]\ngrace = \"50ms\"").await;
    let vandal = load(&supervisor, &example("vandal")).await;
    let spin = call(&supervisor, &vandal, "spin", "20");
    let unload = async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        supervisor.unload(&vandal).await
    };

    let (spin, unload) = tokio::join!(spin, unload);

    unload.unwrap();
    let ending = Ending::Unloaded;
    let plugin = vandal.clone();
    assert_eq!(spin, Err(CallError::Ended { plugin, ending }));
    assert_eq!(status(&supervisor, &vandal).state, State::Available);
}

#[tokio::test]
async fn second_load_of_an_active_plugin_is_refused() {
    let supervisor = supervisor("").await;
    let greet = load(&supervisor, &crate::deaths::greet()).await;

    let error = supervisor.reload(&greet).await.unwrap_err();

    assert!(matches!(error, LoadError::State { .. }), "{error}");
    let call = Call {
        method: "greet",
        payload: b"Ada",
        ..Call::default()
    };
    supervisor.call(&greet, call).await.unwrap();
}

#[tokio::test]
async fn plugin_that_was_never_loaded_is_unknown_to_everything() {
    let supervisor = supervisor("").await;
    let nobody = "nobody".parse().unwrap();

    let called = call(&supervisor, &nobody, "m", "").await;

    assert_eq!(called, Err(CallError::Unknown(nobody.clone())));
    assert!(matches!(
        supervisor.reload(&nobody).await,
        Err(LoadError::Unknown(_))
    ));
    assert!(supervisor.unload(&nobody).await.is_err());
    assert!(supervisor.enable(&nobody).is_err());
    assert!(supervisor.status(&nobody).is_none());
}

/// Held by a test that counts groups of early vandals: all tests share one process.
pub(crate) static EARLY_VANDALS: Mutex<()> = Mutex::const_new(());

pub(crate) const NONE: [PathBuf; 0] = [];

/// Our workers' groups whose names start so.
pub(crate) fn groups_named(start: &str) -> Vec<PathBuf> {
    let named = |group: &PathBuf| {
        let name = group.file_name().unwrap_or_default();
        name.to_string_lossy().starts_with(start)
    };
    let groups = groups(std::process::id()).into_iter();
    groups.filter(named).collect()
}

/// Our workers' groups that this process is in.
fn groups_with(pid: u32) -> Vec<PathBuf> {
    let member = |group: &PathBuf| {
        let members = std::fs::read_to_string(group.join("cgroup.procs"));
        members.is_ok_and(|members| members.lines().any(|line| line == pid.to_string()))
    };
    let groups = groups(std::process::id()).into_iter();
    groups.filter(member).collect()
}

/// The kernel tells a child of its parent's death when the *thread* that made it ends.
#[test]
fn worker_outlives_the_thread_that_started_everything() {
    let started = std::thread::spawn(|| {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let supervisor = supervisor("").await;
            let greet = load(&supervisor, &greet()).await;
            (supervisor, greet)
        })
    });
    let (supervisor, greet) = started.join().unwrap();

    let runtime = tokio::runtime::Runtime::new().unwrap();
    let reply = runtime.block_on(call(&supervisor, &greet, "greet", "Ada"));

    assert_eq!(reply.unwrap(), "Hello, Ada! You are number 1.");
}
