//! Being traced changes nothing for a plugin, and costs nobody else.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cordon_tests::command::{Cordon, Fresh};
use cordon_tests::host::{call, load, supervisor};
use cordon_tests::plugins::{fixture, greet};
use cordon_tests::traces::{Process, Traces};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const PATIENCE: Duration = Duration::from_secs(10);

/// Looks until it is so.
fn until(what: &str, holds: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Whether a thread of the process is stopped by its tracer.
fn is_held(process: &Process) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.pid));
    stat.is_ok_and(|stat| stat.contains(") t "))
}

#[test]
fn supervisor_that_is_killed_while_a_thread_is_held_leaves_nothing() {
    let before = Traces::of(std::process::id());
    let run = Cordon::normal()
        .run(&fixture("crasher"))
        .call("later", "")
        .start();
    // Launcher, init, worker; then the call is under way.
    until("no worker", || Traces::of(run.pid()).processes.len() == 3);
    std::thread::sleep(Duration::from_millis(100));
    let traces = Traces::of(run.pid());
    let supervisor = Pid::from_raw(run.pid() as i32);
    assert_eq!(kill(supervisor, Signal::SIGSTOP), Ok(()));
    until("nobody dies", || traces.processes.iter().any(is_held));

    run.end(Signal::SIGKILL);

    until("something is left", || {
        traces.left(&before) == Traces::default()
    });
}

#[test]
fn registers_are_kept_of_a_death_that_nobody_could_look_at() {
    let state = Arc::new(Fresh::folder());
    let run = Cordon::normal().run(&fixture("crasher")).state(&state);
    let run = run.call("later", "").start();
    until("no worker", || Traces::of(run.pid()).processes.len() == 3);
    std::thread::sleep(Duration::from_millis(100));
    let supervisor = Pid::from_raw(run.pid() as i32);
    assert_eq!(kill(supervisor, Signal::SIGSTOP), Ok(()));
    // Init lets the thread go when its time is up, and ends with the worker.
    until("held for ever", || {
        Traces::of(run.pid()).processes.len() < 3
    });

    assert_eq!(kill(supervisor, Signal::SIGCONT), Ok(()));

    let list = || {
        let list = Cordon::normal()
            .crash()
            .options(&["list", "--format", "json"]);
        String::from_utf8_lossy(&list.state(&state).finish().stdout).into_owned()
    };
    until("no crash is kept", || !list().is_empty());
    let crash: serde_json::Value = serde_json::from_str(&list()).unwrap_or_default();
    assert_eq!(crash["evidence"]["seen"], "registers", "{crash}");
    assert_eq!(crash["signal"]["address"], "0xdead0", "{crash}");
    assert!(
        crash["registers"]
            .as_array()
            .is_some_and(|all| all.len() > 20)
    );
    drop(run);
}

#[tokio::test]
async fn faults_that_a_plugin_handles_itself_are_no_deaths() {
    let supervisor = supervisor("").await;
    let plugin = load(&supervisor, &fixture("crasher")).await;

    let reply = call(&supervisor, &plugin, "handled", "").await;

    assert_eq!(reply.as_deref(), Ok("handled"));
}

#[tokio::test]
async fn plugin_that_raises_signals_and_makes_threads_without_end_keeps_nobody_waiting() {
    let supervisor = supervisor("").await;
    let flooding = load(&supervisor, &fixture("crasher")).await;
    let other = load(&supervisor, &greet()).await;

    let flood = call(&supervisor, &flooding, "flood", "");
    let (flood, slowest) = tokio::join!(flood, async {
        let mut slowest = Duration::ZERO;
        for _ in 0..100 {
            let start = Instant::now();
            let reply = call(&supervisor, &other, "greet", "you").await;
            slowest = slowest.max(start.elapsed());
            reply.expect("it answers");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        // The launcher serves it too.
        supervisor.unload(&other).await.expect("it goes");
        supervisor.reload(&other).await.expect("it comes back");
        slowest
    });

    assert_eq!(flood.as_deref(), Ok("flooded"));
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
}
