//! What the vandal tries, and what stops it.
//!
//! [`DEEDS`] names for each deed every control that stops it, each of them alone, and how that
//! shows. Three tests walk the table: the product stops the deed and records it; each control
//! stops it with all the others of its row left out; with all of its row left out it gets through.

mod scene;
mod table;

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use cordon_tests::command::Cordon;
use cordon_tests::plugins::example;
use cordon_tests::setting::weakened_by_root_alone;

use crate::scene::Scene;
use crate::table::{DEEDS, Moment, Success};

#[test]
fn every_deed_is_stopped_and_recorded() {
    for_each_deed(|scene| {
        let report = scene.attempt(&Cordon::normal());
        scene.deed.controls[0].stopped(&report)?;
        scene.untouched()
    });
}

#[test]
fn every_control_of_a_deed_stops_it_alone() {
    if !weakened_by_root_alone() {
        return;
    }
    for_each_deed(|scene| {
        let controls = scene.deed.controls;
        for alone in controls {
            let others = controls
                .iter()
                .map(|control| control.name)
                .filter(|name| *name != alone.name);
            let report = scene.attempt(&Cordon::without(others));
            let verdict = alone.stopped(&report).and_then(|()| scene.untouched());
            verdict.map_err(|error| format!("{} alone: {error}", alone.name))?;
        }
        Ok(())
    });
}

#[test]
fn without_its_controls_every_deed_gets_through() {
    if !weakened_by_root_alone() {
        return;
    }
    for_each_deed(|scene| {
        let controls = scene.deed.controls.iter().map(|control| control.name);
        let report = scene.attempt(&Cordon::without(controls));
        let through = match scene.deed.success {
            Success::Replies => report.reply().starts_with("DONE: "),
            Success::Prints(text) => report.output.iter().any(|line| line.contains(text)),
        };
        if through {
            Ok(())
        } else {
            Err(format!("stopped by something else: {report:#?}"))
        }
    });
}

#[test]
fn permitted_calls_work_between_denied_ones() {
    let denied = [
        "open-shadow",
        "connect-host",
        "fork-bomb",
        "fds",
        "kill-all",
    ];
    let mut run = Cordon::normal()
        .run(&example("vandal"))
        .call("well-behaved", "");
    for method in denied {
        run = run.call(method, "1").call("well-behaved", "");
    }
    let report = run.report();

    assert_eq!(report.state, "active", "{report:#?}");
    let twins = report
        .calls
        .iter()
        .filter(|call| call.method == "well-behaved");
    let replies: Vec<_> = twins
        .map(|call| call.reply.as_deref().unwrap_or_default())
        .collect();
    let expected: Vec<_> = (1..=denied.len() + 1)
        .map(|call| format!("DONE: well-behaved call {call}"))
        .collect();
    assert_eq!(replies, expected, "one worker serves them all: {report:#?}");
}

#[test]
fn a_death_is_a_typed_error_within_a_second_and_the_next_call_gets_a_new_worker() {
    let deaths = [
        ("exit0", "exited by itself, with code 0"),
        ("abort", "SIGABRT"),
        ("segv", "SIGSEGV"),
        ("forge", "protocol"),
        ("own-filter", "it tried seccomp"),
    ];
    for (method, ending) in deaths {
        let run = Cordon::normal()
            .run(&example("vandal"))
            .call("well-behaved", "");
        let report = run.call(method, "").call("well-behaved", "").report();
        let death = &report.calls[1];
        assert_ne!(death.outcome, "ok", "{method}: {report:#?}");
        let error = death.error.as_deref().unwrap_or_default();
        assert!(error.contains(ending), "{method}: {report:#?}");
        assert!(death.micros < 1_000_000, "{method}: {report:#?}");
        assert_eq!(
            report.reply(),
            "DONE: well-behaved call 1",
            "{method}: {report:#?}"
        );
    }
}

#[test]
fn another_plugin_answers_every_call_meanwhile() {
    let over = AtomicBool::new(false);
    let answered = thread::scope(|scope| {
        let neighbour = scope.spawn(|| {
            let mut answered = 0;
            while !over.load(Ordering::Relaxed) {
                answered += answered_calls(100);
            }
            answered
        });
        let vandal = example("vandal");
        let deeds = [
            "fork-bomb",
            "allocate",
            "threads",
            "fds",
            "spin",
            "own-filter",
        ];
        let deeds = deeds
            .iter()
            .fold(Cordon::normal().run(&vandal), |run, deed| {
                run.call(deed, "")
            });
        let report = deeds.options(&["--timeout", "1s"]).report();
        over.store(true, Ordering::Relaxed);
        let replies = report.calls.iter().filter_map(|call| call.reply.as_deref());
        assert!(
            !replies.into_iter().any(|reply| reply.starts_with("DONE")),
            "{report:#?}"
        );
        neighbour.join()
    });
    assert!(answered.is_ok_and(|answered| answered >= 100));
}

/// Calls the neighbour so many times; how many calls it answered rightly.
fn answered_calls(count: usize) -> usize {
    let plugin = example("wordcount");
    let run = (0..count).fold(Cordon::normal().run(&plugin), |run, _| {
        run.call("count", "a b a")
    });
    let report = run.report();
    let right = report
        .calls
        .iter()
        .filter(|call| call.outcome == "ok")
        .count();
    assert_eq!(right, count, "{report:#?}");
    right
}

#[test]
fn what_a_plugin_prints_disturbs_neither_protocol_nor_terminal() {
    let plugin = example("vandal");
    let run = || {
        Cordon::normal()
            .run(&plugin)
            .call("print", "")
            .call("well-behaved", "")
    };
    let table = run().options(&["-v"]).finish();
    let json = run().options(&["--format", "json"]).finish();
    let report = run().report();

    for finished in [&table, &json] {
        let raw = |byte: &u8| (*byte < b' ' && *byte != b'\n') || *byte == 0x7f;
        let streams = [&finished.stdout, &finished.stderr];
        assert!(!streams.into_iter().flatten().any(raw), "{finished:?}");
        let text = String::from_utf8(finished.stdout.clone());
        let steers = text.map(|text| text.chars().any(|c| ('\u{80}'..='\u{9f}').contains(&c)));
        assert_eq!(steers, Ok(false), "{finished:?}");
    }
    assert_eq!(
        (report.plugin.as_str(), report.state.as_str()),
        ("vandal", "active")
    );
    assert_eq!(report.reply(), "DONE: well-behaved call 1", "{report:#?}");
    assert!(
        report.output.iter().any(|line| line.contains("owned")),
        "{report:#?}"
    );
}

/// Runs a check on every row, so that one failure doesn't hide another.
fn for_each_deed(check: impl Fn(&Scene) -> Result<(), String>) {
    let mut failures = String::new();
    for deed in DEEDS {
        let scene = Scene::of(deed).unwrap_or_else(|error| panic!("{}: {error}", deed.method));
        let early = if deed.moment == Moment::Constructor {
            " in a constructor"
        } else {
            ""
        };
        if let Err(error) = check(&scene) {
            failures.push_str(&format!("\n{}{early}: {error}", deed.method));
        }
    }
    assert!(failures.is_empty(), "{failures}");
}
