//! What a supervisor leaves on the host while it runs, and must not leave after it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Processes, groups, mounts and sockets, found from outside.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Traces {
    /// The processes below it: launcher, inits, workers.
    pub processes: BTreeSet<Process>,
    /// Its cgroups in every hierarchy.
    pub groups: BTreeSet<PathBuf>,
    /// All mounts of the host.
    pub mounts: BTreeSet<String>,
    /// Inodes of the unix sockets that it or a process below it holds.
    pub sockets: BTreeSet<u64>,
}

/// A process, told from a later one that has its pid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Process {
    /// Its pid.
    pub pid: u32,
    /// When it started, in clock ticks since boot.
    pub started: u64,
}

impl Traces {
    /// Those of the supervisor that runs in the process `pid`.
    ///
    /// # Panics
    /// When `/proc` can't be read.
    #[must_use]
    pub fn of(pid: u32) -> Self {
        let processes = below(pid);
        let holders = processes.iter().map(|process| process.pid).chain([pid]);
        Self {
            groups: groups(pid),
            mounts: lines("/proc/self/mountinfo"),
            sockets: holders.flat_map(sockets).collect(),
            processes,
        }
    }

    /// What of them is still there, but for processes that only wait to be reaped.
    /// `before` are the host's traces from before the supervisor started.
    #[must_use]
    pub fn left(&self, before: &Traces) -> Traces {
        let open = fs::read_to_string("/proc/net/unix").unwrap_or_default();
        let open: BTreeSet<u64> = open
            .lines()
            .filter_map(|line| line.split_whitespace().nth(6)?.parse().ok())
            .collect();
        let alive = |process: &&Process| Process::of(process.pid) == Some(**process);
        Traces {
            processes: self.processes.iter().filter(alive).copied().collect(),
            groups: self.groups.iter().filter(|g| g.exists()).cloned().collect(),
            mounts: &lines("/proc/self/mountinfo") - &before.mounts,
            sockets: &self.sockets & &open,
        }
    }
}

impl Process {
    /// The process that has this pid now, unless it is dead.
    #[must_use]
    pub fn of(pid: u32) -> Option<Self> {
        let stat = stat(pid)?;
        let dead = matches!(stat.first()?.as_str(), "Z" | "X");
        let started = stat.get(19)?.parse().ok()?;
        (!dead).then_some(Self { pid, started })
    }
}

/// The fields of `/proc/PID/stat` from the third on, see proc_pid_stat(5).
fn stat(pid: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second, its name, may hold anything.
    let (_, rest) = text.rsplit_once(") ")?;
    Some(rest.split_whitespace().map(str::to_owned).collect())
}

/// The living processes below `pid`.
///
/// # Panics
/// When `/proc` can't be read.
#[must_use]
pub fn below(pid: u32) -> BTreeSet<Process> {
    let listed = fs::read_dir("/proc").unwrap_or_else(|error| panic!("/proc: {error}"));
    let pids = listed.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let parents: Vec<(u32, u32)> = pids
        .filter_map(|pid| Some((pid, stat(pid)?.get(1)?.parse().ok()?)))
        .collect();
    let mut found = vec![pid];
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        found.extend(
            parents
                .iter()
                .filter(|(_, of)| *of == parent)
                .map(|(pid, _)| pid),
        );
        next += 1;
    }
    found[1..]
        .iter()
        .filter_map(|pid| Process::of(*pid))
        .collect()
}

/// The cgroups of the supervisors in the process `pid`, in every hierarchy.
#[must_use]
pub fn groups(pid: u32) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for line in lines("/proc/self/mountinfo") {
        let cgroup = line.contains(" - cgroup ") || line.contains(" - cgroup2 ");
        let Some(mount) = line.split(' ').nth(4).filter(|_| cgroup) else {
            continue;
        };
        let shared = crate::setting::cgroup_parent(Path::new(mount)).join("cordon");
        let own = format!("{pid}-");
        for group in folders(&shared) {
            let name = group.file_name().unwrap_or_default().to_string_lossy();
            if name.starts_with(&own) {
                found.extend(folders(&group));
                found.insert(group);
            }
        }
    }
    found
}

fn folders(path: &Path) -> Vec<PathBuf> {
    // A group may go while it is looked at.
    let entries = fs::read_dir(path).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    paths.filter(|path| path.is_dir()).collect()
}

fn sockets(pid: u32) -> Vec<u64> {
    let links = fs::read_dir(format!("/proc/{pid}/fd"))
        .into_iter()
        .flatten();
    let targets = links.filter_map(|link| fs::read_link(link.ok()?.path()).ok());
    targets
        .filter_map(|target| {
            let inode = target
                .to_str()?
                .strip_prefix("socket:[")?
                .strip_suffix(']')?;
            inode.parse().ok()
        })
        .collect()
}

fn lines(file: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{file}: {error}"));
    text.lines().map(str::to_owned).collect()
}
