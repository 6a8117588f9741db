//! P1, P3: from the request for a worker to its first reply, with nothing made ahead.

use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use cordon_supervisor::manifest::PluginId;
use cordon_supervisor::worker::Worker;
use cordon_supervisor::{Call, Supervisor};
use sandbox::cgroup::{Kind, Layout};
use sandbox::launch::Step;
use sandbox::steps::now;
use tempfile::TempDir;

use crate::peers::{self, Peer};
use crate::report::{Row, Section};
use crate::stages::{self, Stages};
use crate::statistics::Samples;
use crate::{Built, Result, floors};

/// The highest ratio of a launch to the start of a static program.
const GOAL: f64 = 27.0;

/// Turns that don't count: caches are cold, and the first image is built.
const WARM_UP: usize = 3;
/// Every so many turns bytes are loaded that nobody has seen before.
const NEW_BYTES: usize = 5;
/// Between two measurements: what one leaves behind to be torn down (namespaces, groups)
/// isn't billed to the next.
const PAUSE: Duration = Duration::from_millis(20);

const FIRST_CALL: Call<'static> = Call {
    method: "compress",
    payload: b"a text to compress",
    deadline: None,
    tenant: "",
    user: "",
};

/// All samples of one run.
#[derive(Default)]
struct Measured {
    floor: Samples,
    grace: Samples,
    total: Samples,
    /// The total without the stage that joins v1 groups.
    without_v1: Samples,
    new_bytes: Samples,
    stages: Stages,
    peers: Vec<Samples>,
}

pub(crate) fn run(built: &Built, runs: usize) -> Result<Vec<Section>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let scratch = TempDir::new()?;
    let (mut peers, absent) = peers::find(&built.exit(), scratch.path())?;
    let v1 = Layout::detect()?.kind() != Kind::V2;
    let measured = runtime.block_on(measure(built, runs, &mut peers, scratch.path()))?;
    Ok(measured.sections(runs, v1, &peers, absent))
}

async fn measure(
    built: &Built,
    runs: usize,
    peers: &mut [Peer],
    scratch: &Path,
) -> Result<Measured> {
    let supervisor = Supervisor::builder().start().await?;
    // An id belongs to one file: new bytes come as its new contents.
    let file = scratch.join("libdeflate.so");
    let bytes = fs::read(built.plugin("deflate"))?;
    fs::write(&file, &bytes)?;
    let plugin = supervisor.load(&file).await?;
    supervisor.unload(&plugin).await?;
    let mut measured = Measured::default();
    for turn in 0..WARM_UP + runs {
        if turn == WARM_UP {
            measured = Measured::default();
        }
        measured.floors(built, peers)?;
        measured.reload(&supervisor, &plugin).await?;
        if turn >= WARM_UP && (turn - WARM_UP).is_multiple_of(NEW_BYTES) {
            // What follows the last section belongs to no part of an ELF file.
            fs::write(&file, [&bytes[..], &turn.to_le_bytes()].concat())?;
            measured.load_new(&supervisor, &file).await?;
        }
    }
    Ok(measured)
}

impl Measured {
    fn floors(&mut self, built: &Built, peers: &mut [Peer]) -> Result<()> {
        sleep(PAUSE);
        self.floor.push(floors::spawn_and_wait(&built.exit())?);
        sleep(PAUSE);
        self.grace.push(floors::grace_period()?);
        self.peers.resize_with(peers.len(), Samples::default);
        for (peer, samples) in peers.iter_mut().zip(&mut self.peers) {
            sleep(PAUSE);
            samples.push(peer.run()?);
        }
        Ok(())
    }

    async fn reload(&mut self, supervisor: &Supervisor, plugin: &PluginId) -> Result<()> {
        sleep(PAUSE);
        let begin = now();
        supervisor.reload(plugin).await?;
        supervisor.call(plugin, FIRST_CALL).await?;
        let end = now();
        let worker = supervisor.worker(plugin).ok_or("the worker is gone")?;
        let total = Duration::from_nanos(end - begin);
        self.total.push(total);
        self.without_v1.push(total - joining(&worker));
        self.stages.add(stages::of_launch(begin, &worker, end));
        supervisor.unload(plugin).await?;
        Ok(())
    }

    /// The same plugin in other bytes, which are read, hashed, sealed, and made an image.
    async fn load_new(&mut self, supervisor: &Supervisor, file: &Path) -> Result<()> {
        sleep(PAUSE);
        let begin = now();
        let plugin = supervisor.load(file).await?;
        supervisor.call(&plugin, FIRST_CALL).await?;
        self.new_bytes.push(Duration::from_nanos(now() - begin));
        supervisor.unload(&plugin).await?;
        Ok(())
    }
}

/// What joining the limit groups took, on v1 a grace period; nothing on v2.
fn joining(worker: &Worker) -> Duration {
    let stages = worker.stages();
    let of = |(before, stage): (&sandbox::launch::Stage, &sandbox::launch::Stage)| {
        (stage.step == Step::CgroupAttach).then(|| stage.at.saturating_sub(before.at))
    };
    let took = stages.iter().zip(stages.iter().skip(1)).find_map(of);
    Duration::from_nanos(took.unwrap_or_default())
}

impl Measured {
    fn sections(&self, runs: usize, v1: bool, peers: &[Peer], absent: Vec<String>) -> Vec<Section> {
        let (floor, grace) = (self.floor.median(), self.grace.median());
        let floors = "floor: vfork and exec of a static program";
        let mut notes = vec![format!("{floors}; a grace period takes {grace:.0} us")];
        notes.extend(absent);
        let mut rows = self.goals(floor, grace, v1);
        rows.extend(self.against_peers(peers, v1));
        let title = format!("launch: medians of {runs}, not pinned, {PAUSE:?} between any two");
        let launches = Section { title, rows, notes };
        let stages = Section {
            title: "launch by stage: floor is the whole, ratio the share of it".into(),
            rows: self.stages.rows(self.total.median()),
            notes: Vec::new(),
        };
        vec![launches, stages]
    }

    fn goals(&self, floor: f64, grace: f64, v1: bool) -> Vec<Row> {
        let row = |id, what, ours: &Samples| Row::against(floor, id, what, ours.median());
        let (bare, what) = self.bare(v1);
        let mut rows = vec![row("P1", what, bare).goal(GOAL)];
        if v1 {
            let what = "cold load to first reply, v1 groups, one alone";
            rows.push(row("P1v1", what, &self.total).goal(GOAL + grace / floor));
        }
        let what = "first load of new bytes to first reply";
        rows.push(row("P1", what, &self.new_bytes));
        rows
    }

    fn against_peers(&self, peers: &[Peer], v1: bool) -> Vec<Row> {
        let ours = self.bare(v1).0.median();
        let row = |(peer, samples): (&Peer, &Samples)| {
            let what = format!("P1 against {} with a static program", peer.name);
            let row = Row::against(samples.median(), "P3", what, ours);
            match peer.goal {
                Some(goal) => row.goal(goal),
                None => row,
            }
        };
        peers.iter().zip(&self.peers).map(row).collect()
    }

    /// P1 is about v2, where a process is born into its group. On v1 the nearest to that
    /// is to leave the joining out.
    fn bare(&self, v1: bool) -> (&Samples, &'static str) {
        if v1 {
            (
                &self.without_v1,
                "cold load to first reply, joining v1 groups left out",
            )
        } else {
            (&self.total, "cold load to first reply, nothing pooled")
        }
    }
}
