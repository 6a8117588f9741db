//! Cordon as an ordinary user: where a cgroup is delegated, where none is, and where no user
//! namespace is to be had.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A failed assumption fails the test.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cordon_tests::command::{Cordon, Finished, Invocation, copy};
use cordon_tests::plugins::{bare, example};
use cordon_tests::setting::{NOBODY, cgroup_parent, is_root, skip};
use cordon_tests::traces::Traces;
use nix::sys::signal::Signal;
use serde_json::Value;
use tempfile::TempDir;

/// What does without a cgroup.
const DEGRADED: [&str; 2] = ["--allow-degraded", "cgroup"];

#[test]
fn without_delegation_a_load_is_refused_and_every_remedy_named() {
    let refused = run("deflate").call("compress", "").as_nobody().finish();

    assert_eq!(refused.status.code(), Some(10), "{refused}");
    let said = stderr(&refused);
    for named in [
        "cgroup: no group can be made in /sys/fs/cgroup",
        "systemd-run --user --scope -p Delegate=yes cordon",
        "--cgroup-parent",
        "--allow-degraded cgroup",
    ] {
        assert!(said.contains(named), "{named}: {said}");
    }
}

#[test]
fn without_a_cgroup_all_else_holds_and_the_report_says_what_stands_in() {
    let report = Cordon::normal()
        .confinement(&example("deflate"))
        .as_nobody();
    let report = report.options(&["--format", "json"]).options(&DEGRADED);

    let reported = report.finish();

    assert_eq!(reported.status.code(), Some(0), "{reported}");
    let object: Value = serde_json::from_slice(&reported.stdout).unwrap();
    for finding in object["findings"].as_array().unwrap() {
        let value = finding["value"].as_str().unwrap();
        let core = finding["class"] == "core";
        match finding["control"].as_str().unwrap() {
            "cgroup" => {
                assert_eq!(finding["enforcement"], "degraded", "{finding}");
                let stands_in = "resource limits stand in: data ";
                assert!(value.starts_with(stands_in), "{value}");
                assert!(value.contains("isn't delegated to you"), "{value}");
            }
            "ids" => {
                assert_eq!(value, "the caller's own id, alone in its user namespaces");
                assert_eq!(finding["enforcement"], "enforced", "{finding}");
            }
            _ => assert!(!core || finding["enforcement"] == "enforced", "{finding}"),
        }
    }
}

#[test]
fn without_a_cgroup_resource_limits_stop_what_a_group_would() {
    let limits = ["--limit", "heap=64MiB", "--limit", "threads=4"];
    let act_within = |cpu: &str, method, data| {
        let run = run("vandal").call(method, data).as_nobody();
        let cpu = ["--limit", cpu, "--timeout", "60s"];
        run.options(&limits)
            .options(&cpu)
            .options(&DEGRADED)
            .report()
    };
    let act = |method, data| act_within("cpu=1h", method, data);

    assert_eq!(act("allocate", "40").reply(), "DONE: 40 MiB");
    let refused = "STOPPED: ENOMEM mmap of 200 MiB";
    assert_eq!(act("allocate", "200").reply(), refused);
    assert_eq!(act("threads", "3").reply(), "DONE: 3 threads");
    // Its own besides these four make the hard limit.
    let refused = "STOPPED: EAGAIN pthread_create after 4 threads";
    assert_eq!(act("threads", "100").reply(), refused);
    assert!(act_within("cpu=300ms", "spin", "9").died("ms of CPU time"));
}

#[test]
fn processes_are_granted_only_where_a_cgroup_bounds_all_of_them() {
    let folder = TempDir::with_prefix("cordon-processes-").unwrap();
    fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let plugin = bare(folder.path(), "");
    let manifest = "id = \"bare\"\nversion = \"1.0.0\"\nabi = \"1.0\"\n";
    let asks = format!("{manifest}[requires]\nprocesses = true\n");
    fs::write(folder.path().join("bare.toml"), asks).unwrap();
    let policy = folder.path().join("policy.toml");
    fs::write(&policy, "[grants]\nprocesses = true\n").unwrap();
    let policy = ["--policy", policy.to_str().unwrap()];
    let report = || Cordon::normal().confinement(&plugin).options(&policy);

    let granted = report().finish();
    let refused = report().as_nobody().options(&DEGRADED).finish();

    assert_eq!(granted.status.code(), Some(0), "{granted}");
    assert_eq!(refused.status.code(), Some(10), "{refused}");
    assert!(stderr(&refused).contains("cgroup is degraded"), "{refused}");
}

#[test]
fn killed_supervisor_without_a_cgroup_leaves_nothing() {
    let before = Traces::of(std::process::id());
    let run = run("deflate").as_nobody().options(&DEGRADED);
    let mut run = run.options(&["--format", "json"]).start();
    run.line();
    let traces = Traces::of(run.pid());
    assert_eq!(traces.processes.len(), 3, "launcher, init, worker");
    assert!(traces.groups.is_empty(), "{traces:#?}");

    run.end(Signal::SIGKILL);

    eventually(|| traces.left(&before).processes.is_empty());
}

#[test]
fn without_user_namespaces_it_says_what_allows_them() {
    if !is_root() {
        let why = "the libraries' owner, root, is nobody in a user namespace of an ordinary user";
        return skip("all of it", why);
    }
    // One more, for cordon to be an ordinary user in, and none for it.
    let limit = "echo 1 >/proc/sys/user/max_user_namespaces\n\
                 set -- unshare --user --map-user=1000 --map-group=1000 \"$@\"";

    let run = run("deflate").call("compress", "");
    let refused = run.after(&["-Ur"], limit).finish();

    assert_eq!(refused.status.code(), Some(10), "{refused}");
    let said = stderr(&refused);
    let named = "namespaces: an ordinary user can't make a user namespace: ";
    assert!(said.contains(named), "{said}");
    assert!(said.contains("user.max_user_namespaces"), "{said}");
}

