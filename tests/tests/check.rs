//! `cordon check`: everything that speaks against a plugin, and that a load agrees.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A failed assumption fails the test.

use std::path::Path;

use cordon_tests::command::Cordon;
use cordon_tests::plugins::{bare, example};
use serde_json::Value;
use tempfile::TempDir;

const MANIFEST: &str = "id = \"bare\"\nversion = \"1.0.0\"\nabi = \"1.0\"\n";

#[test]
fn ordinary_plugin_passes_and_loads() {
    let (code, findings) = check(&example("deflate"), &[]);
    assert_eq!(code, 0);
    for (subject, verdict, _) in &findings {
        assert_eq!(verdict, "passed", "{subject}");
    }
    loads(&example("deflate"));
}

#[test]
fn what_check_refuses_a_load_refuses_with_the_same_reason() {
    let cases = [
        ("-Wl,-z,execstack", "executable stack", "-z noexecstack"),
        ("-Wl,--filter,libother.so", "further libraries", "DT_FILTER"),
    ];
    for (flags, subject, reason) in cases {
        let folder = plugin(flags, MANIFEST);
        let file = folder.path().join("libbare.so");
        let (code, findings) = check(&file, &[]);
        assert_eq!(code, 6, "{flags}");
        let refused = |one: &&Finding| one.0 == subject && one.1 == "refused";
        let (_, _, found) = findings.iter().find(refused).unwrap();
        assert!(found.contains(reason), "{found}");
        // What comes after it is looked at all the same.
        assert!(
            findings
                .iter()
                .any(|one| one.0 == "manifest" && one.1 == "passed")
        );

        let load = Cordon::normal().run(&file).call("any", "").finish();
        assert_eq!(load.status.code(), Some(6), "{load}");
        assert!(
            String::from_utf8_lossy(&load.stderr).contains(reason),
            "{load}"
        );
    }
}

#[test]
fn run_path_is_a_warning_and_the_plugin_loads() {
    let folder = plugin("-Wl,-rpath,\\$$ORIGIN/lib", MANIFEST);
    let file = folder.path().join("libbare.so");
    let (code, findings) = check(&file, &[]);
    assert_eq!(code, 0);
    let warned = |one: &&Finding| one.0 == "search path" && one.1 == "warning";
    let (_, _, found) = findings.iter().find(warned).unwrap();
    assert!(found.contains("ORIGIN"), "{found}");
    loads(&file);
}

#[test]
fn every_excess_over_policy_is_listed_and_denied() {
    let manifest = format!("{MANIFEST}[requires]\nenv = [\"HOME\"]\njit = true\n");
    let folder = plugin("", &manifest);
    let (code, findings) = check(&folder.path().join("libbare.so"), &[]);
    assert_eq!(code, 5);
    let denied = findings.iter().filter(|one| one.1 == "denied");
    assert_eq!(denied.count(), 2, "{findings:?}");
}

#[test]
fn over_wide_grant_is_a_warning() {
    let folder = plugin("", MANIFEST);
    let file = folder.path().join("libbare.so");
    let (code, findings) = check(&file, &["--limit", "threads=1500"]);
    assert_eq!(code, 0);
    let warned = |one: &&Finding| one.0 == "grants" && one.1 == "warning";
    let (_, _, found) = findings.iter().find(warned).unwrap();
    assert!(found.starts_with("limits.threads"), "{found}");
}

#[test]
fn permissive_filter_is_a_warning() {
    let folder = plugin("", MANIFEST);
    let policy = folder.path().join("policy.toml");
    std::fs::write(&policy, "[seccomp]\nmode = \"permissive\"\n").unwrap();
    let options = ["--policy", policy.to_str().unwrap()];
    let (code, findings) = check(&folder.path().join("libbare.so"), &options);
    assert_eq!(code, 0);
    let warned = |one: &Finding| one.0 == "seccomp" && one.1 == "warning";
    assert!(findings.iter().any(warned), "{findings:?}");
}

#[test]
fn table_ends_with_what_would_happen() {
    let shown = Cordon::normal().check(&example("deflate")).finish();
    let text = String::from_utf8(shown.stdout).unwrap();
    assert!(text.ends_with("libdeflate.so: would be loaded\n"), "{text}");
    let text = Cordon::normal().check(Path::new("/etc/hostname")).finish();
    assert_eq!(text.status.code(), Some(6), "{text}");
    let absent = Cordon::normal().check(Path::new("/nowhere.so")).finish();
    assert_eq!(absent.status.code(), Some(3), "{absent}");
}

fn loads(plugin: &Path) {
    let report = Cordon::normal().run(plugin).call("any", "").report();
    assert_eq!(report.state, "active", "{report:#?}");
}

/// Subject, verdict, and what was found.
type Finding = (String, String, String);

/// The exit code of `cordon check`, and its findings.
fn check(plugin: &Path, options: &[&str]) -> (i32, Vec<Finding>) {
    let run = Cordon::normal().check(plugin).options(options);
    let finished = run.options(&["--format", "json"]).finish();
    let object: Value = serde_json::from_slice(&finished.stdout)
        .unwrap_or_else(|error| panic!("{error}: {finished}"));
    let findings = object["findings"].as_array().unwrap().iter();
    let text = |one: &Value, field: &str| one[field].as_str().unwrap().to_owned();
    let findings = findings
        .map(|one| {
            (
                text(one, "subject"),
                text(one, "verdict"),
                text(one, "found"),
            )
        })
        .collect();
    (finished.status.code().unwrap(), findings)
}

/// A folder with a plugin that does nothing, and its manifest beside it.
fn plugin(flags: &str, manifest: &str) -> TempDir {
    let folder = TempDir::new().unwrap();
    let file = bare(folder.path(), flags);
    assert!(file.is_file());
    std::fs::write(folder.path().join("bare.toml"), manifest).unwrap();
    folder
}
