//! The history of violations on disk, as it is found after whatever became of its writers.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A failed assumption fails the test.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use cordon_tests::command::{Cordon, Finished, Fresh};
use cordon_tests::host::{builder, call, load};
use cordon_tests::plugins::fixture;
use cordon_tests::running::Running;
use cordon_tests::setting;
use nix::sys::signal::Signal;
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(30);
/// Violations only count, and denials have no limit that matters.
const COUNTING: &str =
    "[violations]\nauto_unmount = false\n[limits]\ndenials = { declared = 900000, hard = 1000000 }";

/// A folder for state, and a policy beside it.
struct Scene {
    state: Arc<Fresh>,
    policy: PathBuf,
}

impl Scene {
    fn new(policy: &str) -> Scene {
        let state = Arc::new(Fresh::folder());
        let file = state.path().with_file_name("policy.toml");
        std::fs::write(&file, policy).unwrap();
        Scene {
            state,
            policy: file,
        }
    }

    /// `cordon run` of the plugin that is denied what it tries, once for each path.
    fn denied<'a>(&self, paths: impl IntoIterator<Item = &'a str>) -> Finished {
        self.invocation(paths).finish()
    }

    fn start<'a>(&self, paths: impl IntoIterator<Item = &'a str>) -> Running {
        self.invocation(paths).start()
    }

    fn invocation<'a>(
        &self,
        paths: impl IntoIterator<Item = &'a str>,
    ) -> cordon_tests::command::Invocation {
        let mut run = Cordon::normal().run(&fixture("denier")).state(&self.state);
        for path in paths {
            run = run.call("open", path);
        }
        run.options(&["--policy", self.policy.to_str().unwrap()])
    }

    fn violations(&self, options: &[&str]) -> Finished {
        let shown = Cordon::normal().violations().state(&self.state);
        let finished = shown.options(options).finish();
        assert_eq!(finished.status.code(), Some(0), "{finished}");
        finished
    }

    /// Every record, none of which may be unreadable.
    fn records(&self, options: &[&str]) -> Vec<Value> {
        let shown = self.violations(&[options, &["--format", "json"]].concat());
        assert!(shown.stderr.is_empty(), "{shown}");
        let text = String::from_utf8(shown.stdout).unwrap();
        assert!(text.is_ascii(), "{text}");
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    fn wait_for(&self, records: usize) {
        let end = Instant::now() + PATIENCE;
        while self.records(&[]).len() < records {
            assert!(
                Instant::now() < end,
                "no {records} records in half a minute"
            );
            thread::sleep(Duration::from_millis(10));
        }
    }
}

#[test]
fn violations_are_found_after_their_supervisor_has_ended() {
    let scene = Scene::new(COUNTING);
    assert_eq!(scene.records(&[]).len(), 0);

    scene.denied(["/etc/shadow"]);
    scene.denied(["/etc/passwd"]);

    let records = scene.records(&[]);
    assert_eq!(records.len(), 2, "{records:?}");
    let first = &records[0];
    assert_eq!(first["schema"], 1);
    assert_eq!(first["plugin"], "denier");
    assert_eq!(first["kind"], "denied-syscall");
    assert_eq!(first["syscall"], "openat");
    assert_eq!(first["severity"], "medium");
    assert!(first["evidence"].as_str().unwrap().contains("/etc/shadow"));
    assert!(
        records[1]["evidence"]
            .as_str()
            .unwrap()
            .contains("/etc/passwd")
    );
    assert_eq!(first["calls"].as_array().unwrap().len(), 1);
    assert!(first["time"].as_str().unwrap().ends_with('Z'));

    let table = scene.violations(&["denier"]);
    let text = String::from_utf8(table.stdout).unwrap();
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(
        text.contains("medium    denier            denied-syscall  ") && text.contains(": openat("),
        "{text}"
    );
    assert_eq!(scene.records(&["other"]).len(), 0);
    assert_eq!(scene.records(&["--since", "1h"]).len(), 2);
    assert_eq!(scene.records(&["--since", "0s"]).len(), 0);
    let second = records[1]["time"].as_str().unwrap();
    assert_eq!(scene.records(&["--since", second]).len(), 1);
    let wrong = Cordon::normal()
        .violations()
        .options(&["--since", "yesterday"])
        .finish();
    assert_eq!(wrong.status.code(), Some(2), "{wrong}");
}

#[test]
fn hostile_text_forges_no_line() {
    let scene = Scene::new(COUNTING);
    let forged = "x\n{\"schema\":1,\"when_ms\":1,\"plugin\":\"innocent\",\"kind\":\"protocol\",\"severity\":\"critical\"}\n";
    let long = "y".repeat(3000);
    scene.denied([forged, "a\u{2028}b\u{85}c\r\u{1b}[2J", &long]);

    let records = scene.records(&[]);

    assert_eq!(records.len(), 3, "{records:?}");
    assert!(records.iter().all(|record| record["plugin"] == "denier"));
    let file = std::fs::read(scene.state.path().join("violations.jsonl")).unwrap();
    assert_eq!(file.iter().filter(|byte| **byte == b'\n').count(), 3);
    assert!(file.iter().all(|byte| matches!(byte, b' '..=b'~' | b'\n')));
    let table = scene.violations(&[]).stdout;
    assert!(
        table
            .iter()
            .all(|byte| !byte.is_ascii_control() || *byte == b'\n')
    );
    assert_eq!(table.iter().filter(|byte| **byte == b'\n').count(), 3);
}

