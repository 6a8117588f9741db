//! What becomes of those around the vandal: its callers, its neighbour, and who reads its output.
//! That its deeds are stopped is shown one by one in `tests/tests/selftest.rs`.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use cordon_tests::command::Cordon;
use cordon_tests::plugins::example;

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
