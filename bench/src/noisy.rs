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

/// A neighbour that is neither unmounted nor stopped for its CPU time: what is measured is
/// the worst that limits and filter leave it, for as long as a turn lasts.
const POLICY: &str = r#"
[call]
deadline = "60s"
grace = "10ms"
[plugin.vandal]
limits = { cpu = "60s" }
violations = { auto_unmount = false, log_violations = false }
"#;

/// Deeds of the vandal with their parameters, done again and again.
const DEEDS: [(&str, &str, &str); 5] = [
    ("spin", "30", "spinning"),
    ("allocate", "40", "taking 40 MiB again and again"),
    ("fork-bomb", "200", "trying to fork, refused"),
    ("connect-host", "22", "trying to connect, refused"),
    ("print", "", "printing"),
];

/// Calls in each half of a turn.
const CALLS: usize = 2000;
/// Time for the neighbour to get going, and for what is left of it to be torn down.
const SETTLING: Duration = Duration::from_millis(50);

/// Medians over all turns of what was seen in each.
#[derive(Default)]
struct Latencies {
    p50: Vec<f64>,
    p99: Vec<f64>,
}

impl Latencies {
    fn push(&mut self, turn: &Samples) {
        self.p50.push(turn.median());
        self.p99.push(turn.percentile(99));
    }

    fn medians(self) -> [(&'static str, f64); 2] {
        let median = |values: Vec<f64>| Samples::from_iter(values).median();
        [("p50", median(self.p50)), ("p99", median(self.p99))]
    }
}

struct Bench<'a> {
    runtime: &'a Runtime,
    supervisor: &'a Supervisor,
    quiet: PluginId,
    vandal: PluginId,
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
        vandal: runtime.block_on(supervisor.load(&built.plugin("vandal")))?,
    };
    runtime.block_on(supervisor.unload(&bench.vandal))?;
    let mut rows = Vec::new();
    let places = other.map(|core| ("on another core", core));
    for (place, core) in places.into_iter().chain([("on the same core", near)]) {
        for (deed, data, what) in DEEDS {
            let (mut alone, mut beside) = (Latencies::default(), Latencies::default());
            for _ in 0..runs {
                thread::sleep(SETTLING);
                alone.push(&bench.calls()?);
                beside.push(&bench.beside(deed, data, core)?);
            }
            let percentiles = alone.medians().into_iter().zip(beside.medians());
            rows.extend(percentiles.map(|((percentile, alone), (_, beside))| {
                let what = format!("{percentile} beside a plugin {what}, {place}");
                Row::against(alone, "noisy", what, beside)
            }));
        }
    }
    let title = format!(
        "noisy: 64 B calls, medians of {runs} pairs of {CALLS}; caller, I/O thread and worker on \
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

    fn beside(&self, deed: &str, data: &str, core: usize) -> Result<Samples> {
        block_on(self.supervisor.reload(&self.vandal))?;
        let worker = self.supervisor.worker(&self.vandal);
        pin_process(worker.ok_or("the neighbour is gone")?.pid(), core)?;
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let rage = scope.spawn(|| {
                pin_this_thread(core).map_err(|error| error.to_string())?;
                self.rage(deed, data, &stop)
                    .map_err(|error| error.to_string())
            });
            thread::sleep(SETTLING);
            let samples = self.calls();
            stop.store(true, Ordering::Relaxed);
            // Ends a deed that would take longer.
            let unloaded = block_on(self.supervisor.unload(&self.vandal));
            rage.join()
                .map_err(|_| "the neighbour's thread panicked")??;
            unloaded?;
            samples
        })
    }

    /// Has the vandal do its deed again and again until told to stop.
    fn rage(
        &self,
        deed: &str,
        data: &str,
        stop: &AtomicBool,
    ) -> std::result::Result<(), CallError> {
        let call = Call {
            method: deed,
            payload: data.as_bytes(),
            ..Call::default()
        };
        while !stop.load(Ordering::Relaxed) {
            match block_on(self.supervisor.call(&self.vandal, call)) {
                // The unloading cut it short.
                Err(_) if stop.load(Ordering::Relaxed) => {}
                result => drop(result?),
            }
        }
        Ok(())
    }
}
