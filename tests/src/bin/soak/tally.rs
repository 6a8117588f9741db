//! What was there before, and what is there after.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use cordon_tests::traces::below;

use crate::Result;
use crate::host::Rest;
use crate::round::Stage;

/// How much more memory a supervisor without workers may have at its end than at its start: what
/// its allocator keeps, and for each plugin the latest lines and violations, with their evidence.
const GROWTH: u64 = 4 << 20;
const KEPT: u64 = 512 << 10;
/// How long the kernel may take to free what nobody uses any more.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(200);
const REST: u32 = 10;

/// Kinds of namespaces, as in `/proc/PID/ns`.
const NAMESPACES: [&str; 7] = ["cgroup", "ipc", "mnt", "net", "pid", "user", "uts"];
/// Slabs of the kernel's that hold one object for each.
const SLABS: [&str; 3] = ["net_namespace", "mnt_cache", "pid_namespace"];

/// Counts of the host, by name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Host(BTreeMap<String, u64>);

impl Host {
    pub(crate) fn now(stage: &Stage) -> Result<Host> {
        let mut counts = BTreeMap::new();
        let mut count = |what: &str, number: u64| counts.insert(what.to_owned(), number);
        count("processes below", below(std::process::id()).len() as u64);
        count("mounts", lines("/proc/self/mountinfo")?);
        count("own file descriptors", entries(Path::new("/proc/self/fd"))?);
        count("temporary files", entries(&stage.tmp())?);
        count(
            "files of state, undocumented",
            undocumented(&stage.state(), "")?,
        );
        count("named sockets", named_sockets()?);
        for (kind, number) in NAMESPACES.iter().zip(namespaces()?) {
            count(&format!("namespaces of the host: {kind}"), number);
        }
        for (controller, number) in groups()? {
            count(&format!("groups of the host: {controller}"), number);
        }
        Ok(Host(counts))
    }

    /// The lowest of each count within two seconds: what just ended is gone by then.
    pub(crate) fn at_rest(stage: &Stage) -> Result<Host> {
        let mut least = Host::now(stage)?;
        for _ in 0..REST {
            std::thread::sleep(LOOK);
            least.lower_to(Host::now(stage)?);
        }
        Ok(least)
    }

    fn lower_to(&mut self, other: Host) {
        for (what, number) in other.0 {
            let lowest = self.0.entry(what).or_insert(number);
            *lowest = number.min(*lowest);
        }
    }

    /// What is above that of `before`.
    fn above(&self, before: &Host) -> BTreeSet<String> {
        let more = |name: &&String| self.0.get(*name) > before.0.get(*name);
        self.0.keys().filter(more).cloned().collect()
    }
}

/// All rounds together.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    killed: u64,
    ended: u64,
    left: (usize, usize),
    done: BTreeMap<String, u64>,
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    what: String,
    before: u64,
    after: u64,
    back: bool,
}

impl Tally {
    pub(crate) fn killed(&mut self) {
        self.killed += 1;
    }

    /// A supervisor ended in peace.
    pub(crate) fn ended(
        &mut self,
        plugins: usize,
        begun: &Rest,
        ended: &Rest,
        done: BTreeMap<String, u64>,
    ) {
        self.ended += 1;
        for (what, times) in done {
            *self.done.entry(what).or_default() += times;
        }
        let count = |of: fn(&Rest) -> usize| [begun, ended].map(|rest| of(rest) as u64);
        let [before, after] = count(|rest| rest.fds);
        self.row("supervisor's file descriptors", before, after, 0);
        let [before, after] = count(|rest| rest.launchers_fds);
        self.row("launcher's file descriptors", before, after, 0);
        let [before, after] = count(|rest| rest.processes);
        self.row("supervisor's processes", before, after, 0);
        self.row(
            "supervisor's memory, bytes",
            begun.memory,
            ended.memory,
            GROWTH + KEPT * plugins as u64,
        );
        let (before, after) = (begun.launchers_memory, ended.launchers_memory);
        self.row("launcher's memory, bytes", before, after, GROWTH);
    }

    /// Processes and groups that outlived their supervisor for too long.
    pub(crate) fn left(&mut self, processes: usize, groups: usize) {
        self.left.0 += processes;
        self.left.1 += groups;
    }

    /// The largest growth of all rounds is what counts.
    fn row(&mut self, what: &str, before: u64, after: u64, growth: u64) {
        let back = after <= before.saturating_add(growth);
        let row = Row {
            what: what.to_owned(),
            before,
            after,
            back,
        };
        match self.rows.iter_mut().find(|known| known.what == what) {
            Some(known) if grown(known) >= grown(&row) => {}
            Some(known) => *known = row,
            None => self.rows.push(row),
        }
    }

