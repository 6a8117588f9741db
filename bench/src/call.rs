//! P5, P6: round trips of one call in flight, against a raw socket between two processes.

use std::time::Instant;

use cordon_supervisor::manifest::PluginId;
use cordon_supervisor::{Call, Supervisor};
use tokio::runtime::Runtime;

use crate::blocking::block_on;
use crate::floors::PingPong;
use crate::pinning::{cores, on_core, pin_process};
use crate::report::{Row, Section};
use crate::statistics::Samples;
use crate::{Built, Result};

const SIZES: [(usize, &str); 2] = [(64, "64 B"), (4096, "4 KiB")];
/// Calls, and as many round trips of the floor, in each turn.
const CALLS: usize = 500;
/// Highest ratios: of a blocking call, of an async one on one core and on two.
const BLOCKING: f64 = 1.2;
const ASYNC_ONE_CORE: f64 = 1.5;
const ASYNC_TWO_CORES: f64 = 1.15;

/// Where the far end runs: floor and ours have callers on the first core.
#[derive(Debug, Clone, Copy)]
struct Pinning {
    far: usize,
    name: &'static str,
    goal: f64,
}

pub(crate) fn run(built: &Built, runs: usize) -> Result<Vec<Section>> {
    let cores = cores()?;
    let near = *cores.first().ok_or("no core to run on")?;
    on_core(near, || measure(built, runs, near, cores.get(1).copied()))
}

/// On a pinned thread; the supervisor's I/O thread inherits that.
fn measure(built: &Built, runs: usize, near: usize, other: Option<usize>) -> Result<Vec<Section>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let supervisor = runtime.block_on(Supervisor::builder().start())?;
    let plugin = runtime.block_on(supervisor.load(&built.plugin("echo")))?;
    let mut pinnings = vec![Pinning {
        far: near,
        name: "one core",
        goal: ASYNC_ONE_CORE,
    }];
    pinnings.extend(other.map(|far| Pinning {
        far,
        name: "two cores",
        goal: ASYNC_TWO_CORES,
    }));
    let mut rows = Vec::new();
    for pinning in &pinnings {
        for (size, label) in SIZES {
            let caller = Caller {
                runtime: &runtime,
                supervisor: &supervisor,
                plugin: &plugin,
                payload: vec![7; size],
            };
            rows.extend(caller.compare(*pinning, label, runs)?);
        }
    }
    runtime.block_on(supervisor.unload(&plugin))?;
    let title = format!(
        "call: medians of {runs} turns of {CALLS}; caller and I/O thread on core {near}, \
         far end on the same or on another"
    );
    let notes = vec!["floor: blocking ping-pong over SOCK_STREAM, same size, same pinning".into()];
    Ok(vec![Section { title, rows, notes }])
}

struct Caller<'a> {
    runtime: &'a Runtime,
    supervisor: &'a Supervisor,
    plugin: &'a PluginId,
    payload: Vec<u8>,
}

impl Caller<'_> {
    fn compare(&self, pinning: Pinning, label: &str, runs: usize) -> Result<[Row; 2]> {
        let worker = self
            .supervisor
            .worker(self.plugin)
            .ok_or("the worker is gone")?;
        let mut raw = PingPong::start(self.payload.len())?;
        pin_process(worker.pid(), pinning.far)?;
        pin_process(raw.peer(), pinning.far)?;
        let (mut floor, mut blocking, mut not_blocking) = Default::default();
        self.turn(&mut raw, &mut floor, &mut blocking, &mut not_blocking)?;
        // The first turn warmed caches up.
        (floor, blocking, not_blocking) = Default::default();
        for _ in 0..runs {
            self.turn(&mut raw, &mut floor, &mut blocking, &mut not_blocking)?;
        }
        let floor = floor.median();
        let name = |kind: &str| format!("{kind} call, {label}, {}", pinning.name);
        Ok([
            Row::against(floor, "P5", name("blocking"), blocking.median()).goal(BLOCKING),
            Row::against(floor, "P6", name("async"), not_blocking.median()).goal(pinning.goal),
        ])
    }

    fn turn(
        &self,
        raw: &mut PingPong,
        floor: &mut Samples,
        blocking: &mut Samples,
        not_blocking: &mut Samples,
    ) -> Result<()> {
        for _ in 0..CALLS {
            floor.push(raw.ping()?);
        }
        for _ in 0..CALLS {
            let started = Instant::now();
            block_on(self.call())?;
            blocking.push(started.elapsed());
        }
        self.runtime.block_on(async {
            for _ in 0..CALLS {
                let started = Instant::now();
                self.call().await?;
                not_blocking.push(started.elapsed());
            }
            Ok(())
        })
    }

    async fn call(&self) -> Result<()> {
        let call = Call {
            method: "echo",
            payload: &self.payload,
            ..Call::default()
        };
        let reply = self.supervisor.call(self.plugin, call).await?;
        if reply.len() == self.payload.len() {
            Ok(())
        } else {
            Err("the echo has another length".into())
        }
    }
}
