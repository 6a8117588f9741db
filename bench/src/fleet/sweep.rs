//! P10: what reading every worker takes, by how many there are.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Instant;

use cordon_supervisor::Supervisor;
use cordon_supervisor::worker::Worker;
use sandbox::cgroup::{Controller, Kind, Layout};

use super::charged;
use crate::Result;
use crate::report::{Row, Section};
use crate::statistics::Samples;

/// Highest ratio of a worker's reading to three `pread`s.
const READING: f64 = 4.0;
/// Microseconds of a core that 1,000 plugins may take each second.
const A_PERCENT: f64 = 10_000.0;
/// Microseconds that one attestation may take.
const ATTESTATION: f64 = 150.0;

/// Workers, spread over all, whose files the floor keeps open: the supervisor is this process
/// too, and its limit on open files is the host's.
const OPEN: usize = 50;

/// Readings at each stage.
#[derive(Default)]
pub(super) struct Sweeps(Vec<Stage>);

/// Microseconds for each of so many workers.
struct Stage {
    workers: usize,
    floor: f64,
    sweep: f64,
    attestation: f64,
}

impl Sweeps {
    pub(super) fn measure(
        &mut self,
        supervisor: &Supervisor,
        workers: &[Arc<Worker>],
        runs: usize,
    ) -> Result<()> {
        let read_alone = workers.iter().step_by(workers.len().div_ceil(OPEN));
        let files: Vec<[File; 3]> = read_alone
            .map(|worker| counters(worker.pid()))
            .collect::<Result<_>>()?;
        let (mut floor, mut sweep, mut attestation) =
            (Samples::default(), Samples::default(), Samples::default());
        let count = u32::try_from(workers.len())?;
        for _ in 0..runs {
            let started = Instant::now();
            read(&files)?;
            floor.push(started.elapsed() / u32::try_from(files.len())?);
            let started = Instant::now();
            supervisor.audit();
            sweep.push(started.elapsed() / count);
            let started = Instant::now();
            for worker in workers {
                worker.attest()?;
            }
            attestation.push(started.elapsed() / count);
        }
        self.0.push(Stage {
            workers: workers.len(),
            floor: floor.median(),
            sweep: sweep.median(),
            attestation: attestation.median(),
        });
        Ok(())
    }

    pub(super) fn section(&self, runs: usize) -> Section {
        let mut rows = Vec::new();
        for stage in &self.0 {
            let what = format!("a sweep, each of {} plugins", stage.workers);
            rows.push(Row::against(stage.floor, "P10", what, stage.sweep).goal(READING));
        }
        // The one alone has its files in the processor's caches.
        if let [_, first, .., last] = &self.0[..] {
            let all = last.sweep * last.workers as f64;
            let what = format!("a sweep of {} plugins, of 1 % of a second", last.workers);
            rows.push(Row::against(A_PERCENT, "P10", what, all).goal(1.0));
            let what = format!(
                "slope: each of {} against each of {}",
                last.workers, first.workers
            );
            rows.push(Row::against(first.sweep, "P10", what, last.sweep));
        }
        for stage in &self.0 {
            let what = format!("an attestation, each of {} plugins", stage.workers);
            rows.push(Row::against(ATTESTATION, "P10", what, stage.attestation).goal(1.0));
        }
        let notes = vec![
            format!(
                "floor of a sweep: three kept-open cgroup files each, by pread, of up to {OPEN} plugins"
            ),
            format!("floor of an attestation: the {ATTESTATION} us that it may take"),
        ];
        let title = format!("fleet: watching, medians of {runs}");
        Section { title, rows, notes }
    }
}

/// Memory, tasks and CPU time of a worker's groups.
fn counters(pid: u32) -> Result<[File; 3]> {
    let (memory, cpu) = match Layout::detect()?.kind() {
        Kind::V2 => ("memory.current", "cpu.stat"),
        Kind::Hybrid => ("memory.usage_in_bytes", "cpu.stat"),
        Kind::V1 => ("memory.usage_in_bytes", "cpuacct.usage"),
    };
    let files = [
        (Some(Controller::Memory), memory),
        (Some(Controller::Pids), "pids.current"),
        (None, cpu),
    ];
    let open = |(controller, file)| -> Result<File> {
        Ok(File::open(charged::group(pid, controller)?.join(file))?)
    };
    let [first, second, third] = files.map(open);
    Ok([first?, second?, third?])
}

fn read(files: &[[File; 3]]) -> Result<()> {
    let mut buffer = [0; 4096];
    for file in files.iter().flatten() {
        file.read_at(&mut buffer, 0)?;
    }
    Ok(())
}
