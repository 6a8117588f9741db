//! `cordon report`, and what policy demands of a report.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A failed assumption fails the test.

use std::collections::BTreeSet;
use std::time::Duration;

use cordon_supervisor::LoadError;
use cordon_supervisor::worker::LaunchError;
use cordon_tests::command::{Cordon, Finished, Invocation};
use cordon_tests::filtered::{Refusal, without};
use cordon_tests::host::{eventually, load, status, supervisor};
use cordon_tests::plugins::example;
use sandbox::report::Control;
use serde_json::Value;

const REQUIRE_MDWE: &str = "[confinement]\nrequire = [\"mdwe\"]";

#[test]
fn report_names_each_control_with_class_state_and_value() {
    let json = run(&["--format", "json"]);
    let table = run(&[]);

    for finished in [&json, &table] {
        assert_eq!(finished.status.code(), Some(0), "{finished}");
    }
    let object = object(&json);
    let fields = "conceded findings kernel launch_micros limits mode plugin trust unmet version";
    assert_eq!(names(&object), fields);
    assert_eq!(object["plugin"], "deflate");
    assert_eq!(object["mode"], "strict");
    assert_eq!(object["unmet"], Value::Array(Vec::new()));
    assert!(object["launch_micros"].as_u64().unwrap() > 0);
    let findings = object["findings"].as_array().unwrap();
    let controls: Vec<&Value> = findings.iter().map(|finding| &finding["control"]).collect();
    // No control is left out in silence.
    assert_eq!(
        controls,
        Control::ALL.iter().map(|c| c.name()).collect::<Vec<_>>()
    );
    let text = String::from_utf8(table.stdout).unwrap();
    assert!(
        text.starts_with("deflate 1.0.0, UNSIGNED, Linux "),
        "{text}"
    );
    assert_eq!(object["limits"]["heap_bytes"]["declared"], 50_000_000);
    assert_eq!(object["limits"]["cpu_share_percent"]["hard"], 100);
    for limit in ["heap         50 MB", "denials      4000"] {
        assert!(text.contains(limit), "{limit}: {text}");
    }
    for finding in findings {
        assert_eq!(names(finding), "class control enforcement offered value");
        let cell = |name: &str| finding[name].as_str().unwrap();
        let row = text.lines().find(|line| line.starts_with(cell("control")));
        let row = row.unwrap_or_else(|| panic!("no {finding} in {text}"));
        // Two runs, whose workers may have two ids.
        let wordy = |text: &str| text.replace(|c: char| c.is_ascii_digit(), "");
        for cell in ["class", "enforcement", "value"].map(cell) {
            assert!(wordy(row).contains(&wordy(cell)), "{cell}: {row}");
        }
    }
}

#[test]
fn unmet_demand_exits_with_10_and_still_prints_what_was_read() {
    let policy = policy(REQUIRE_MDWE);
    let required = ["--policy", policy.to_str().unwrap()];
    let called = || {
        let run = Cordon::normal().run(&example("deflate"));
        run.call("compress", "x").options(&required)
    };

    let (refused, called, offered) = without(Refusal::MDWE, || {
        let refused = run(&[&required[..], &["--format", "json"]].concat());
        (refused, called().finish(), run(&[]))
    });

    assert_eq!(refused.status.code(), Some(10), "{refused}");
    assert_eq!(object(&refused)["unmet"], Value::from(vec!["mdwe"]));
    assert_eq!(called.status.code(), Some(10), "{called}");
    for finished in [&refused, &called] {
        let errors = String::from_utf8_lossy(&finished.stderr);
        for part in ["mdwe is absent (", "--allow-degraded mdwe"] {
            assert!(errors.contains(part), "{part}: {errors}");
        }
    }
    // Nobody demands what the host doesn't offer, unless policy does.
    assert_eq!(offered.status.code(), Some(0), "{offered}");
}

#[test]
fn core_control_that_the_host_lacks_is_refused_and_by_its_name_allowed_aloud() {
    let allow = ["--allow-degraded", "landlock"];
    let (refused, allowed, called) = without(Refusal::LANDLOCK, || {
        let called = Cordon::normal().run(&example("deflate"));
        let called = called.call("compress", "x").options(&allow).finish();
        (run(&[]), run(&allow), called)
    });

    assert_eq!(refused.status.code(), Some(10), "{refused}");
    let errors = String::from_utf8_lossy(&refused.stderr);
    assert!(errors.contains("landlock is absent ("), "{errors}");
    for finished in [&allowed, &called] {
        assert_eq!(finished.status.code(), Some(0), "{finished}");
        let errors = String::from_utf8_lossy(&finished.stderr);
        let warning = "cordon: warning: plugin deflate: landlock is absent (";
        assert!(errors.contains(warning), "{errors}");
    }
}

#[test]
fn unknown_control_is_a_usage_error_that_lists_the_known_ones() {
    let finished = run(&["--allow-degraded", "colour"]);

    assert_eq!(finished.status.code(), Some(2), "{finished}");
    let errors = String::from_utf8_lossy(&finished.stderr);
    for control in Control::ALL {
        assert!(errors.contains(control.name()), "{control}: {errors}");
    }
}

#[tokio::test]
async fn host_reads_the_report_and_a_refusal_is_typed() {
    let content = supervisor("").await;

    let deflate = load(&content, &example("deflate")).await;
    let refused = without(Refusal::MDWE, || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let demanding = supervisor(REQUIRE_MDWE).await;
            demanding.load(&example("deflate")).await
        })
    });

    let report = content.report(&deflate).unwrap();
    assert_eq!(Some(&report), status(&content, &deflate).report.as_ref());
    assert_ne!(report.findings, []);
    let Err(LoadError::Launch {
        source: LaunchError::Confinement(unmet),
        ..
    }) = refused
    else {
        panic!("{refused:?}")
    };
    let controls: Vec<Control> = unmet.findings.iter().map(|f| f.control).collect();
    assert_eq!(controls, [Control::Mdwe]);
    content.unload(&deflate).await.unwrap();
    let forgotten = || content.report(&deflate).is_none();
    assert!(eventually(Duration::from_secs(5), forgotten).await);
}

fn run(options: &[&str]) -> Finished {
    invocation().options(options).finish()
}

fn invocation() -> Invocation {
    Cordon::normal().confinement(&example("deflate"))
}

fn object(finished: &Finished) -> Value {
    serde_json::from_slice(&finished.stdout).unwrap_or_else(|error| panic!("{error}: {finished}"))
}

fn policy(text: &str) -> tempfile::TempPath {
    let file = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
    std::fs::write(&file, text).unwrap();
    file.into_temp_path()
}

/// The names of an object's fields, in order.
fn names(object: &Value) -> String {
    let object = object.as_object().unwrap();
    let names: BTreeSet<&str> = object.keys().map(String::as_str).collect();
    names.into_iter().collect::<Vec<_>>().join(" ")
}
