//! P10, P11, P13: a thousand plugins at a time.
//!
//! They are copies of one file with a manifest beside each: ids of their own, and one image.

mod charged;
mod sweep;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use cordon_supervisor::manifest::PluginId;
use cordon_supervisor::worker::Worker;
use cordon_supervisor::{Call, Supervisor};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use crate::pinning::{cores, pin_process, pin_this_thread, pin_thread};
use crate::report::{Row, Section};
use crate::statistics::Samples;
use crate::{Built, Result};
pub(crate) use charged::group;
use charged::{Charged, Idle, elsewhere, resident};
use sweep::Sweeps;

/// How many plugins there are at each stage; the rest of it is measured at the last.
const STAGES: [usize; 4] = [125, 250, 500, 1000];
/// Loads under way at a time.
const TOGETHER: usize = 16;
/// Loads one after another, to be told from those that share what a launch waits for.
const ALONE: usize = 25;
/// Calls in each turn.
const CALLS: usize = 500;
/// Time for the scheduler to forget the load that making and removing workers was, and for what
/// the kernel frees later.
const SETTLING: Duration = Duration::from_secs(3);
/// What 1,000 plugins of one image may take in all, in KiB.
const BUDGET: f64 = 0.6e9 / 1024.0;
/// Highest ratios of an idle worker's memory, and of a call's latency.
const MEMORY: f64 = 1.5;
const LATENCY: f64 = 1.1;

pub(crate) fn run(built: &Built, runs: usize) -> Result<Vec<Section>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let copies = Copies::of(&built.plugin("copied"))?;
    let supervisor = runtime.block_on(Supervisor::builder().start())?;
    let mut fleet = Fleet {
        runtime: &runtime,
        supervisor: Arc::new(supervisor),
        copies,
        plugins: Vec::new(),
    };
    // The first one is charged the page cache of its file, which the second shares.
    drop(Idle::start(&built.idle(), &built.plugin("copied"))?);
    // Its counts are read with the workers', when the kernel has summed them up.
    let idle = Idle::start(&built.idle(), &built.plugin("copied"))?;
    let mut loads = Loads::default();
    fleet.load_one(&mut Samples::default())?;
    fleet.pin()?;
    let before = Took::now()?;
    let mut latency = Latency::default();
    latency.alone(&fleet, runs)?;
    let mut sweeps = Sweeps::default();
    sweeps.measure(&fleet.supervisor, &fleet.workers()?, runs)?;
    for stage in STAGES {
        fleet.grow(stage, &mut loads)?;
        sweeps.measure(&fleet.supervisor, &fleet.workers()?, runs)?;
    }
    thread::sleep(SETTLING);
    latency.crowded(&fleet, runs)?;
    let memory = fleet.memory(idle.charged()?, &before)?;
    fleet.shrink(&mut loads)?;
    thread::sleep(SETTLING);
    latency.alone(&fleet, runs)?;
    Ok(vec![
        memory,
        sweeps.section(runs),
        latency.section(runs),
        loads.section(),
    ])
}

/// Files with equal bytes and manifests of their own.
struct Copies {
    folder: TempDir,
    plugin: PathBuf,
}

impl Copies {
    fn of(plugin: &Path) -> Result<Copies> {
        let folder = TempDir::new()?;
        let plugin = plugin.to_owned();
        Ok(Copies { folder, plugin })
    }

    fn make(&self, number: usize) -> Result<PathBuf> {
        let id = format!("copy-{number}");
        let manifest =
            format!("id = \"{id}\"\nversion = \"1.0.0\"\nabi = \"1.0\"\nmethods = [\"echo\"]\n");
        fs::write(self.folder.path().join(format!("{id}.toml")), manifest)?;
        let file = self.folder.path().join(format!("lib{id}.so"));
        fs::copy(&self.plugin, &file)?;
        Ok(file)
    }
}

struct Fleet<'a> {
    runtime: &'a Runtime,
    supervisor: Arc<Supervisor>,
    copies: Copies,
    /// The first one is called.
    plugins: Vec<PluginId>,
}

