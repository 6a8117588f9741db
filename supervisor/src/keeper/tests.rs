use std::fs;
use std::time::{Instant, UNIX_EPOCH};

use super::*;
use crate::history::{Filter, Record, Records};
use crate::violations::Class;

const REASON: Unmount = Unmount {
    counted: 10,
    last: Class::Syscall,
};

struct Scene(tempfile::TempDir);

impl Scene {
    fn new() -> Scene {
        Scene(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> std::path::PathBuf {
        self.0.path().join("state")
    }

    fn keeper(&self) -> Keeper {
        Keeper::start(&self.path(), HistoryRules::default()).unwrap()
    }

    fn records(&self) -> Vec<Record> {
        let state = StateDir::open(&self.path()).unwrap();
        let records = Records::open(&state, Filter::default()).unwrap();
        records.map(Result::unwrap).collect()
    }
}

fn violation(kind: Kind) -> Violation {
    Violation::new(greet(), kind, UNIX_EPOCH)
}

fn greet() -> PluginId {
    "greet".parse().unwrap()
}

fn eventually(condition: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < end, "not in half a minute");
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn what_was_handed_over_is_written_soon_and_all_of_it_at_the_end() {
    let scene = Scene::new();
    let keeper = scene.keeper();
    keeper.record(&violation(Kind::Protocol));
    eventually(|| keeper.status().written == 1);
    assert_eq!(scene.records().len(), 1);
    for _ in 0..500 {
        keeper.record(&violation(Kind::Deadline));
    }
    keeper.close();
    assert_eq!(scene.records().len(), 501);
}

#[test]
fn a_flood_of_the_like_is_few_records_that_count_all_of_it() {
    let scene = Scene::new();
    let keeper = scene.keeper();
    keeper.record(&violation(Kind::Deadline));
    for _ in 0..100_000 {
        keeper.repeat(&greet(), &Kind::Deadline, || violation(Kind::Deadline));
    }
    keeper.close();
    let records = scene.records();
    let counted: u64 = records.iter().map(|record| 1 + record.repeated).sum();
    assert_eq!(counted, 100_001);
    // One each time that others are gathered.
    assert!(records.len() < 1000, "{}", records.len());
}

#[test]
fn a_disk_that_takes_nothing_costs_bounded_memory_and_what_was_lost_is_counted() {
    let scene = Scene::new();
    let keeper = scene.keeper();
    let file = scene.path().join("violations.jsonl");
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    for _ in 0..QUEUE + 10 {
        keeper.record(&violation(Kind::Deadline));
    }
    eventually(|| keeper.status().error.is_some());
    assert!(keeper.shared.queue().violations.len() <= QUEUE);
    for _ in 0..QUEUE {
        keeper.record(&violation(Kind::Deadline));
    }
    fs::remove_dir(&file).unwrap();
    eventually(|| keeper.status().error.is_none());
    let status = keeper.status();
    keeper.close();
    let records = scene.records();
    assert!(status.lost > 0);
    assert_eq!(
        records.iter().map(|record| record.lost).sum::<u64>(),
        status.lost
    );
    assert_eq!(records.len() as u64 + status.lost, 2 * QUEUE as u64 + 10);
}

#[test]
fn unmounted_holds_at_once_and_until_it_is_enabled() {
    let scene = Scene::new();
    let keeper = scene.keeper();
    assert_eq!(keeper.unmounted(&greet()).unwrap(), None);
    keeper.unmount(&greet(), REASON);
    assert_eq!(keeper.unmounted(&greet()).unwrap(), Some(REASON));
    keeper.close();
    let keeper = scene.keeper();
    assert_eq!(keeper.unmounted(&greet()).unwrap(), Some(REASON));
    assert!(keeper.enable(&greet()).unwrap());
    assert!(!keeper.enable(&greet()).unwrap());
    assert_eq!(keeper.unmounted(&greet()).unwrap(), None);
}

#[test]
fn enabled_is_not_undone_by_a_file_that_was_still_to_be_written() {
    let scene = Scene::new();
    let keeper = scene.keeper();
    for _ in 0..100 {
        keeper.unmount(&greet(), REASON);
        assert!(keeper.enable(&greet()).unwrap());
        assert_eq!(keeper.unmounted(&greet()).unwrap(), None);
    }
    keeper.close();
    assert_eq!(scene.keeper().unmounted(&greet()).unwrap(), None);
}

#[test]
fn what_cannot_be_written_holds_while_the_supervisor_lives() {
    let scene = Scene::new();
    let keeper = scene.keeper();
    let file = scene.path().join("unmounted/greet.json");
    fs::create_dir(&file).unwrap();
    keeper.unmount(&greet(), REASON);
    eventually(|| keeper.status().error.is_some());
    assert_eq!(keeper.unmounted(&greet()).unwrap(), Some(REASON));
    fs::remove_dir(&file).unwrap();
    eventually(|| file.is_file());
}
