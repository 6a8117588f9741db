//! A supervisor that is killed leaves nothing behind, and neither does one that is dropped.

use std::process::Command;
use std::time::{Duration, Instant};

use cordon_tests::command::Cordon;
use cordon_tests::host::{load, supervisor};
use cordon_tests::plugins::{example, fixture};
use cordon_tests::running::Running;
use cordon_tests::traces::{Process, Traces};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

const A_SECOND: Duration = Duration::from_secs(1);

#[test]
fn killed_supervisor_leaves_nothing_within_a_second() {
    let before = Traces::of(std::process::id());
    let mut run = Cordon::normal()
        .run(&example("deflate"))
        .options(&["--format", "json"])
        .start();
    // It prints once its plugins are loaded.
    run.line();
    let traces = Traces::of(run.pid());
    assert_eq!(traces.processes.len(), 3, "launcher, init, worker");
    assert!(!traces.groups.is_empty() && !traces.sockets.is_empty());

    let killed = Instant::now();
    let (status, ..) = run.end(Signal::SIGKILL);

    assert!(!status.success());
    assert_gone(&traces, &before, killed);
}

#[test]
fn killed_supervisor_leaves_nothing_though_a_forked_child_holds_its_sockets() {
    let before = Traces::of(std::process::id());
    let mut command = Command::new(env!("CARGO_BIN_EXE_forking-host"));
    command.args([example("deflate"), fixture("probe")]);
    let mut host = Running::start(command);
    let child = Orphan(host.line().parse().unwrap());
    let mut traces = Traces::of(host.pid());
    let forked = Process::of(child.0).unwrap();
    assert!(traces.processes.remove(&forked));
    assert_eq!(
        traces.processes.len(),
        5,
        "launcher, two inits, two workers"
    );
    // Its own ends live on in the child; the others must not.
    let held = Traces::of(child.0).sockets;
    assert!(!held.is_empty());
    traces.sockets = &traces.sockets - &held;
    assert!(!traces.sockets.is_empty());

    let killed = Instant::now();
    host.end(Signal::SIGKILL);

    assert_gone(&traces, &before, killed);
    assert_eq!(Process::of(child.0), Some(forked), "it wasn't ours to kill");
}

#[tokio::test]
async fn dropped_supervisor_leaves_nothing() {
    let supervisor = supervisor("").await;
    let probe = load(&supervisor, &fixture("probe")).await;
    let worker = supervisor.worker(&probe).unwrap().pid();
    let group = std::fs::read_to_string(format!("/proc/{worker}/cgroup")).unwrap();
    let group = group.lines().find_map(|line| {
        let (_, path) = line.split_once("/cordon/")?;
        path.split('/').next().map(str::to_owned)
    });
    let group = group.expect("a group of the supervisor's own");
    let ours = || {
        let groups = Traces::of(std::process::id()).groups;
        groups.into_iter().any(|path| path.ends_with(&group))
    };
    assert!(ours());

    drop(supervisor);

    assert_eq!(Process::of(worker), None);
    assert!(!ours());
}

#[test]
fn death_of_one_supervisor_leaves_the_workers_of_another() {
    let run = || {
        let run = Cordon::normal().run(&example("deflate"));
        run.options(&["--format", "json"]).start()
    };
    let (mut one, mut other) = (run(), run());
    one.line();
    other.line();
    let traces = Traces::of(other.pid());
    let before = Traces::of(std::process::id());

    one.end(Signal::SIGKILL);

    std::thread::sleep(Duration::from_millis(300));
    let left = traces.left(&before);
    assert_eq!(left.processes, traces.processes);
    assert_eq!(left.groups, traces.groups);
    let (status, ..) = other.end(Signal::SIGINT);
    assert!(status.success(), "{status}");
}

/// With the launcher dies who removes groups: the next supervisor does it.
#[test]
fn groups_of_a_supervisor_that_was_killed_with_its_launcher_go_at_the_next_start() {
    let before = Traces::of(std::process::id());
    let run = || Cordon::normal().run(&example("deflate"));
    let mut killed = run().options(&["--format", "json"]).start();
    killed.line();
    let traces = Traces::of(killed.pid());
    assert!(!traces.groups.is_empty());

    // Stopped, it can't do anything about the launcher's death.
    kill(Pid::from_raw(killed.pid() as i32), Signal::SIGSTOP).unwrap();
    for process in &traces.processes {
        // An init dies with its launcher.
        kill(Pid::from_raw(process.pid as i32), Signal::SIGKILL).ok();
    }
    killed.end(Signal::SIGKILL);
    let next = run().call("compress", "a").finish();

    assert!(next.status.success(), "{next}");
    assert_eq!(traces.left(&before), Traces::default());
}

/// A process that nobody waits for.
struct Orphan(u32);

impl Drop for Orphan {
    fn drop(&mut self) {
        // Nobody else has its pid: it does nothing but sleep, and init reaps it.
        kill(Pid::from_raw(self.0 as i32), Signal::SIGKILL).ok();
    }
}

fn assert_gone(traces: &Traces, before: &Traces, killed: Instant) {
    while traces.left(before) != Traces::default() {
        let left = traces.left(before);
        assert!(killed.elapsed() < A_SECOND, "left behind: {left:#?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
