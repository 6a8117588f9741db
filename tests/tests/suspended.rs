//! The process of the supervisor stands still for a while, and its plugins don't: nothing that
//! happens meanwhile is lost, and nothing passes that would have been denied.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A failed assumption fails the test.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use cordon_tests::plugins::fixture;
use cordon_tests::running::Running;
use cordon_tests::traces::Process;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tempfile::TempDir;

/// For how many seconds it stands still; `scripts/soak` has it take 30.
const SUSPENDED: &str = "CORDON_SUSPENDED";
const USUALLY: u64 = 8;
/// How long a plugin waits before its deed, and most of what a call may take.
const DEED: Duration = Duration::from_millis(1500);
/// How long after that all must be recorded, on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// Polls see what v1 announces to nobody; heap and threads are allowed as much as they are
/// granted, so that what is counted is what the kernel refused.
const POLICY: &str = r#"
[monitor]
interval = "1s"
[violations]
auto_unmount = false
[restart]
when = "never"
[limits]
heap = { declared = "48MiB", hard = "48MiB" }
threads = { declared = 8, hard = 8 }
cpu = "1h"
[call]
deadline = "60s"
grace = "100ms"
"#;

/// A copy of the plugin for each, which it is named after.
const DEEDS: [&str; 8] = [
    "memory", "threads", "denials", "print", "leave", "beat", "answer", "overdue",
];

#[test]
fn suspended_supervisor_misses_nothing_and_lets_nothing_pass() {
    let suspended = std::env::var(SUSPENDED).map_or(USUALLY, |seconds| seconds.parse().unwrap());
    let suspended = Duration::from_secs(suspended);
    let scene = Scene::new();
    let mut host = scene.start();
    let pids: Value = serde_json::from_str(&host.line()).unwrap();
    let pid = |deed: &str| pids[deed].as_u64().unwrap() as u32;
    let doomed = ["memory", "leave"].map(|deed| Process::of(pid(deed)).unwrap());

    let signal = |signal| kill(Pid::from_raw(host.pid() as i32), signal).unwrap();
    signal(Signal::SIGSTOP);
    let stopped = Instant::now();
    std::thread::sleep(suspended);
    // They died while nobody could have seen it, and the one that was denied waits.
    let living = doomed.map(|process| Process::of(process.pid) == Some(process));
    let waiting = Process::of(pid("denials")).is_some();
    signal(Signal::SIGCONT);
    let stopped = stopped.elapsed();

    assert_eq!((living, waiting), ([false; 2], true));
    let report = settled(&mut host);
    assert_eq!(report["memory"]["violations"], json!({ "oom-kill": 1 }));
    assert_eq!(report["threads"]["violations"], json!({ "threads": 1 }));
    let ending = &report["leave"]["state"]["reason"]["ending"];
    assert_eq!(*ending, json!({ "kind": "exit", "code": 3 }));
    assert_eq!(report["print"]["lines"], lines());
    assert_eq!(report["answer"]["lines"], json!(vec!["a record"; 100]));
    assert_eq!(report["answer"]["result"], "in time");
    let overdue = report["overdue"]["result"].as_str().unwrap();
    assert!(overdue.starts_with("Deadline"), "{overdue}");
    assert_eq!(report["overdue"]["violations"], json!({ "deadline": 1 }));
    denied_calls_waited(&report["denials"], stopped);
    permitted_calls_went_on(&report["beat"], stopped);
    for quiet in ["print", "answer", "beat", "leave"] {
        assert_eq!(report[quiet]["violations"], json!({}), "{quiet}");
    }
}

/// All were refused and recorded, and the first one only after it was looked at.
fn denied_calls_waited(denials: &Value, stopped: Duration) {
    assert_eq!(denials["violations"], json!({ "denied-syscall": 5 }));
    let said = denials["lines"][0].as_str().unwrap();
    let waited = said.strip_prefix("5 denied calls, 0 passed, ").expect(said);
    let waited = waited.strip_suffix(" ms").unwrap().parse().unwrap();
    let waited = Duration::from_millis(waited);
    // On a loaded machine it may have begun to wait late.
    assert!(
        waited <= stopped + PATIENCE && waited > stopped / 4,
        "{waited:?}"
    );
}

/// They are made every 10 ms, and never stood still for long.
fn permitted_calls_went_on(beat: &Value, stopped: Duration) {
    let told = beat["beats"].as_str().unwrap();
    let (beats, longest) = told.split_once(' ').unwrap();
    let (beats, longest): (u64, u64) = (beats.parse().unwrap(), longest.parse().unwrap());
    assert!(
        Duration::from_millis(longest) < (stopped - DEED) / 2,
        "{told}"
    );
    assert!(beats > stopped.as_secs(), "{told}");
}

/// What is reported once all that is to come has come: reports that stay the same.
fn settled(host: &mut Running) -> Value {
    let end = Instant::now() + PATIENCE;
    let report = |host: &mut Running| -> Value { serde_json::from_str(&host.line()).unwrap() };
    let without_beats = |mut report: Value| {
        report["beat"]["beats"] = Value::Null;
        report
    };
    let (mut last, mut same) = (Value::Null, 0);
    loop {
        let now = report(host);
        let counted = without_beats(now.clone());
        same = if counted == last { same + 1 } else { 0 };
        last = counted;
        let answered = ["answer", "overdue"].map(|call| !now[call]["result"].is_null());
        let refused = !now["denials"]["lines"].is_null();
        let polled = !now["threads"]["violations"]["threads"].is_null();
        // Long enough for a poll in between, whether or not all has come.
        if (same >= 4 && answered == [true; 2] && refused && polled) || Instant::now() > end {
            return now;
        }
    }
}

fn lines() -> Value {
    (0..100)
        .map(|n| format!("line {n} of 100"))
        .collect::<Vec<_>>()
        .into()
}

/// A policy, and the plugin's copies with a manifest beside each.
struct Scene(TempDir);

impl Scene {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("policy.toml"), POLICY).unwrap();
        for deed in DEEDS {
            let manifest = format!("id = \"{deed}\"\nversion = \"1.0.0\"\nabi = \"1.0\"\n");
            fs::write(folder.path().join(format!("{deed}.toml")), manifest).unwrap();
            fs::copy(fixture("later"), plugin(folder.path(), deed)).unwrap();
        }
        Self(folder)
    }

    fn start(&self) -> Running {
        let mut command = Command::new(env!("CARGO_BIN_EXE_suspended-host"));
        let folder = self.0.path();
        command.arg(folder.join("policy.toml"));
        command.args(DEEDS.map(|deed| plugin(folder, deed)));
        Running::start(command)
    }
}

fn plugin(folder: &Path, deed: &str) -> PathBuf {
    folder.join(format!("lib{deed}.so"))
}
