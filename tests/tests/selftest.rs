//! The hostile suite: every deed is stopped by the control that it names, by each of its
//! controls alone, and by nothing else.

use std::collections::{BTreeMap, BTreeSet};

use cordon_supervisor::selftest::Barrier;
use cordon_tests::command::Cordon;
use cordon_tests::plugins::deeds;
use cordon_tests::setting::weakened_by_root_alone;
use serde::Deserialize;

#[test]
fn every_deed_is_stopped_by_the_first_control_that_it_names() {
    let report = selftest(&Cordon::normal(), &[]);

    let faults: Vec<&Deed> = report
        .deeds
        .iter()
        .filter(|deed| !deed.is_stopped_by(0))
        .collect();
    assert!(faults.is_empty(), "{faults:#?}");
    assert_eq!(report.exit, Some(0));
}

/// Without the other controls that the deed names, each stops it; without any it gets through.
#[test]
fn every_control_stops_its_deeds_alone_and_without_them_they_get_through() {
    if !weakened_by_root_alone() {
        return;
    }
    let every = selftest(&Cordon::normal(), &[]).deeds;
    let mut cases: BTreeMap<BTreeSet<Barrier>, BTreeMap<String, Expected>> = BTreeMap::new();
    for deed in &every {
        for (off, expected) in deed.cases() {
            cases
                .entry(off)
                .or_default()
                .insert(deed.deed.clone(), expected);
        }
    }

    let mut faults = Vec::new();
    for (off, expected) in &cases {
        let cordon = Cordon::without(off.iter().map(|barrier| barrier.name()));
        let names: Vec<&str> = expected.keys().map(String::as_str).collect();
        for deed in selftest(&cordon, &names).deeds {
            let met = match expected.get(&deed.deed) {
                Some(Expected::StoppedBy(stop)) => deed.is_stopped_by(*stop),
                Some(Expected::GetsThrough) => deed.verdict == "got-through",
                // Its name only begins like one that is meant.
                None => true,
            };
            if !met {
                faults.push((off.clone(), deed));
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn deed_that_gets_through_exits_with_11() {
    let report = selftest(&Cordon::without(["seccomp"]), &["syscalls.own-filter"]);

    assert!(
        report
            .deeds
            .iter()
            .all(|deed| deed.verdict == "got-through"),
        "{report:#?}"
    );
    assert_eq!(report.exit, Some(11), "{report:#?}");
}

#[test]
fn without_a_folder_it_says_where_it_looked() {
    let folder = deeds().join("nothing");
    let finished = Cordon::normal().selftest(&folder).finish();

    assert_eq!(finished.status.code(), Some(3), "{finished}");
    let said = String::from_utf8_lossy(&finished.stderr);
    assert!(said.contains("deeds/nothing: No such file"), "{finished}");
}

/// What `cordon selftest --format json` prints, and how it exits.
#[derive(Debug, Deserialize)]
struct Report {
    deeds: Vec<Deed>,
    #[serde(skip)]
    exit: Option<i32>,
}

#[derive(Debug, Deserialize)]
struct Deed {
    deed: String,
    verdict: String,
    by: Option<String>,
    expected: Vec<Stop>,
    /// Shown where it isn't as it should be.
    #[allow(dead_code)]
    detail: String,
}

#[derive(Debug, Deserialize)]
struct Stop {
    by: String,
}

/// What should come of a deed where some of its controls are left out.
#[derive(Debug, Clone, Copy)]
enum Expected {
    StoppedBy(usize),
    GetsThrough,
}

impl Deed {
    fn is_stopped_by(&self, stop: usize) -> bool {
        self.verdict == "stopped" && self.by.as_ref() == self.expected.get(stop).map(|s| &s.by)
    }

    /// What to leave out, and what should come of it then.
    fn cases(&self) -> Vec<(BTreeSet<Barrier>, Expected)> {
        let by = |stop: &Stop| stop.by.parse::<Barrier>().unwrap_or_else(|e| panic!("{e}"));
        let barriers = self.expected.iter().map(by);
        // It stands only where there is no cgroup, and those are the last.
        let barriers: Vec<Barrier> = barriers.filter(|by| *by != Barrier::StandIn).collect();
        let spared = (0..barriers.len()).map(Some).chain([None]);
        let case = |spared: Option<usize>| {
            let spared = spared.map(|stop| barriers[stop]);
            let off: BTreeSet<Barrier> = barriers
                .iter()
                .copied()
                .filter(|barrier| Some(*barrier) != spared && barrier.can_be_left_out())
                .collect();
            let first = barriers.iter().position(|barrier| !off.contains(barrier));
            (
                off,
                first.map_or(Expected::GetsThrough, Expected::StoppedBy),
            )
        };
        // With nothing left out it is the product, which the other test covers.
        spared
            .map(case)
            .filter(|(off, _)| !off.is_empty())
            .collect()
    }
}

fn selftest(cordon: &Cordon, names: &[&str]) -> Report {
    let mut invocation = cordon
        .selftest(&deeds())
        .options(&["--unfiltered", "--format", "json"]);
    for name in names {
        invocation = invocation.options(&["--filter", name]);
    }
    let finished = invocation.finish();
    let mut report: Report = serde_json::from_slice(&finished.stdout)
        .unwrap_or_else(|error| panic!("no report, {error}: {finished}"));
    report.exit = finished.status.code();
    report
}
