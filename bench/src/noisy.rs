//! How much slower a plugin's calls get while a hostile neighbour does its worst.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use cordon_supervisor::config::Policy;
use cordon_supervisor::manifest::PluginId;
use cordon_supervisor::{Call, CallError, Supervisor};
use tokio::runtime::Runtime;

use crate::blocking::block_on;
use crate::pinning::{cores, on_core, pin_process, pin_this_thread};
use crate::report::{Row, Section};
use crate::statistics::Samples;
use crate::{Built, Result};

/// A neighbour that is neither unmounted, nor restrained for its violations, nor stopped for what
/// it takes in a minute: what is measured is the worst that its groups and its filter leave it, for
/// as long as a turn lasts.
const POLICY: &str = r#"
[call]
deadline = "60s"
grace = "10ms"
[plugin.noise]
violations = { auto_unmount = false, log_violations = false, actions = { high = ["count"] } }
[plugin.noise.limits]
cpu = "1h"
log = "1GiB"
messages = 100000000
denials = 100000000
"#;

/// What the neighbour takes, again and again.
const NOISES: [(&str, &str); 7] = [
    ("cpu", "spinning"),
    ("memory", "taking 40 MiB again and again"),
    ("threads", "making threads, refused beyond its limit"),
    ("denials", "making denied calls"),
    ("output", "printing"),
    ("log", "logging"),
    ("messages", "emitting events"),
];
/// The highest ratio of a plugin's p99 beside a neighbour to that without.
const GOAL: f64 = 1.5;

/// Calls in each half of a turn.
const CALLS: usize = 2000;
/// Time for the neighbour to get going, and for what is left of it to be torn down.
const SETTLING: Duration = Duration::from_millis(50);

/// A percentile of the calls in each pair, alone and beside the neighbour.
#[derive(Default)]
struct Pairs {
    alone: Vec<f64>,
    ratios: Vec<f64>,
}

impl Pairs {
    fn push(&mut self, alone: f64, beside: f64) {
        self.alone.push(alone);
        self.ratios.push(beside / alone);
    }

    /// The median ratio, as a figure beside the median floor.
    fn row(self, what: String) -> Row {
        let median = |values: Vec<f64>| Samples::from_iter(values).median();
        let floor = median(self.alone);
        Row::against(floor, "noisy", what, floor * median(self.ratios))
    }
}

struct Bench<'a> {
    runtime: &'a Runtime,
    supervisor: &'a Supervisor,
    quiet: PluginId,
    neighbour: PluginId,
}

pub(crate) fn run(built: &Built, runs: usize) -> Result<Vec<Section>> {
    let cores = cores()?;
    let near = *cores.first().ok_or("no core to run on")?;
    // Left to the scheduler, a neighbour changes where the calls run more than how long
    // they take.
    on_core(near, || measure(built, runs, near, cores.get(1).copied()))
}

/// On a pinned thread; the I/O thread and the quiet worker inherit that.
fn measure(built: &Built, runs: usize, near: usize, other: Option<usize>) -> Result<Vec<Section>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let policy = Policy::parse(Path::new("bench"), POLICY)?;
    let supervisor = runtime.block_on(Supervisor::builder().policy(policy).start())?;
    let bench = Bench {
        runtime: &runtime,
        supervisor: &supervisor,
        quiet: runtime.block_on(supervisor.load(&built.plugin("echo")))?,
        neighbour: runtime.block_on(supervisor.load(&built.plugin("noise")))?,
    };
    runtime.block_on(supervisor.unload(&bench.neighbour))?;
    let mut rows = Vec::new();
    let places = other.map(|core| ("on another core", core));
    for (place, core) in places.into_iter().chain([("on the same core", near)]) {
        for (noise, what) in NOISES {
            let (mut p50, mut p99) = (Pairs::default(), Pairs::default());
            for _ in 0..runs {
                thread::sleep(SETTLING);
                let (alone, beside) = (bench.calls()?, bench.beside(noise, core)?);
                p50.push(alone.median(), beside.median());
                p99.push(alone.percentile(99), beside.percentile(99));
            }
            let what = |percentile| format!("{percentile} beside a plugin {what}, {place}");
            rows.extend([p50.row(what("p50")), p99.row(what("p99")).goal(GOAL)]);
        }
    }
    let title = format!(
        "noisy: 64 B calls, median ratios of {runs} pairs of {CALLS}; caller, I/O thread and worker on \
         core {near}, the neighbour and its caller where the row says"
    );
    let notes = vec!["floor: the same calls with the neighbour unloaded".into()];
    Ok(vec![Section { title, rows, notes }])
}

impl Bench<'_> {
    fn calls(&self) -> Result<Samples> {
        let call = Call {
            method: "echo",
            payload: &[7; 64],
            ..Call::default()
        };
        self.runtime.block_on(async {
            let mut samples = Samples::default();
            for _ in 0..CALLS {
                let started = Instant::now();
                self.supervisor.call(&self.quiet, call).await?;
                samples.push(started.elapsed());
            }
            Ok(samples)
        })
    }

    fn beside(&self, noise: &str, core: usize) -> Result<Samples> {
        block_on(self.supervisor.reload(&self.neighbour))?;
        let worker = self.supervisor.worker(&self.neighbour);
        pin_process(worker.ok_or("the neighbour is gone")?.pid(), core)?;
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let rage = scope.spawn(|| {
                pin_this_thread(core).map_err(|error| error.to_string())?;
                self.rage(noise, &stop).map_err(|error| error.to_string())
            });
            thread::sleep(SETTLING);
            let samples = self.calls();
            stop.store(true, Ordering::Relaxed);
            // Ends a deed that would take longer.
            let unloaded = block_on(self.supervisor.unload(&self.neighbour));
            rage.join()
                .map_err(|_| "the neighbour's thread panicked")??;
            unloaded?;
            samples
        })
    }

    /// Has the neighbour make its noise again and again until told to stop.
    fn rage(&self, noise: &str, stop: &AtomicBool) -> std::result::Result<(), CallError> {
        let call = Call {
            method: noise,
            ..Call::default()
        };
        while !stop.load(Ordering::Relaxed) {
            match block_on(self.supervisor.call(&self.neighbour, call)) {
                // The unloading cut it short.
                Err(_) if stop.load(Ordering::Relaxed) => {}
                result => drop(result?),
            }
        }
        Ok(())
    }
}
