//! Events: what the kernel announces, and what it counts.

use std::os::unix::process::ExitStatusExt;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use sandbox::cgroup::{Kind, Limits, Probe, Stalled};

use super::{PATIENCE, SIGKILL, TestParent, Worker, fired, limits, probe, until};

#[test]
fn memory_beyond_the_limit_is_killed_counted_and_announced() {
    let parent = TestParent::new();
    let leaf = parent.0.leaf("worker", &limits()).unwrap();
    let probe = probe(&leaf);
    settled(&probe);

    let status = Worker::start(&leaf, "exec tail /dev/zero").wait();

    assert_eq!(status.signal(), Some(SIGKILL), "{status:?}");
    assert!(fired(&probe, PATIENCE));
    let events = probe.events().unwrap();
    assert!(events.oom_kills >= 1, "{events:?}");
    if leaf.applied().kind == Kind::V2 {
        assert!(events.oom >= Some(1), "{events:?}");
        assert!(events.memory_max >= 1, "{events:?}");
    }
    until(|| probe.events().unwrap() == leaf.events().unwrap());
    settled(&probe);
}

#[test]
fn fork_beyond_the_limit_fails_is_counted_and_announced() {
    let parent = TestParent::new();
    let leaf = parent
        .0
        .leaf(
            "worker",
            &Limits {
                pids_max: 3,
                ..limits()
            },
        )
        .unwrap();
    let probe = probe(&leaf);
    assert_eq!(probe.announces_forks(), leaf.applied().kind == Kind::V2);
    settled(&probe);

    // A shell that can't fork ends with an error.
    let mut worker = Worker::start(&leaf, "for i in 1 2 3 4; do sleep 1000 & done");

    let status = worker.wait();
    assert!(!status.success(), "{status:?}");
    assert!(!probe.announces_forks() || fired(&probe, PATIENCE));
    assert!(probe.events().unwrap().pids_max >= 1);
    settled(&probe);
}

#[test]
fn memory_charged_beyond_what_was_asked_is_announced_where_it_takes_asking() {
    let parent = TestParent::new();
    let leaf = parent.0.leaf("worker", &limits()).unwrap();
    let probe = probe(&leaf);
    probe.announce_usage(4 << 20).unwrap();
    settled(&probe);

    let _worker = Worker::start(&leaf, "exec dd if=/dev/zero of=/dev/null bs=8M");

    // On v2 `memory.high` says so, and there is none here.
    let v1 = leaf.applied().kind != Kind::V2;
    assert!(!v1 || fired(&probe, PATIENCE));
    until(|| probe.usage().unwrap().memory > 4 << 20);
}

#[test]
fn freezing_is_announced_and_told() {
    let parent = TestParent::new();
    let leaf = parent.0.leaf("worker", &limits()).unwrap();
    let probe = probe(&leaf);
    let _worker = Worker::start(&leaf, "sleep 1000");
    if probe.state().unwrap().is_none() {
        // v1 alone has no file that tells.
        return;
    }
    until(|| probe.state().unwrap().unwrap().populated);
    settled(&probe);

    leaf.freeze().unwrap();

    assert!(fired(&probe, PATIENCE));
    until(|| probe.state().unwrap().unwrap().frozen);
    leaf.thaw().unwrap();
    until(|| !probe.state().unwrap().unwrap().frozen);
}

#[test]
fn stalls_are_measured_and_announced_in_the_group_above() {
    let parent = TestParent::new();
    let leaf = parent.0.leaf("worker", &limits()).unwrap();
    let probe = probe(&leaf);
    let threshold = Duration::from_millis(50);
    let stalled = Stalled {
        memory: threshold,
        cpu: threshold,
    };
    let Some([_, cpu]) = probe.common_pressure(stalled).unwrap() else {
        assert_eq!(
            probe.stalled().unwrap(),
            None,
            "measured, but not announced"
        );
        return;
    };

    // Two that want the one core that they may have.
    let _worker = Worker::start(&leaf, "while :; do :; done & while :; do :; done");

    let mut fds = [PollFd::new(&cpu, PollFlags::PRI)];
    let timeout = Timespec::try_from(PATIENCE).unwrap();
    assert_eq!(poll(&mut fds, Some(&timeout)).unwrap(), 1);
    until(|| probe.stalled().unwrap().unwrap().cpu >= threshold);
}

/// The kernel announces at most every 10 ms: the last announcement may come after the
/// first reading.
#[track_caller]
fn settled(probe: &Probe) {
    until(|| {
        probe.events().unwrap();
        probe.state().unwrap();
        !fired(probe, Duration::ZERO)
    });
}
