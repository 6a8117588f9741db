//! Loading and unloading leaves nothing, however often.
//!
//! Alone in its file: it counts what this process has.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A failed assumption fails the test.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use cordon_supervisor::Supervisor;
use cordon_supervisor::manifest::PluginId;
use cordon_tests::host::{call, load, supervisor};
use cordon_tests::plugins::example;
use cordon_tests::traces::{below, groups};

const WARM_UP: usize = 20;
const CYCLES: usize = 500;
const MOST_GROWTH: i64 = 1024 * 1024;
/// How long the kernel may take to free a group that has been removed.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is counted, of this process, the launcher, and the host's groups.
#[derive(Debug, PartialEq, Eq)]
struct Counts {
    fds: usize,
    launchers_fds: usize,
    processes: usize,
    mounts: usize,
    launchers_mounts: usize,
    groups: usize,
}

#[tokio::test]
async fn five_hundred_cycles_leave_counts_equal_and_memory_flat() {
    let supervisor = supervisor("").await;
    let plugin = load(&supervisor, &example("deflate")).await;
    supervisor.unload(&plugin).await.unwrap();
    let launcher = launcher();
    cycles(&supervisor, &plugin, WARM_UP).await;
    let (before, dying) = (Counts::at_rest(launcher).await, dying_groups());
    let memory = [std::process::id(), launcher].map(anonymous);

    let started = Instant::now();
    cycles(&supervisor, &plugin, CYCLES).await;
    let took = started.elapsed();

    let growth = [std::process::id(), launcher].map(anonymous);
    let growth = [growth[0] - memory[0], growth[1] - memory[1]];
    assert_eq!(Counts::at_rest(launcher).await, before);
    assert!(
        growth.iter().all(|&grown| grown < MOST_GROWTH),
        "{growth:?}"
    );
    let left = settled(&dying).await;
    let each = took.as_micros() / CYCLES as u128;
    println!("{CYCLES} cycles, {each} us each; supervisor and launcher grew {growth:?} bytes");
    assert!(left.is_none(), "before {dying:?}, after {left:?}");
}

async fn cycles(supervisor: &Supervisor, plugin: &PluginId, count: usize) {
    for cycle in 0..count {
        supervisor.reload(plugin).await.unwrap();
        let reply = call(supervisor, plugin, "compress", &cycle.to_string()).await;
        assert!(!reply.unwrap().is_empty());
        supervisor.unload(plugin).await.unwrap();
    }
}

impl Counts {
    /// What is left once the last unload's tasks have ended: counts that stay the same for
    /// a while. A leak stays the same too.
    async fn at_rest(launcher: u32) -> Self {
        let mut counts = Self::now(launcher);
        let mut same = 0;
        while same < 5 {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let now = Self::now(launcher);
            same = if now == counts { same + 1 } else { 0 };
            counts = now;
        }
        counts
    }

    fn now(launcher: u32) -> Self {
        let entries = |path: String| fs::read_dir(path).unwrap().count();
        let lines = |path: String| fs::read_to_string(path).unwrap().lines().count();
        let own = std::process::id();
        Self {
            fds: entries(format!("/proc/{own}/fd")),
            launchers_fds: entries(format!("/proc/{launcher}/fd")),
            processes: below(own).len(),
            mounts: lines(format!("/proc/{own}/mountinfo")),
            launchers_mounts: lines(format!("/proc/{launcher}/mountinfo")),
            groups: groups(own).len(),
        }
    }
}

/// Pid of the launcher, the only process below ours while no plugin is loaded.
fn launcher() -> u32 {
    let below: Vec<_> = below(std::process::id()).into_iter().collect();
    let [launcher] = below[..] else {
        panic!("not the launcher alone: {below:?}")
    };
    launcher.pid
}

/// Groups that were removed and that the kernel still keeps: below our own group in the
/// unified tree, and in each v1 hierarchy, where all of the host's are counted together.
fn dying_groups() -> Vec<(String, u64)> {
    let mut found = Vec::new();
    for group in groups(std::process::id()) {
        let stat = fs::read_to_string(group.join("cgroup.stat")).unwrap_or_default();
        let dying = stat
            .lines()
            .find_map(|line| line.strip_prefix("nr_dying_descendants "));
        if let Some(dying) = dying {
            found.push((group.display().to_string(), dying.parse().unwrap()));
        }
    }
    if Path::new("/sys/fs/cgroup/memory").exists() {
        let table = fs::read_to_string("/proc/cgroups").unwrap();
        for line in table.lines().skip(1) {
            let fields: Vec<_> = line.split_whitespace().collect();
            found.push((fields[0].to_owned(), fields[2].parse().unwrap()));
        }
    }
    found
}

/// Waits until no count is above what it was; what is, if it takes too long.
async fn settled(before: &[(String, u64)]) -> Option<Vec<(String, u64)>> {
    let end = Instant::now() + PATIENCE;
    loop {
        let now = dying_groups();
        let more = now.iter().zip(before).any(|(now, before)| now.1 > before.1);
        if !more {
            return None;
        }
        if Instant::now() > end {
            return Some(now);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Bytes of anonymous memory of a process.
fn anonymous(pid: u32) -> i64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = line.unwrap().trim().trim_end_matches(" kB");
    kib.parse::<i64>().unwrap() * 1024
}
