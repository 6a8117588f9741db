//! The end of groups.

use std::path::Path;
use std::process::Command;

use rustix::process::Pid;
use sandbox::cgroup::{Kind, ReadError, RemoveError};

use super::{TestParent, Worker, limits, probe, until};

#[test]
fn removal_waits_for_the_last_process_and_leaves_nothing() {
    let mut parent = TestParent::new();
    let mut leaf = parent.0.leaf("worker", &limits()).unwrap();
    let probe = probe(&leaf);
    let worker = Worker::start(&leaf, "sleep 1000");

    let removed = parent.0.remove();
    assert!(matches!(removed, Err(RemoveError::Busy(_))), "{removed:?}");
    drop(worker);
    leaf.remove().unwrap();

    let events = probe.events();
    assert!(matches!(events, Err(ReadError::Gone(_))), "{events:?}");
    parent.assert_empty();
    let paths: Vec<_> = parent.0.paths().map(Path::to_owned).collect();
    parent.0.remove().unwrap();
    for path in paths {
        assert!(!path.exists(), "{}", path.display());
    }
}

#[test]
fn populated_group_is_busy() {
    let parent = TestParent::new();
    let mut leaf = parent.0.leaf("worker", &limits()).unwrap();
    let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
    leaf.attach(Pid::from_child(&child)).unwrap();

    let removed = leaf.remove();

    leaf.kill().unwrap();
    child.wait().unwrap();
    assert!(matches!(removed, Err(RemoveError::Busy(_))), "{removed:?}");
    until(|| leaf.remove().is_ok());
}

#[test]
fn removed_group_does_not_linger_for_its_page_cache() {
    let parent = TestParent::new();
    let mut leaf = parent.0.leaf("worker", &limits()).unwrap();
    let status = Worker::start(&leaf, "exec cat /usr/bin/perl").wait();
    assert!(status.success(), "{status:?}");

    until(|| leaf.remove().is_ok());

    // v1 counts dying groups only for the whole host, where others come and go.
    if leaf.applied().kind == Kind::V2 {
        let stat = parent.0.paths().next().unwrap().join("cgroup.stat");
        let dying = "nr_dying_descendants 0\n";
        until(|| std::fs::read_to_string(&stat).unwrap().contains(dying));
    }
}