impl Fleet<'_> {
    /// Calls go between threads of one core, as in the benchmark of calls: left to the
    /// scheduler, they vary with where it puts them.
    fn pin(&self) -> Result<()> {
        let core = *cores()?.first().ok_or("no core to run on")?;
        pin_this_thread(core)?;
        pin_thread("cordon-io", core)?;
        self.workers()?
            .iter()
            .try_for_each(|worker| pin_process(worker.pid(), core))
    }

    fn load_one(&mut self, took: &mut Samples) -> Result<()> {
        let file = self.copies.make(self.plugins.len())?;
        let started = Instant::now();
        let plugin = self.runtime.block_on(self.supervisor.load(&file))?;
        took.push(started.elapsed());
        self.plugins.push(plugin);
        Ok(())
    }

    /// Loads until there are `count`.
    fn grow(&mut self, count: usize, loads: &mut Loads) -> Result<()> {
        for _ in 0..ALONE {
            self.load_one(&mut loads.alone)?;
        }
        let files: Vec<PathBuf> = (self.plugins.len()..count)
            .map(|number| self.copies.make(number))
            .collect::<Result<_>>()?;
        let (started, added) = (Instant::now(), files.len());
        let mut files = files.into_iter();
        let mut under_way = JoinSet::new();
        let supervisor = &self.supervisor;
        let loaded = self.runtime.block_on(async {
            let mut loaded = Vec::new();
            loop {
                while under_way.len() < TOGETHER
                    && let Some(file) = files.next()
                {
                    let supervisor = Arc::clone(supervisor);
                    under_way.spawn(async move { supervisor.load(&file).await });
                }
                match under_way.join_next().await {
                    Some(plugin) => loaded.push(plugin??),
                    None => return Ok::<_, Box<dyn std::error::Error>>(loaded),
                }
            }
        })?;
        self.plugins.extend(loaded);
        loads.together.add(started.elapsed(), added);
        Ok(())
    }

    /// Unloads all but the first.
    fn shrink(&mut self, loads: &mut Loads) -> Result<()> {
        let supervisor = &self.supervisor;
        let plugins = self.plugins.split_off(1);
        let (started, count) = (Instant::now(), plugins.len());
        self.runtime.block_on(async {
            let mut under_way = JoinSet::new();
            for plugin in plugins {
                let supervisor = Arc::clone(supervisor);
                under_way.spawn(async move { supervisor.unload(&plugin).await });
            }
            while let Some(unloaded) = under_way.join_next().await {
                unloaded??;
            }
            Ok::<_, Box<dyn std::error::Error>>(())
        })?;
        loads.unloads.add(started.elapsed(), count);
        Ok(())
    }

    fn workers(&self) -> Result<Vec<Arc<Worker>>> {
        let worker = |plugin| {
            let gone = || format!("the worker of {plugin} is gone");
            self.supervisor.worker(plugin).ok_or_else(gone)
        };
        let workers = self.plugins.iter().map(worker);
        Ok(workers.collect::<std::result::Result<_, String>>()?)
    }

    fn calls(&self, samples: &mut Samples) -> Result<()> {
        let call = Call {
            method: "echo",
            payload: &[7; 64],
            ..Call::default()
        };
        let first = self.plugins.first().ok_or("nothing is loaded")?;
        self.runtime.block_on(async {
            for _ in 0..CALLS {
                let started = Instant::now();
                self.supervisor.call(first, call).await?;
                samples.push(started.elapsed());
            }
            Ok(())
        })
    }

    fn memory(&self, idle: f64, before: &Took) -> Result<Section> {
        let workers = self.workers()?;
        let of_worker = |worker: &Arc<Worker>| Charged::to_group_of(worker.pid());
        let each: Vec<Charged> = workers.iter().map(of_worker).collect::<Result<_>>()?;
        let mut grown = Took::now()?.less(before);
        grown.elsewhere -= each.iter().map(|one| one.counted_twice).sum::<f64>();
        let all: f64 = each.iter().map(|one| one.all).sum();
        let total = all + grown.supervisor + grown.launcher + grown.elsewhere;
        let median = Samples::from_iter(each.iter().map(|one| one.all)).median();
        let what = "an idle worker and its init, charged to its group";
        let row = |what: &str, kib: f64| Row::alone("P11", what, kib);
        let rows = vec![
            Row::against(idle, "P11", what, median).goal(MEMORY),
            row("all workers, charged to their groups", all),
            row(
                "supervisor, resident beyond what one plugin takes",
                grown.supervisor,
            ),
            row("launcher, likewise", grown.launcher),
            row(
                "elsewhere: namespaces, mounts, groups, sealed files",
                grown.elsewhere,
            ),
            Row::against(BUDGET, "P11", "all of it, against 0.6 GB", total).goal(1.0),
        ];
        let notes = vec![
            "floor: a dynamic Rust program that maps the same plugin and waits".into(),
            "elsewhere: what the whole host's slabs, stacks, tables and files in memory grew by, less \
             what groups were charged of them; what else runs shows in it"
                .into(),
        ];
        Ok(Section {
            title: format!("fleet: memory of {} plugins of one image", workers.len()),
            rows: rows.into_iter().map(|row| row.unit("KiB")).collect(),
            notes,
        })
    }
}

