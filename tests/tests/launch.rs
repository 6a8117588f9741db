//! A launch against the kernel's own files: here on a hybrid host, and on pure cgroup v2 in
//! `scripts/test-v2`, whose processor is emulated. Hence few tests, and patient ones.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A failed assumption fails the test.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use cordon_supervisor::ending::Ending;
use cordon_supervisor::lifecycle::State;
use cordon_supervisor::manifest::PluginId;
use cordon_supervisor::{CallError, Supervisor};
use cordon_tests::host::{call, eventually, load, status, supervisor};
use cordon_tests::plugins::example;
use cordon_tests::traces::{Traces, below, groups};
use sandbox::report::{Control, Enforcement};
use sandbox::seccomp::Program;
use sandbox::support::Kernel;

const PATIENCE: Duration = Duration::from_secs(120);

/// Deadlines that an emulated processor meets, no polls, and limits of the test's own.
const POLICY: &str = r#"
    [load]
    deadline = "300s"
    [call]
    deadline = "300s"
    [monitor]
    interval = "24h"
    [limits]
    cpu = "1h"
    heap = { declared = "64MiB", hard = "96MiB" }
    threads = { declared = 4, hard = 6 }
"#;

#[tokio::test]
async fn plugin_answers_from_a_worker_whose_report_holds_in_full() {
    let supervisor = supervisor(POLICY).await;
    let deflate = load(&supervisor, &example("deflate")).await;

    let empty = call(&supervisor, &deflate, "compress", "").await;

    assert!(!empty.unwrap().is_empty());
    let report = status(&supervisor, &deflate).report.unwrap();
    let controls = report.findings.iter().map(|finding| finding.control);
    assert_eq!(controls.collect::<Vec<_>>(), Control::ALL);
    for finding in &report.findings {
        let since = match finding.control {
            Control::Mdwe => (6, 3),
            Control::LandlockTcp => (6, 7),
            Control::LandlockScopes => (6, 12),
            Control::PassedFds => (6, 16),
            _ => (0, 0),
        };
        let (major, minor) = since;
        let offered = match finding.control {
            // Not every processor has a use for them.
            Control::Speculation | Control::CoreScheduling => finding.offered,
            _ => Kernel::running() >= Kernel { major, minor },
        };
        assert_eq!(finding.offered, offered, "{finding:?}");
        let enforced = finding.enforcement == Enforcement::Enforced;
        assert_eq!(enforced, offered, "{finding:?}");
    }
}

#[test]
fn worker_below_a_filter_of_the_hosts_own_is_attested_with_both() {
    // As a container or systemd's SystemCallFilter= would; the thread's, so that no other
    // test is below it.
    let filtered = std::thread::spawn(|| {
        // BPF_RET | BPF_K, SECCOMP_RET_ALLOW.
        let allow_all = Program::try_from(vec![(0x06, 0, 0, 0x7fff_0000)]).unwrap();
        rustix::thread::set_no_new_privs(true).unwrap();
        allow_all.install().unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let supervisor = supervisor(POLICY).await;
            let deflate = load(&supervisor, &example("deflate")).await;
            status(&supervisor, &deflate).report.unwrap()
        })
    });

    let report = filtered.join().unwrap();

    let mut findings = report.findings.iter();
    let seccomp = findings.find(|finding| finding.control == Control::Seccomp);
    let value = &seccomp.unwrap().value;
    assert!(value.contains("1 filter above 1 of the host's"), "{value}");
}

#[tokio::test]
async fn worker_is_in_its_groups_and_they_have_the_limits_that_the_report_names() {
    let supervisor = supervisor(POLICY).await;

    let vandal = load(&supervisor, &example("vandal")).await;

    let groups = groups_of_worker(&supervisor, &vandal);
    let read = |v2: &str, v1: &str| {
        let files = groups
            .iter()
            .flat_map(|group| [group.join(v2), group.join(v1)]);
        let mut values = files.filter_map(|file| fs::read_to_string(file).ok());
        let value = values
            .next()
            .unwrap_or_else(|| panic!("no {v2} in {groups:?}"));
        value.trim().to_owned()
    };
    let memory = read("memory.max", "memory.limit_in_bytes");
    assert_eq!(memory, (96 << 20).to_string());
    // Init is a task too.
    assert_eq!(read("pids.max", "pids.max"), "7");
    let cpu = read("cpu.max", "cpu.cfs_quota_us");
    assert!(cpu == "100000 100000" || cpu == "100000", "{cpu}");
    let report = status(&supervisor, &vandal).report.unwrap();
    let finding = report
        .findings
        .iter()
        .find(|f| f.control == Control::Cgroup);
    let value = &finding.unwrap().value;
    assert_eq!(value, "memory 96 MiB, tasks 7, cpu 100000/100000 us");
}

