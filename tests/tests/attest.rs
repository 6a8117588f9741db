//! Attestation: what isn't confined as it must be is killed, before a plugin byte runs and at
//! any time afterwards, and what differs is named.

#![allow(clippy::unwrap_used)] // A failed assumption fails the test.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use cordon_supervisor::ending::Ending;
use cordon_supervisor::lifecycle::State;
use cordon_supervisor::manifest::PluginId;
use cordon_supervisor::violations::{Kind, Severity};
use cordon_supervisor::{CallError, Supervisor};
use cordon_tests::command::Cordon;
use cordon_tests::host::{call, eventually, load, status, supervisor};
use cordon_tests::plugins::{example, fixture};
use cordon_tests::setting::{is_root, skip, weakened_by_root_alone};
use cordon_tests::traces::groups;
use rustix::process::{Pid, Resource, Rlimit, prlimit};

const PATIENCE: Duration = Duration::from_secs(20);

/// Attestations on their own interval alone.
const OFTEN: &str = "[monitor]\ninterval = \"24h\"\nattest = \"100ms\"\n";
/// None but those that events ask for.
const ON_EVENTS: &str = "[monitor]\ninterval = \"24h\"\nattest = \"24h\"\n";

#[test]
fn control_that_launcher_or_worker_leave_out_unseen_is_named_and_nothing_is_loaded() {
    if !weakened_by_root_alone() {
        return;
    }
    for (left_out, named) in [
        ("unseen:root", "root: mount table is "),
        ("unseen:ids", "ids: Uid is 0"),
        ("unseen:net", "namespaces: net namespace is "),
        ("unseen:pid", "namespaces: pid namespace is "),
        ("unseen:capabilities", "capabilities: Cap"),
        ("unseen:rlimits", "rlimits: Max "),
        (
            "unseen:memory",
            "cgroup: the cgroup limit memory_max was set to ",
        ),
        (
            "unseen:pids",
            "cgroup: the cgroup limit pids_max was set to ",
        ),
        ("unseen:undumpable", "undumpable: process is dumpable, "),
        ("unseen:landlock", "landlock: domain is left out, "),
        ("unseen:mdwe", "mdwe: process is left out, "),
        ("unseen:seccomp", "it has no listener"),
        (
            "unseen:no_new_privs,seccomp,landlock",
            "no-new-privs: NoNewPrivs is 0, must be 1",
        ),
    ] {
        let run = Cordon::without([left_out]).run(&example("vandal"));
        let finished = run.call("well-behaved", "").finish();

        let said = String::from_utf8_lossy(&finished.stderr);
        assert!(said.contains(named), "{left_out}: {finished}");
        assert!(finished.stdout.is_empty(), "{left_out}: {finished}");
    }
}

#[tokio::test]
async fn live_worker_is_attested_at_the_interval_and_its_calls_go_on() {
    let threads = "[limits]\nthreads = { declared = 32, hard = 64 }\n";
    let supervisor = supervisor(&format!("{OFTEN}{threads}")).await;
    let probe = load(&supervisor, &fixture("probe")).await;
    let hoarder = load(&supervisor, &fixture("hoarder")).await;
    call(&supervisor, &probe, "threads", "3").await.unwrap();

    let reply = call(&supervisor, &probe, "churn", "1").await;

    assert_eq!(reply.unwrap(), "churned");
    for plugin in [&probe, &hoarder] {
        let attested = || attestations(&supervisor, plugin) > Some(3);
        assert!(eventually(PATIENCE, attested).await, "{plugin}");
        assert_eq!(status(&supervisor, plugin).state, State::Active);
    }
}