/// What the fleet takes besides what its groups are charged, in KiB.
struct Took {
    supervisor: f64,
    launcher: f64,
    elsewhere: f64,
}

impl Took {
    fn now() -> Result<Took> {
        let own = std::process::id();
        let launcher = charged::child_of(own, "cordon-launcher")?;
        Ok(Took {
            supervisor: resident(own)?,
            launcher: resident(launcher)?,
            elsewhere: elsewhere()?,
        })
    }

    fn less(&self, before: &Took) -> Took {
        Took {
            supervisor: self.supervisor - before.supervisor,
            launcher: self.launcher - before.launcher,
            elsewhere: self.elsewhere - before.elsewhere,
        }
    }
}

/// Calls of one plugin, with it alone and with all loaded.
#[derive(Default)]
struct Latency {
    alone: Samples,
    crowded: Samples,
}

impl Latency {
    fn alone(&mut self, fleet: &Fleet<'_>, runs: usize) -> Result<()> {
        fleet.calls(&mut Samples::default())?;
        (0..runs).try_for_each(|_| fleet.calls(&mut self.alone))
    }

    fn crowded(&mut self, fleet: &Fleet<'_>, runs: usize) -> Result<()> {
        fleet.calls(&mut Samples::default())?;
        (0..runs).try_for_each(|_| fleet.calls(&mut self.crowded))
    }

    fn section(&self, runs: usize) -> Section {
        let row = |percentile: usize| {
            let what = format!("p{percentile} of a 64 B call, 1,000 plugins loaded");
            let (floor, ours) = [&self.alone, &self.crowded]
                .map(|s| s.percentile(percentile))
                .into();
            Row::against(floor, "P13", what, ours)
        };
        Section {
            title: format!("fleet: calls of one plugin, {runs} turns of {CALLS}"),
            rows: vec![row(50).goal(LATENCY), row(99)],
            notes: vec!["floor: the same with 1 loaded, before and after".into()],
        }
    }
}

/// What loading takes, each.
#[derive(Default)]
struct Loads {
    alone: Samples,
    together: Rate,
    unloads: Rate,
}

/// A time for many.
#[derive(Default)]
struct Rate {
    took: Duration,
    count: usize,
}

impl Rate {
    fn add(&mut self, took: Duration, count: usize) {
        self.took += took;
        self.count += count;
    }

    fn each(&self) -> f64 {
        self.took.as_secs_f64() * 1e6 / self.count.max(1) as f64
    }
}

impl Loads {
    fn section(&self) -> Section {
        let alone = self.alone.median();
        let row = |what: String, ours| Row::against(alone, "load", what, ours);
        let rate = |each: f64| format!("{:.0} a second", 1e6 / each);
        let (together, unload) = (self.together.each(), self.unloads.each());
        Section {
            title: "fleet: loads and unloads, each".into(),
            rows: vec![
                row(format!("one after another, {}", rate(alone)), alone),
                row(
                    format!("{TOGETHER} under way, {}", rate(together)),
                    together,
                ),
                row(format!("unloads, all at once, {}", rate(unload)), unload),
            ],
            notes: vec!["floor: loads one after another".into()],
        }
    }
}
