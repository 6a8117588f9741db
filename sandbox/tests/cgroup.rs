//! Control groups against the real kernel: hybrid here, pure v2 in `scripts/test-v2`.
//!
//! Needs root and a writable cgroup hierarchy; fails without.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A failed assumption fails the test.

use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Pid;
use sandbox::cgroup::{
    Controller, CpuMax, Kind, Layout, LayoutError, Leaf, LeafError, LimitError, Limits,
    MemberError, Parent, ParentError, Probe, ReadError, Readiness, RemoveError, Watch,
};

const MIB: u64 = 1 << 20;
/// Emulated processors in the VM are slow; nothing here takes that long when it works.
const PATIENCE: Duration = Duration::from_secs(60);
const SIGKILL: i32 = 9;

#[test]
fn limits_are_in_force_as_read_back() {
    let parent = TestParent::new();
    let limits = Limits {
        memory_max: 32 * MIB + 1,
        memory_high: Some(24 * MIB),
        pids_max: 7,
        cpu_max: CpuMax {
            quota_us: 50_000,
            period_us: 200_000,
        },
        cpu_weight: Some(37),
    };

    let leaf = parent.0.leaf("worker", &limits).unwrap();

    let applied = leaf.applied();
    assert_eq!(applied.memory_max, 32 * MIB);
    assert_eq!(applied.swap_max.unwrap_or(0), 0);
    assert_eq!(applied.pids_max, 7);
    assert_eq!(applied.cpu_max, limits.cpu_max);
    assert_eq!(applied.cpu_weight, 37);
    let v2 = applied.kind == Kind::V2;
    assert_eq!(applied.memory_high, v2.then_some(24 * MIB));
    assert_eq!(applied.oom_group, v2);
    assert_eq!(&probe(&leaf).read_limits().unwrap(), applied);
}

#[test]
fn limit_that_does_not_take_is_detected() {
    let parent = TestParent::new();
    // The kernel accepts it and holds its own maximum, which is no limit at all.
    let limits = Limits {
        memory_max: 1 << 63,
        ..limits()
    };

    let error = parent.0.leaf("worker", &limits).unwrap_err();

    let LeafError::Limit(LimitError::NotApplied { limit, .. }) = error else {
        panic!("{error}")
    };
    assert_eq!(limit, "memory_max");
    parent.assert_empty();
}

#[test]
fn invalid_limit_is_an_error_and_leaves_nothing() {
    let parent = TestParent::new();
    let cpu_max = CpuMax {
        quota_us: 100,
        period_us: 100,
    };

    let error = parent
        .0
        .leaf(
            "worker",
            &Limits {
                cpu_max,
                ..limits()
            },
        )
        .unwrap_err();

    assert!(
        matches!(error, LeafError::Limit(_) | LeafError::File(_)),
        "{error}"
    );
    parent.assert_empty();
}

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
fn memory_beyond_the_limit_is_killed_counted_and_announced() {
    let parent = TestParent::new();
    let leaf = parent.0.leaf("worker", &limits()).unwrap();
    let probe = probe(&leaf);
    assert!(
        !fired(probe.memory_watch(), Duration::ZERO),
        "quiet before anything happened"
    );

    let status = Worker::start(&leaf, "exec tail /dev/zero").wait();

    assert_eq!(status.signal(), Some(SIGKILL), "{status:?}");
    assert!(fired(probe.memory_watch(), PATIENCE));
    let events = probe.events().unwrap();
    assert!(events.oom_kills >= 1, "{events:?}");
    if leaf.applied().kind == Kind::V2 {
        assert!(events.oom >= Some(1), "{events:?}");
        assert!(events.memory_max_hits >= Some(1), "{events:?}");
    }
    assert_eq!(events, leaf.events().unwrap());
    assert!(
        !fired(probe.memory_watch(), Duration::ZERO),
        "quiet after it was read"
    );
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
    let watch = probe.pids_watch();
    assert_eq!(watch.is_some(), leaf.applied().kind == Kind::V2);
    assert!(
        watch.is_none_or(|watch| !fired(watch, Duration::ZERO)),
        "quiet before the fork"
    );

    // A shell that can't fork ends with an error.
    let mut worker = Worker::start(&leaf, "for i in 1 2 3 4; do sleep 1000 & done");

    let status = worker.wait();
    assert!(!status.success(), "{status:?}");
    assert!(watch.is_none_or(|watch| fired(watch, PATIENCE)));
    assert!(probe.events().unwrap().pids_max_hits >= 1);
    assert!(
        watch.is_none_or(|watch| !fired(watch, Duration::ZERO)),
        "quiet after it was read"
    );
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

#[test]
fn name_that_is_taken_or_escapes_is_refused() {
    let parent = TestParent::new();
    let _leaf = parent.0.leaf("worker", &limits()).unwrap();
    let layout = Layout::detect().unwrap();
    let own_name = parent
        .0
        .paths()
        .next()
        .unwrap()
        .file_name()
        .unwrap()
        .to_str()
        .unwrap();

    let taken = parent.0.leaf("worker", &limits()).unwrap_err();
    let escaping = parent.0.leaf("../worker", &limits()).unwrap_err();
    let parent_taken = Parent::create(&layout, Path::new("/"), own_name).unwrap_err();

    assert!(matches!(taken, LeafError::Exists(_)), "{taken}");
    assert!(matches!(escaping, LeafError::Name(_)), "{escaping}");
    assert!(
        matches!(parent_taken, ParentError::Exists(_)),
        "{parent_taken}"
    );
    parent
        .0
        .paths()
        .for_each(|path| assert!(path.join("worker").exists()));
}

#[test]
fn missing_controller_is_named() {
    let layout = Layout::detect().unwrap();
    if layout.kind() == Kind::V2 {
        // The children of a group that passes nothing down have no controllers.
        let name = unique_name();
        let bare = layout.mounts()[0].point.join(&name);
        std::fs::create_dir_all(bare.join("inner")).unwrap();

        let result = Parent::create(&layout, &Path::new(&name).join("inner"), "test");

        std::fs::remove_dir(bare.join("inner")).unwrap();
        std::fs::remove_dir(bare).unwrap();
        let error = result.unwrap_err();
        let ParentError::Unavailable { controller, .. } = error else {
            panic!("{error}")
        };
        assert_eq!(controller, Controller::Memory);
    } else {
        let table = mountinfo(|line| !line.contains(" - cgroup ") || !line.contains(",pids"));

        let error = Layout::from_mountinfo(&table).unwrap_err();

        assert!(
            matches!(error, LayoutError::MissingController(Controller::Pids)),
            "{error}"
        );
    }
}

#[test]
fn supervisors_come_and_go_at_once() {
    let layout = Layout::detect().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..20 {
                    TestParent::on(&layout).0.remove().unwrap();
                }
            });
        }
    });
}