    /// Waits until each count was at or below what it was; each counts from when it was lowest.
    pub(crate) fn compare(&mut self, before: &Host, stage: &Stage) -> Result<()> {
        let slabs = slabs()?;
        let end = Instant::now() + PATIENCE;
        let mut least = Host::now(stage)?;
        while !least.above(before).is_empty() && Instant::now() < end {
            std::thread::sleep(LOOK);
            least.lower_to(Host::now(stage)?);
        }
        let (processes, groups) = self.left;
        self.row("processes of ended supervisors", 0, processes as u64, 0);
        self.row("groups of ended supervisors", 0, groups as u64, 0);
        for (what, after) in &least.0 {
            let before = before.0.get(what).copied().unwrap_or(0);
            self.row(what, before, *after, 0);
        }
        for (what, number) in slabs {
            eprintln!("soak: {number} objects of slab {what}, which the whole host shares");
        }
        Ok(())
    }

    pub(crate) fn is_clean(&self) -> bool {
        self.ended > 0 && self.rows.iter().all(|row| row.back)
    }
}

fn grown(row: &Row) -> i128 {
    i128::from(row.after) - i128::from(row.before)
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally { killed, ended, .. } = self;
        writeln!(
            f,
            "{killed} supervisors were killed, {ended} ended in peace, which did:"
        )?;
        for (what, times) in &self.done {
            writeln!(f, "  {times:>7}  {what}")?;
        }
        writeln!(f, "  {:<40} {:>12} {:>12}", "", "before", "after")?;
        for Row {
            what,
            before,
            after,
            back,
        } in &self.rows
        {
            let verdict = if *back { "" } else { "  LEFT BEHIND" };
            writeln!(f, "  {what:<40} {before:>12} {after:>12}{verdict}")?;
        }
        Ok(())
    }
}

fn lines(file: &str) -> Result<u64> {
    Ok(fs::read_to_string(file)?.lines().count() as u64)
}

fn entries(folder: &Path) -> Result<u64> {
    Ok(fs::read_dir(folder)?.count() as u64)
}

/// Files below a folder for state that [`cordon_supervisor::state`] doesn't tell of; `inside` is
/// the folder's path below that.
fn undocumented(folder: &Path, inside: &str) -> Result<u64> {
    let mut found = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let documented = match inside {
            "" => name == "violations.jsonl" || name.starts_with("violations.jsonl."),
            // At most one in a folder, of a writer that was killed.
            _ => name.ends_with(".json") || name == ".new",
        };
        if entry.file_type()?.is_dir() {
            found += undocumented(&entry.path(), &name)?;
        } else if !documented {
            eprintln!("soak: undocumented: {}", entry.path().display());
            found += 1;
        }
    }
    Ok(found)
}

/// Sockets in the file system whose path has our name.
fn named_sockets() -> Result<u64> {
    let table = fs::read_to_string("/proc/net/unix")?;
    let named = table.lines().filter(|line| line.contains("cordon"));
    Ok(named.count() as u64)
}

/// Namespaces that any process is in, as lsns(8) finds them; others may be held by fds or mounts.
fn namespaces() -> Result<[u64; NAMESPACES.len()]> {
    let mut found: [BTreeSet<String>; NAMESPACES.len()] = Default::default();
    for process in fs::read_dir("/proc")? {
        let process = process?.path();
        for (kind, found) in NAMESPACES.iter().zip(&mut found) {
            // Not a process, or one that has ended or isn't ours to look at.
            if let Ok(link) = fs::read_link(process.join("ns").join(kind)) {
                found.insert(link.to_string_lossy().into_owned());
            }
        }
    }
    Ok(found.map(|kind| kind.len() as u64))
}

/// Groups of each hierarchy, with those that were removed and are dying: see cgroups(7).
fn groups() -> Result<Vec<(String, u64)>> {
    let mut found = Vec::new();
    for line in fs::read_to_string("/proc/cgroups")?.lines().skip(1) {
        let fields: Vec<&str> = line.split_whitespace().collect();
        if let [name @ ("memory" | "pids" | "cpu"), _, number, _] = fields[..] {
            found.push((name.to_owned(), number.parse()?));
        }
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    let unified = mounts.lines().find(|line| line.contains(" - cgroup2 "));
    if let Some(mount) = unified.and_then(|line| line.split(' ').nth(4)) {
        let stat = fs::read_to_string(Path::new(mount).join("cgroup.stat"))?;
        for kind in ["nr_descendants", "nr_dying_descendants"] {
            let line = stat
                .lines()
                .find_map(|line| line.strip_prefix(kind)?.strip_prefix(' '));
            found.push((
                format!("unified, {kind}"),
                line.ok_or("cgroup.stat")?.parse()?,
            ));
        }
    }
    Ok(found)
}

/// Objects in use; nothing where only root may look.
fn slabs() -> Result<Vec<(&'static str, u64)>> {
    let table = fs::read_to_string("/proc/slabinfo").unwrap_or_default();
    let of = |line: &str| {
        let mut fields = line.split_whitespace();
        let name = SLABS
            .into_iter()
            .find(|name| Some(*name) == fields.next())?;
        Some((name, fields.next()?.parse().ok()?))
    };
    Ok(table.lines().filter_map(of).collect())
}