#[test]
fn a_supervisor_killed_while_it_writes_leaves_whole_lines_and_all_that_was_there() {
    let scene = Scene::new(COUNTING);
    let paths: Vec<String> = (0..500)
        .map(|n| format!("/{n}/{}", "z".repeat(n % 300)))
        .collect();
    let paths = || paths.iter().map(String::as_str);
    for round in 0..5 {
        let before = scene.records(&[]);
        let run = scene.start(paths());
        scene.wait_for(before.len() + 1);
        thread::sleep(Duration::from_millis(17 * round));
        let seen = scene.records(&[]);
        run.end(Signal::SIGKILL);
        let after = scene.records(&[]);
        assert!(after.starts_with(&seen), "round {round}");
    }
    // The next one goes on behind them.
    let before = scene.records(&[]);
    scene.denied(["/last"]);
    let after = scene.records(&[]);
    assert!(after.starts_with(&before));
    assert_eq!(after.len(), before.len() + 1);
}

#[test]
fn a_line_torn_at_any_byte_is_cut_at_the_next_start() {
    let scene = Scene::new(COUNTING);
    scene.denied(["/one", "/two"]);
    let file = scene.state.path().join("violations.jsonl");
    let whole = std::fs::read(&file).unwrap();
    let first = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    // Each takes a run; the journal's own test has every byte.
    for length in [first + 1, first + 40, whole.len() - 1] {
        std::fs::write(&file, &whole[..length]).unwrap();
        assert_eq!(scene.records(&[]).len(), 1, "{length}");
        scene.denied(["/three"]);
        let records = scene.records(&[]);
        assert_eq!(records.len(), 2, "{length}");
        assert!(records[1]["evidence"].as_str().unwrap().contains("/three"));
    }
}

#[test]
fn two_supervisors_write_to_one_history() {
    let scene = Scene::new(COUNTING);
    // As many as get attention in a second: each is a record of its own.
    let names = |who: &str| -> Vec<String> { (0..30).map(|n| format!("/{who}{n}.")).collect() };
    let (a, b) = (names("a"), names("b"));
    thread::scope(|scope| {
        scope.spawn(|| scene.denied(a.iter().map(String::as_str)));
        scope.spawn(|| scene.denied(b.iter().map(String::as_str)));
    });
    let records = scene.records(&[]);
    let evidence = |record: &Value| record["evidence"].as_str().unwrap().to_owned();
    for names in [&a, &b] {
        let mut all = records.iter().map(evidence);
        for name in names {
            assert!(all.any(|evidence| evidence.contains(name)), "{name}");
        }
    }
    assert_eq!(records.len(), 60);
}

#[test]
fn without_log_violations_there_is_no_record_and_the_rest_is_the_same() {
    let scene = Scene::new(
        "[violations]\nthreshold = 2\n[plugin.denier.violations]\nlog_violations = false",
    );
    let run = scene.denied(["/one", "/two"]);
    assert_eq!(run.status.code(), Some(7), "{run}");
    let errors = String::from_utf8_lossy(&run.stderr);
    assert!(!errors.contains("denied system call"), "{errors}");
    assert_eq!(scene.records(&[]).len(), 0);
    let unlogged = scene.denied(["/one"]);
    assert_eq!(unlogged.status.code(), Some(7), "{unlogged}");
}

#[test]
fn a_full_disk_is_told_and_ends_nothing() {
    if !setting::is_root() {
        return setting::skip("a full disk", "mounting one takes root");
    }
    let scene = Scene::new(COUNTING);
    let state = scene.state.path();
    std::fs::create_dir(&state).unwrap();
    let mount = format!(
        "mount -t tmpfs -o size=64k,mode=700 full {0}; mkdir -m 700 {0}/unmounted; \
         : >{0}/violations.jsonl; dd if=/dev/zero of={0}/fill bs=4k 2>/dev/null || true",
        state.display()
    );
    let run = scene
        .invocation(["/one", "/two"])
        .options(&["--format", "json"]);
    let run = run.after(&["--mount"], &mount).finish();
    let errors = String::from_utf8_lossy(&run.stderr);
    assert_eq!(run.status.code(), Some(0), "{run}");
    assert!(errors.contains("violations aren't written"), "{errors}");
    assert!(errors.contains("in no history"), "{errors}");
    let object: Value = serde_json::from_slice(&run.stdout).unwrap();
    assert_eq!(object["violations"]["counted"], 2, "{run}");
}

#[test]
fn a_folder_that_others_may_enter_is_refused() {
    let scene = Scene::new(COUNTING);
    let state = scene.state.path();
    std::fs::create_dir(&state).unwrap();
    std::os::unix::fs::chown(&state, None, None).unwrap();
    let others = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&state, others).unwrap();
    let run = scene.denied(["/one"]);
    assert_eq!(run.status.code(), Some(1), "{run}");
    let errors = String::from_utf8_lossy(&run.stderr);
    assert!(errors.contains("others have access to it"), "{errors}");
}

#[tokio::test]
async fn a_library_without_a_folder_for_state_writes_nothing() {
    let folder = Fresh::folder();
    let without = builder(COUNTING).start().await.unwrap();
    let denier = load(&without, &fixture("denier")).await;
    call(&without, &denier, "open", "/one").await.unwrap();
    assert_eq!(without.history(), None);
    drop(without);
    assert!(!folder.path().exists());

    let with = builder(COUNTING)
        .state_dir(folder.path())
        .start()
        .await
        .unwrap();
    let denier = load(&with, &fixture("denier")).await;
    call(&with, &denier, "open", "/one").await.unwrap();
    drop(with);
    let lines = std::fs::read_to_string(folder.path().join("violations.jsonl")).unwrap();
    assert_eq!(lines.lines().count(), 1);
}