#[tokio::test]
async fn event_asks_for_an_attestation_and_a_flood_of_them_for_one_a_second() {
    let supervisor = supervisor(ON_EVENTS).await;
    let vandal = load(&supervisor, &example("vandal")).await;
    assert_eq!(attestations(&supervisor, &vandal), Some(1));

    call(&supervisor, &vandal, "open-shadow", "").await.unwrap();

    let again = || attestations(&supervisor, &vandal) == Some(2);
    assert!(eventually(PATIENCE, again).await);
    for _ in 0..5 {
        call(&supervisor, &vandal, "open-shadow", "").await.unwrap();
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(again(), "{:?}", attestations(&supervisor, &vandal));
}

#[tokio::test]
async fn worker_whose_main_thread_has_ended_is_attested_by_those_that_live() {
    let policy = format!("{OFTEN}[call]\ndeadline = \"2s\"\n");
    let supervisor = supervisor(&policy).await;
    let probe = load(&supervisor, &fixture("probe")).await;
    let worker = supervisor.worker(&probe).unwrap();

    let (left, seen) = tokio::join!(call(&supervisor, &probe, "leave", ""), async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let state = fs::read_to_string(format!("/proc/{}/status", worker.pid()));
        assert!(
            state
                .as_ref()
                .is_ok_and(|s| s.contains("\nState:\tZ (zombie)\n")),
            "{state:?} {:?}",
            worker.ending()
        );
        let before = worker.attestations();
        eventually(Duration::from_secs(1), || {
            worker.attestations() > before + 2
        })
        .await
    });

    assert!(seen, "attested {} times", worker.attestations());
    assert!(matches!(left, Err(CallError::Deadline { .. })), "{left:?}");
}

#[tokio::test]
async fn resource_limit_that_changes_kills_and_says_so() {
    killed_for("Max open files is ", |pid, _| {
        let limit = Rlimit {
            current: Some(7),
            maximum: Some(7),
        };
        prlimit(Pid::from_raw(pid as i32), Resource::Nofile, limit).unwrap();
    })
    .await;
}

#[tokio::test]
async fn worker_that_leaves_its_group_is_killed_and_it_says_so() {
    killed_for("is not in its cgroup", |pid, groups| {
        for group in groups {
            let parent = group.parent().and_then(|parent| parent.parent()).unwrap();
            // On v2 the group above holds none but groups; on v1 any of them will do.
            let elsewhere = [parent.to_owned(), root_of(group)];
            let mut moved = elsewhere.iter().map(|group| {
                let members = group.join("cgroup.procs");
                fs::write(members, pid.to_string())
            });
            assert!(moved.any(|moved| moved.is_ok()), "{group:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn group_whose_limit_is_lifted_kills_and_says_so() {
    killed_for("pids_max", |_, groups| {
        let mut lifted = groups
            .iter()
            .map(|group| fs::write(group.join("pids.max"), "max"));
        assert!(lifted.any(|lifted| lifted.is_ok()), "{groups:?}");
    })
    .await;
}

/// Changes a live worker from outside, as root can, and sees it killed with a violation that
/// says what differs.
async fn killed_for(what: &str, change: impl FnOnce(u32, &[PathBuf])) {
    if !is_root() {
        return skip("all of it", "only root can change a worker from outside");
    }
    let supervisor = supervisor(OFTEN).await;
    let probe = load(&supervisor, &fixture("probe")).await;
    let worker = supervisor.worker(&probe).unwrap();
    let pid = worker.pid();
    let holds = |group: &PathBuf| {
        let members = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
        members.lines().any(|member| member == pid.to_string())
    };
    let groups = groups(std::process::id());
    let groups: Vec<PathBuf> = groups.into_iter().filter(holds).collect();

    change(pid, &groups);

    let ending = tokio::time::timeout(PATIENCE, worker.ended())
        .await
        .unwrap();
    let Ending::Confinement { what: told } = &ending else {
        panic!("{ending}");
    };
    assert!(told.contains(what), "{told}");
    let violations = status(&supervisor, &probe).violations;
    let [violation] = &violations[..] else {
        panic!("{violations:?}");
    };
    assert_eq!(violation.kind, Kind::Confinement);
    assert_eq!(violation.severity, Severity::Critical);
    assert!(violation.evidence.contains(what), "{violation}");
}

/// The top of a group's hierarchy.
fn root_of(group: &std::path::Path) -> PathBuf {
    let is_group = |folder: &&std::path::Path| folder.join("cgroup.procs").exists();
    group
        .ancestors()
        .take_while(is_group)
        .last()
        .unwrap()
        .to_owned()
}

fn attestations(supervisor: &Supervisor, plugin: &PluginId) -> Option<u64> {
    Some(supervisor.worker(plugin)?.attestations())
}
