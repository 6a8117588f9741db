//! Violations told to the host: by a function of the library's, by a command of `cordon run`.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A failed assumption fails the test.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use cordon_supervisor::violations::{Severity, Violation};
use cordon_tests::command::{Cordon, Finished, Invocation};
use cordon_tests::host::{builder, call, load};
use cordon_tests::plugins::fixture;
use serde_json::Value;

const COUNTING: &str =
    "[violations]\nauto_unmount = false\n[limits]\ndenials = { declared = 900000, hard = 1000000 }";

/// `cordon run` of a plugin that is denied these files, and what its command has written.
struct Scene {
    folder: tempfile::TempDir,
}

impl Scene {
    fn new() -> Scene {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("policy.toml"), COUNTING).unwrap();
        Scene { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn invocation(&self, command: &str, paths: &[&str]) -> Invocation {
        let mut run = Cordon::normal().run(&fixture("denier"));
        for path in paths {
            run = run.call("open", path);
        }
        let policy = self.path("policy.toml");
        let command = command.replace("FOLDER", self.folder.path().to_str().unwrap());
        run.options(&[
            "--policy",
            policy.to_str().unwrap(),
            "--on-violation",
            &command,
        ])
    }

    fn run(&self, command: &str, paths: &[&str]) -> Finished {
        let finished = self.invocation(command, paths).finish();
        assert_eq!(finished.status.code(), Some(0), "{finished}");
        finished
    }

    fn told(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.path("told")).unwrap_or_default();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }
}

fn evidence(told: &Value) -> &str {
    told["evidence"].as_str().unwrap()
}

#[tokio::test]
async fn a_host_is_told_of_each_on_another_thread() {
    let told: Arc<Mutex<Vec<Arc<Violation>>>> = Arc::default();
    let (kept, here) = (Arc::clone(&told), std::thread::current().id());
    let supervisor = builder(COUNTING).on_violation(move |alert| {
        assert_ne!(std::thread::current().id(), here);
        assert_eq!(alert.missed, 0);
        kept.lock().unwrap().push(Arc::clone(&alert.violation));
    });
    let supervisor = supervisor.start().await.unwrap();
    let denier = load(&supervisor, &fixture("denier")).await;
    for path in ["/one", "/two"] {
        call(&supervisor, &denier, "open", path).await.unwrap();
    }
    drop(supervisor);
    let told = told.lock().unwrap();
    assert_eq!(told.len(), 2);
    assert!(told[0].evidence.contains("/one") && told[1].evidence.contains("/two"));
    assert_eq!(told[0].severity, Severity::Medium);
}

#[test]
fn a_command_gets_each_violation_as_a_json_object_on_stdin() {
    let scene = Scene::new();
    let run = scene.run("cat >>FOLDER/told; echo spoken", &["/one", "/two"]);
    let told = scene.told();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(evidence(&told[0]).contains("/one") && evidence(&told[1]).contains("/two"));
    assert_eq!(told[0]["schema"], 1);
    assert_eq!(told[0]["plugin"], "denier");
    // Results alone are on standard output.
    assert!(
        !String::from_utf8_lossy(&run.stdout).contains("spoken"),
        "{run}"
    );
    assert!(
        String::from_utf8_lossy(&run.stderr).contains("spoken"),
        "{run}"
    );
}

#[test]
fn nothing_that_a_plugin_says_is_run() {
    let scene = Scene::new();
    let file = scene.path("owned");
    let owned = file.display();
    let hostile = [
        format!("$(: >{owned})"),
        format!("`: >{owned}`"),
        format!("'; : >{owned}; '"),
        format!("\"; : >{owned}; \""),
        format!("\n: >{owned}\n"),
        "%s%n$IFS${PATH}".to_owned(),
    ];
    let hostile: Vec<&str> = hostile.iter().map(String::as_str).collect();
    scene.run(
        "cat >>FOLDER/told; env >>FOLDER/env; ps -o args= -p $$ >>FOLDER/args 2>&1",
        &hostile,
    );
    assert_eq!(scene.told().len(), hostile.len());
    assert!(!file.exists());
    for name in ["env", "args"] {
        let text = std::fs::read_to_string(scene.path(name)).unwrap();
        assert!(!text.contains("owned"), "{name}: {text}");
    }
}

#[test]
fn a_flood_is_told_at_a_rate_and_the_rest_is_counted() {
    let scene = Scene::new();
    let paths: Vec<String> = (0..30).map(|n| format!("/{n}.")).collect();
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    scene.run("cat >>FOLDER/told", &paths);
    let told = scene.told();
    assert!(told.len() < paths.len(), "{}", told.len());
    let lost = |told: &Value| told["lost"].as_u64().unwrap_or(0);
    let all = told.len() as u64 + told.iter().map(lost).sum::<u64>();
    assert_eq!(all, paths.len() as u64, "{told:?}");
    assert!(evidence(told.last().unwrap()).contains("/29."));
}

#[test]
fn a_command_that_hangs_holds_neither_calls_nor_the_end_up_and_leaves_nothing() {
    let scene = Scene::new();
    let began = Instant::now();
    let mark = format!("{}", 900_000 + std::process::id());
    let run = scene.run(&format!("sleep {mark} & sleep {mark}"), &["/one", "/two"]);
    assert!(began.elapsed() < Duration::from_secs(25), "{run}");
    let errors = String::from_utf8_lossy(&run.stderr);
    assert!(
        errors.contains("the command of --on-violation took too long, and was killed"),
        "{errors}"
    );
    let left = processes_with(&mark);
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_command_that_fails_or_is_none_is_told_and_ends_nothing() {
    let scene = Scene::new();
    for command in ["exit 3", "/nonexistent/command"] {
        let run = scene.run(command, &["/one"]);
        let errors = String::from_utf8_lossy(&run.stderr);
        assert!(
            errors.contains("the command of --on-violation failed"),
            "{errors}"
        );
    }
}

/// Processes with this among their arguments.
fn processes_with(mark: &str) -> Vec<PathBuf> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let marked = |process: &PathBuf| {
        let arguments = std::fs::read(process.join("cmdline")).unwrap_or_default();
        arguments
            .split(|byte| *byte == 0)
            .any(|one| one == mark.as_bytes())
    };
    processes
        .map(|process| process.path())
        .filter(marked)
        .collect()
}
