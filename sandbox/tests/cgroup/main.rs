//! Control groups against the real kernel: hybrid here, pure v2 in `scripts/test-v2`.
//!
//! Needs root and a writable cgroup hierarchy; fails without.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A failed assumption fails the test.

mod events;
mod layout;
mod limits;
mod members;
mod removal;
mod stale;
mod worker;

use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use sandbox::cgroup::{
    CommonGroups, Controller, CpuMax, Io, Layout, Leaf, Limits, Mount, Parent, Place, Probe,
};
use worker::Worker;

const MIB: u64 = 1 << 20;
/// Emulated processors in the VM are slow; nothing here takes that long when it works.
const PATIENCE: Duration = Duration::from_secs(60);
const SIGKILL: i32 = 9;

fn limits() -> Limits {
    Limits {
        memory_max: 24 * MIB,
        memory_high: None,
        pids_max: 16,
        cpu_max: CpuMax::default(),
        cpu_weight: None,
        io: Io::default(),
    }
}

static COUNT: AtomicU32 = AtomicU32::new(0);

fn unique_name() -> String {
    format!(
        "test-{}-{}",
        std::process::id(),
        COUNT.fetch_add(1, Ordering::Relaxed)
    )
}

/// This host's mount table, without the lines that aren't to be kept.
fn mountinfo(keep: impl Fn(&str) -> bool) -> String {
    let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    table
        .lines()
        .filter(|line| keep(line))
        .flat_map(|line| [line, "\n"])
        .collect()
}

fn topmost() -> Place {
    Place::Below("/".into())
}

/// A parent group, removed at the end if it is empty.
struct TestParent(Parent);

impl TestParent {
    fn new() -> Self {
        Self::on(&Layout::detect().expect("these tests need cgroups"))
    }

    fn on(layout: &Layout) -> Self {
        assert!(
            rustix::process::geteuid().is_root(),
            "these tests need root"
        );
        Self(Parent::create(layout, &topmost(), &unique_name(), &[]).unwrap())
    }

    fn assert_empty(&self) {
        for path in self.0.paths() {
            let mut entries = std::fs::read_dir(path).unwrap().map(Result::unwrap);
            let group = entries.find(|entry| entry.file_type().unwrap().is_dir());
            assert!(group.is_none(), "{group:?}");
        }
    }
}

/// The groups of a parent that have one of every worker below them, as that of `blkio` has not.
fn with_every_worker(parent: &Parent) -> impl Iterator<Item = &Path> {
    let layout = Layout::detect().unwrap();
    let optional = |mount: &&Mount| mount.controller == Some(Controller::Blkio);
    let optional = layout
        .mounts()
        .iter()
        .find(optional)
        .map(|mount| mount.point.clone());
    let is_optional = move |path: &Path| {
        optional
            .as_ref()
            .is_some_and(|point| path.starts_with(point))
    };
    parent.paths().filter(move |path| !is_optional(path))
}

/// The probe of a process that got duplicates of the directories.
fn probe(leaf: &Leaf) -> Probe {
    let fds = leaf
        .directories()
        .into_iter()
        .map(|fd| fd.try_clone_to_owned().unwrap());
    Probe::open(
        &leaf.describe(),
        fds.collect::<Vec<OwnedFd>>(),
        &CommonGroups::default(),
    )
    .unwrap()
}

fn fired(probe: &Probe, within: Duration) -> bool {
    let timeout = Timespec::try_from(within).unwrap();
    let mut fds = [PollFd::new(probe.watch(), PollFlags::IN)];
    poll(&mut fds, Some(&timeout)).unwrap() == 1
}

#[track_caller]
fn until(mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain");
        sleep(Duration::from_millis(2));
    }
}
