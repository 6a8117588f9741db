//! Limits: what is in force, and what happens beyond it.

use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use sandbox::cgroup::{
    Controller, CpuMax, Io, IoMax, Kind, Layout, LeafError, LimitError, Limits, Mount, Probe,
};
use tempfile::TempDir;

use super::{MIB, TestParent, Worker, limits, probe, until};

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
        io: Io::default(),
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

/// A whole disk of this host, if it has one.
fn disk() -> Option<(u32, u32)> {
    let entries = std::fs::read_dir("/sys/block").ok()?;
    let mut numbers = entries.filter_map(|entry| {
        let folder = entry.ok()?.path();
        // One without sectors, as loop devices have by default, is no device to the kernel.
        let size = std::fs::read_to_string(folder.join("size")).ok()?;
        (size.trim() != "0").then(|| std::fs::read_to_string(folder.join("dev")).ok())?
    });
    let number = numbers.next()?;
    let (major, minor) = number.trim().split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[test]
fn bandwidth_is_in_force_where_there_is_a_controller_and_else_known_to_be_absent() {
    let parent = TestParent::new();
    let max = disk().map(|device| IoMax {
        device,
        read: Some(10 * MIB),
        write: None,
    });
    let limits = Limits {
        io: Io {
            weight: Some(50),
            max: max.into_iter().collect(),
        },
        ..limits()
    };

    let leaf = parent.0.leaf("worker", &limits).unwrap();

    let layout = Layout::detect().unwrap();
    let offered = layout.mounts().iter().any(|mount| {
        ["io.max", "blkio.throttle.read_bps_device"]
            .iter()
            .any(|file| leaf_of(mount, &parent).join(file).exists())
    });
    let applied = leaf.applied();
    assert_eq!(applied.io.is_some(), offered, "{applied:?}");
    if let Some(io) = &applied.io {
        assert_eq!(io.max, limits.io.max);
        assert!(io.weight.is_none_or(|weight| weight == 50));
    }
    assert_eq!(&probe(&leaf).read_limits().unwrap(), applied);
}

#[test]
fn weight_decides_between_two_that_want_one_core() {
    let allowed = sched_getaffinity(None).unwrap();
    let first = (0..CpuSet::MAX_CPU).find(|cpu| allowed.is_set(*cpu));
    let mut one = CpuSet::new();
    one.set(first.unwrap());
    // This thread's children have it from here on.
    sched_setaffinity(None, &one).unwrap();
    let parent = TestParent::new();
    let leaf = |name, weight| {
        let cpu_weight = Some(weight);
        let limits = Limits {
            cpu_weight,
            ..limits()
        };
        parent.0.leaf(name, &limits).unwrap()
    };
    let (light, heavy) = (leaf("light", 20), leaf("heavy", 200));
    let _workers = [&light, &heavy].map(|leaf| Worker::start(leaf, "while :; do :; done"));
    let [light, heavy] = [&light, &heavy].map(probe);
    let used = |probe: &Probe| probe.usage().unwrap().cpu;
    let before = used(&light);

    until(|| used(&heavy) > Duration::from_secs(1));

    // Ten to one; without weights one to one.
    let lights = used(&light) - before;
    assert!(lights < Duration::from_millis(400), "{lights:?}");
}

#[test]
fn bandwidth_slows_down_what_is_written() {
    let folder = TempDir::new().unwrap();
    let Some(device) = disk_of(folder.path()) else {
        return skip("the temporary folder is on no disk");
    };
    let max = vec![IoMax {
        device,
        read: None,
        write: Some(2 * MIB),
    }];
    let io = Io { weight: None, max };
    let parent = TestParent::new();
    let leaf = parent.0.leaf("worker", &Limits { io, ..limits() }).unwrap();
    if leaf.applied().io.is_none() {
        return skip("there is no controller for disks");
    }
    let file = folder.path().join("file");
    // Past the page cache, which is written later, and on v1 in nobody's name.
    let write = "exec dd if=/dev/zero bs=1M count=4 oflag=direct of=";
    let began = Instant::now();

    let status = Worker::start(&leaf, &format!("{write}{}", file.display())).wait();

    assert!(status.success(), "{status:?}");
    let took = began.elapsed();
    assert!(took > Duration::from_secs(1), "{took:?}");
}

/// The whole disk that a folder is on, if it is on one.
fn disk_of(folder: &Path) -> Option<(u32, u32)> {
    let number = std::fs::metadata(folder).unwrap().dev();
    let (major, minor) = (rustix::fs::major(number), rustix::fs::minor(number));
    let device = Path::new("/sys/dev/block").join(format!("{major}:{minor}"));
    let device = device.canonicalize().ok()?;
    let whole = match device.join("partition").exists() {
        true => device.parent()?,
        false => &device,
    };
    let number = std::fs::read_to_string(whole.join("dev")).ok()?;
    let (major, minor) = number.trim().split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// `scripts/test` counts these lines. Not by `println!`, which is captured.
fn skip(why: &str) {
    writeln!(std::io::stderr(), "skipped: limits of disks: {why}").ok();
}

#[test]
fn worker_without_limits_of_bandwidth_stays_out_of_their_hierarchy() {
    let parent = TestParent::new();
    let leaf = parent.0.leaf("worker", &limits()).unwrap();

    let layout = Layout::detect().unwrap();
    let made = layout
        .mounts()
        .iter()
        .filter(|mount| leaf_of(mount, &parent).exists());
    let blkio = |mount: &&Mount| mount.controller == Some(Controller::Blkio);
    assert_eq!(made.filter(blkio).count(), 0);
    drop(leaf);
}

/// Where the group of `worker` is in this hierarchy.
fn leaf_of(mount: &Mount, parent: &TestParent) -> std::path::PathBuf {
    let name = parent.0.paths().next().unwrap().file_name().unwrap();
    mount.point.join("cordon").join(name).join("worker")
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
