//! Where groups are made: layouts, names, several supervisors at once.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::time::Duration;

use sandbox::cgroup::{
    Controller, CpuMax, Kind, Layout, LayoutError, LeafError, Parent, ParentError, Place,
};

use super::{
    SIGKILL, TestParent, Worker, limits, mountinfo, probe, topmost, unique_name, until,
    with_every_worker,
};

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
    let parent_taken = Parent::create(&layout, &topmost(), own_name, &[]).unwrap_err();

    assert!(matches!(taken, LeafError::Exists(_)), "{taken}");
    assert!(matches!(escaping, LeafError::Name(_)), "{escaping}");
    assert!(
        matches!(parent_taken, ParentError::Exists(_)),
        "{parent_taken}"
    );
    with_every_worker(&parent.0).for_each(|path| assert!(path.join("worker").exists()));
}

#[test]
fn missing_controller_is_named() {
    let layout = Layout::detect().unwrap();
    if layout.kind() == Kind::V2 {
        // The children of a group that passes nothing down have no controllers.
        let name = unique_name();
        let bare = layout.mounts()[0].point.join(&name);
        std::fs::create_dir_all(bare.join("inner")).unwrap();

        let inner = Place::Below(Path::new("/").join(&name).join("inner"));
        let result = Parent::create(&layout, &inner, "test", &[]);

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
    let less = CpuMax {
        quota_us: 10_000,
        ..leaf.applied().cpu_max
    };
    probe.set_cpu_max(less).unwrap();
    leaf.freeze().unwrap();
    until(|| leaf.frozen().unwrap());
    leaf.thaw().unwrap();
    probe.freeze().unwrap();
    until(|| probe.frozen().unwrap());
    leaf.kill().unwrap();

    assert_eq!(worker.wait().signal(), Some(SIGKILL));
    until(|| !leaf.populated().unwrap());
}
