//! Processes in a group: joining, usage, freezing, killing.

use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use rustix::process::Pid;
use sandbox::cgroup::{CpuMax, Kind, MemberError};

use super::{MIB, SIGKILL, TestParent, Worker, limits, probe, until};

#[test]
fn process_joins_all_groups_and_no_other() {
    let parent = TestParent::new();
    let leaf = parent.0.leaf("worker", &limits()).unwrap();
    let other = parent.0.leaf("other", &limits()).unwrap();
    let worker = Worker::start(&leaf, "sleep 1000");

    leaf.verify_member(worker.pid()).unwrap();
    let error = other.verify_member(worker.pid()).unwrap_err();

    assert!(matches!(error, MemberError::Elsewhere { .. }), "{error}");
    assert!(leaf.populated().unwrap());
    assert!(!other.populated().unwrap());
    assert_eq!(leaf.clone_into().is_some(), leaf.applied().kind != Kind::V1);
}

#[test]
fn ended_process_cannot_join() {
    let parent = TestParent::new();
    let leaf = parent.0.leaf("worker", &limits()).unwrap();
    let mut child = Command::new("true").spawn().unwrap();
    let pid = Pid::from_child(&child);
    child.wait().unwrap();

    let error = leaf.attach(pid).unwrap_err();

    assert!(matches!(error, MemberError::Gone(_)), "{error}");
}

#[test]
fn usage_counts_memory_cpu_and_tasks() {
    let parent = TestParent::new();
    let leaf = parent.0.leaf("worker", &limits()).unwrap();
    let probe = probe(&leaf);
    let idle = probe.usage().unwrap();
    assert_eq!((idle.tasks, idle.cpu), (0, Duration::ZERO));

    // The shell takes 4 MiB of text, then runs without end.
    let hoard = "x=$(head -c 4194304 /dev/zero | tr '\\0' x); while :; do :; done";
    let _worker = Worker::start(&leaf, hoard);

    until(|| probe.usage().unwrap().cpu > Duration::from_millis(100));
    until(|| probe.usage().unwrap().heap >= 4 * MIB);
    let usage = leaf.usage().unwrap();
    assert!(usage.memory >= usage.heap, "{usage:?}");
    assert!(usage.tasks >= 1, "{usage:?}");
}

#[test]
fn kill_ends_every_process_even_frozen() {
    let parent = TestParent::new();
    let leaf = parent.0.leaf("worker", &limits()).unwrap();
    let mut worker = Worker::start(&leaf, "sleep 1000 & sleep 1000 & wait");
    until(|| leaf.usage().unwrap().tasks == 3);
    leaf.freeze().unwrap();
    until(|| leaf.frozen().unwrap());

    leaf.kill().unwrap();

    assert_eq!(worker.wait().signal(), Some(SIGKILL));
    until(|| !leaf.populated().unwrap());
}

#[test]
fn frozen_worker_uses_no_cpu_until_thawed() {
    let parent = TestParent::new();
    let leaf = parent.0.leaf("worker", &limits()).unwrap();
    let _worker = Worker::start(&leaf, "while :; do :; done");
    leaf.freeze().unwrap();
    until(|| leaf.frozen().unwrap());
    let before = leaf.usage().unwrap().cpu;

    sleep(Duration::from_millis(100));
    assert_eq!(leaf.usage().unwrap().cpu, before);

    leaf.thaw().unwrap();
    until(|| leaf.usage().unwrap().cpu > before);
}

#[test]
fn a_probe_freezes_and_what_is_frozen_can_be_killed() {
    let parent = TestParent::new();
    let leaf = parent.0.leaf("worker", &limits()).unwrap();
    let probe = probe(&leaf);
    let worker = Worker::start(&leaf, "while :; do :; done");
    assert!(!probe.frozen().unwrap());

    probe.freeze().unwrap();

    until(|| probe.frozen().unwrap());
    leaf.kill().unwrap();
    until(|| !leaf.populated().unwrap());
    drop(worker);
}

#[test]
fn a_probe_sets_cpu_bandwidth_and_reads_it_back() {
    let parent = TestParent::new();
    let leaf = parent.0.leaf("worker", &limits()).unwrap();
    let probe = probe(&leaf);
    let granted = leaf.applied().cpu_max;
    for quota_us in [10_000, 1000, granted.quota_us] {
        let cpu_max = CpuMax {
            quota_us,
            ..granted
        };
        probe.set_cpu_max(cpu_max).unwrap();
        assert_eq!(probe.read_limits().unwrap().cpu_max, cpu_max);
    }
    let too_little = CpuMax {
        quota_us: 1,
        ..granted
    };
    probe.set_cpu_max(too_little).unwrap_err();
    assert_eq!(probe.read_limits().unwrap().cpu_max, granted);
}