/// On a host with v1 hierarchies the unified tree is left out of the layout, so that the
/// freezer has to do for killing.
#[test]
fn without_unified_tree_v1_has_to_do() {
    let v1 = Layout::from_mountinfo(&mountinfo(|line| !line.contains(" - cgroup2 ")));
    if Layout::detect().unwrap().kind() == Kind::V2 {
        assert!(matches!(v1, Err(LayoutError::NotMounted)));
        return;
    }
    let layout = v1.unwrap();
    assert_eq!(layout.kind(), Kind::V1);
    let parent = TestParent::on(&layout);
    let leaf = parent.0.leaf("worker", &limits()).unwrap();
    let probe = probe(&leaf);
    let mut worker = Worker::start(&leaf, "sleep 1000 & while :; do :; done");

    leaf.verify_member(worker.pid()).unwrap();
    until(|| probe.usage().unwrap().cpu > Duration::from_millis(10));
    leaf.freeze().unwrap();
    until(|| leaf.frozen().unwrap());
    leaf.thaw().unwrap();
    leaf.kill().unwrap();

    assert_eq!(worker.wait().signal(), Some(SIGKILL));
    until(|| !leaf.populated().unwrap());
}

fn limits() -> Limits {
    Limits {
        memory_max: 24 * MIB,
        memory_high: None,
        pids_max: 16,
        cpu_max: CpuMax::default(),
        cpu_weight: None,
    }
}

fn unique_name() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
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
        Self(Parent::create(layout, Path::new("/"), &unique_name()).unwrap())
    }

    fn assert_empty(&self) {
        for path in self.0.paths() {
            let mut entries = std::fs::read_dir(path).unwrap().map(Result::unwrap);
            let group = entries.find(|entry| entry.file_type().unwrap().is_dir());
            assert!(group.is_none(), "{group:?}");
        }
    }
}

/// A shell that waits until it is in its groups; all that it started is killed at the end.
struct Worker<'leaf> {
    leaf: &'leaf Leaf,
    child: Child,
}

impl<'leaf> Worker<'leaf> {
    fn start(leaf: &'leaf Leaf, script: &str) -> Self {
        let mut child = Command::new("/bin/sh")
            .args(["-c", &format!("read released\n{script}")])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let release = child.stdin.take().unwrap();
        let worker = Self { leaf, child };
        leaf.attach(worker.pid()).unwrap();
        rustix::io::write(&release, b"\n").unwrap();
        worker
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    fn wait(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for Worker<'_> {
    fn drop(&mut self) {
        self.leaf.kill().ok();
        self.child.wait().ok();
        let deadline = Instant::now() + PATIENCE;
        while self.leaf.populated().unwrap_or(false) && Instant::now() < deadline {
            sleep(Duration::from_millis(1));
        }
    }
}

/// The probe of a process that got duplicates of the directories.
fn probe(leaf: &Leaf) -> Probe {
    let fds = leaf
        .directories()
        .into_iter()
        .map(|fd| fd.try_clone_to_owned().unwrap());
    Probe::open(&leaf.describe(), fds.collect::<Vec<OwnedFd>>()).unwrap()
}

fn fired(watch: Watch<'_>, within: Duration) -> bool {
    let event = match watch.readiness {
        Readiness::Priority => PollFlags::PRI,
        Readiness::Readable => PollFlags::IN,
    };
    let timeout = Timespec::try_from(within).unwrap();
    let mut fds = [PollFd::from_borrowed_fd(watch.fd, event)];
    poll(&mut fds, Some(&timeout)).unwrap();
    fds[0].revents().contains(event)
}

#[track_caller]
fn until(mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain");
        sleep(Duration::from_millis(2));
    }
}