#[test]
fn program_is_run_where_it_is_roots_or_the_callers_and_nobody_elses() {
    let folder = TempDir::with_prefix("cordon-owned-").unwrap();
    let worker = folder.path().join("cordon-worker");
    for program in ["cordon", "cordon-worker"] {
        copy(program, folder.path());
    }
    fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let run = || {
        let run = Cordon::at(&folder.path().join("cordon")).run(&example("deflate"));
        let run = run.call("compress", "").as_nobody().options(&DEGRADED);
        run.finish()
    };
    if is_root() {
        assert_eq!(run().status.code(), Some(0), "of root: {}", run());
        chown(&worker, Some(NOBODY), None).unwrap();
    } else {
        skip("a worker of root's", "no ordinary user can make one");
    }
    assert_eq!(run().status.code(), Some(0), "the caller's: {}", run());
    if !is_root() {
        return skip("a worker of another's", "no ordinary user can make one");
    }
    chown(&worker, Some(NOBODY - 1), None).unwrap();
    let refused = run();
    assert_eq!(refused.status.code(), Some(3), "{refused}");
    let said = stderr(&refused);
    assert!(
        said.contains("belongs neither to root nor to you"),
        "{said}"
    );
}

#[test]
fn supervisor_makes_room_in_its_own_group_and_leaves_it_as_it_was() {
    for signal in [Signal::SIGINT, Signal::SIGKILL] {
        let place = Delegated::new("room");
        let run = run("deflate").options(&["--format", "json"]);
        let mut run = place.start_within(run, "exec \"$@\"").start();

        run.line();

        let own = fs::read_to_string(format!("/proc/{}/cgroup", run.pid())).unwrap();
        if place.is_v2() {
            let leaf = format!("0::{}/cordon-supervisor", place.name());
            assert!(own.lines().any(|line| line == leaf), "{own}");
        }
        for group in &place.groups {
            assert!(group.join("cordon").is_dir(), "{group:?}");
        }
        run.end(signal);
        eventually(|| place.groups.iter().all(|group| folders(group) == 0));
    }
}

#[test]
fn stranger_in_the_group_is_named_on_v2() {
    let place = Delegated::new("stranger");
    let run = run("deflate").call("compress", "");

    // The shell, which waits for it.
    let finished = place.start_within(run, "\"$@\"; exit $?").finish();

    if place.is_v2() {
        assert_eq!(finished.status.code(), Some(10), "{finished}");
        let said = stderr(&finished);
        let named =
            "holds other processes than Cordon's, so it can't pass controllers down: \"sh\"";
        assert!(said.contains(named), "{said}");
        assert!(said.contains("Delegate=yes"), "{said}");
    } else {
        assert_eq!(finished.status.code(), Some(0), "{finished}");
    }
}

/// A group of this test's own in every hierarchy that Cordon uses.
struct Delegated {
    groups: Vec<PathBuf>,
    below: PathBuf,
    layout: sandbox::cgroup::Layout,
}

impl Delegated {
    fn new(name: &str) -> Self {
        let layout = sandbox::cgroup::Layout::detect().unwrap();
        let name = format!("cordon-test-{name}-{}", std::process::id());
        let make = |mount: &sandbox::cgroup::Mount| {
            let parent = cgroup_parent(&mount.point);
            // What a group passes down, the topmost does already.
            let control = parent.join("cgroup.subtree_control");
            fs::write(control, "+memory +pids +cpu").ok();
            let group = parent.join(&name);
            fs::create_dir(&group).unwrap_or_else(|error| panic!("{group:?}: {error}"));
            group
        };
        Self {
            groups: layout.mounts().iter().map(make).collect(),
            below: cgroup_parent(Path::new("/")).join(&name),
            layout,
        }
    }

    fn is_v2(&self) -> bool {
        self.layout.kind() == sandbox::cgroup::Kind::V2
    }

    fn name(&self) -> String {
        self.below.display().to_string()
    }

    /// Has a shell that is in the groups run the command by `script`. Root names them, anybody
    /// else has them for being in them.
    fn start_within(&self, run: Invocation, script: &str) -> Invocation {
        let name = self.name();
        let run = run.cgroup_parent(is_root().then_some(name.as_str()));
        let enter = self.groups.iter().map(|group| {
            let procs = group.join("cgroup.procs");
            format!("echo $$ >'{}'; ", procs.display())
        });
        let script = format!("set -e; {}{script}", enter.collect::<String>());
        run.through("sh", &["-c", &script, "sh"])
    }
}

impl Drop for Delegated {
    fn drop(&mut self) {
        for group in &self.groups {
            // A shell that was killed takes a moment to go.
            let end = Instant::now() + Duration::from_secs(5);
            while fs::remove_dir(group).is_err() && Instant::now() < end {
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }
}

fn folders(group: &Path) -> usize {
    let entries = fs::read_dir(group).into_iter().flatten().flatten();
    entries.filter(|entry| entry.path().is_dir()).count()
}

fn eventually(holds: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(5);
    while !holds() {
        assert!(Instant::now() < end, "waited in vain");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn run(name: &str) -> Invocation {
    Cordon::normal().run(&example(name))
}

fn stderr(finished: &Finished) -> String {
    String::from_utf8_lossy(&finished.stderr).into_owned()
}