#[tokio::test]
async fn memory_beyond_hard_is_an_oom_kill_of_this_worker_alone() {
    let supervisor = supervisor(POLICY).await;
    let vandal = load(&supervisor, &example("vandal")).await;
    let deflate = load(&supervisor, &example("deflate")).await;
    let groups = groups_of_worker(&supervisor, &vandal);

    let error = call(&supervisor, &vandal, "allocate", "200").await;

    let died = CallError::Ended {
        plugin: vandal.clone(),
        ending: Ending::OutOfMemory,
    };
    assert_eq!(error, Err(died));
    assert_eq!(status(&supervisor, &vandal).by_kind["oom-kill"], 1);
    assert!(!groups.iter().any(|group| group.exists()), "{groups:?}");
    call(&supervisor, &deflate, "compress", "").await.unwrap();
    supervisor.reload(&vandal).await.unwrap();
    let reply = call(&supervisor, &vandal, "well-behaved", "").await;
    assert_eq!(reply.unwrap(), "DONE: well-behaved call 1");
}

#[tokio::test]
async fn thread_bomb_hits_its_limit_and_is_recorded_by_event() {
    let supervisor = supervisor(POLICY).await;
    let vandal = load(&supervisor, &example("vandal")).await;

    let reply = call(&supervisor, &vandal, "threads", "100").await.unwrap();

    assert_eq!(reply, "STOPPED: EAGAIN pthread_create after 5 threads");
    // No poll is due for a day.
    let recorded = || status(&supervisor, &vandal).by_kind.contains_key("threads");
    assert!(eventually(PATIENCE, recorded).await);
    assert_eq!(status(&supervisor, &vandal).state, State::Active);
}

#[tokio::test]
async fn unloading_leaves_no_process_and_no_group() {
    let supervisor = supervisor(POLICY).await;
    let deflate = load(&supervisor, &example("deflate")).await;
    let worker = supervisor.worker(&deflate).unwrap().pid();
    let groups = groups_of_worker(&supervisor, &deflate);
    assert!(below(std::process::id()).iter().any(|p| p.pid == worker));

    supervisor.unload(&deflate).await.unwrap();

    assert!(!groups.iter().any(|group| group.exists()), "{groups:?}");
    assert!(!below(std::process::id()).iter().any(|p| p.pid == worker));
    let own: BTreeSet<_> = groups.iter().filter_map(|group| group.parent()).collect();
    assert!(
        own.iter().all(|group| group.exists()),
        "the supervisor's own stay"
    );
    drop(supervisor);
    assert!(!own.iter().any(|group| group.exists()), "{own:?}");
    let mounts = Traces::of(std::process::id()).mounts;
    assert!(
        !mounts.iter().any(|mount| mount.contains("/plugin")),
        "{mounts:?}"
    );
}

/// The worker's groups, one in each hierarchy that Cordon uses; it is in them, with init.
fn groups_of_worker(supervisor: &Supervisor, plugin: &PluginId) -> Vec<PathBuf> {
    let worker = supervisor.worker(plugin).unwrap().pid().to_string();
    let mine = |group: &PathBuf| {
        let members = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
        members.lines().any(|member| member == worker) && members.lines().count() == 2
    };
    let groups: Vec<_> = groups(std::process::id())
        .into_iter()
        .filter(mine)
        .collect();
    let named = |group: &PathBuf| {
        let name = group.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with(&format!("{plugin}."))
    };
    assert!(!groups.is_empty() && groups.iter().all(named), "{groups:?}");
    groups
}
