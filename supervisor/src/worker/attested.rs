//! A worker that was attested, before its tasks are started.

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Instant;

use sandbox::attest::{Baseline, Expected};
use sandbox::cgroup::Probe;
use sandbox::launch::Stage;
use sandbox::report::Report;
use tokio::sync::{Notify, watch};

use super::Worker;
use super::launch::Request;
use super::process::Process;
use super::usage::Connections;
use crate::mux::{Mux, WorkerDecoder};

/// A process that waits for its first request, with what was found of it.
pub(super) struct Attested {
    pub(super) launch_id: u64,
    pub(super) init: OwnedFd,
    pub(super) stages: Vec<Stage>,
    pub(super) socket: Arc<OwnedFd>,
    pub(super) pidfd: Arc<OwnedFd>,
    pub(super) pid: u32,
    pub(super) probe: Option<Probe>,
    pub(super) process: Process,
    pub(super) connections: Connections,
    pub(super) expected: Expected,
    pub(super) baseline: Baseline,
    pub(super) report: Report,
    pub(super) decoder: WorkerDecoder,
}

impl Attested {
    pub(super) fn into_worker(self, request: Request) -> Worker {
        Worker {
            plugin: request.plugin,
            launcher: request.launcher,
            launch_id: self.launch_id,
            socket: self.socket,
            pidfd: self.pidfd,
            init: self.init,
            pid: self.pid,
            probe: self.probe,
            process: self.process,
            connections: self.connections,
            expected: self.expected,
            baseline: self.baseline,
            attestations: AtomicU64::new(1),
            suspect: Notify::new(),
            filter: request.filter,
            package: request.package,
            serving: AtomicBool::new(false),
            decoder: Mutex::new(self.decoder),
            mux: Mutex::new(Mux::default()),
            cpu: Mutex::default(),
            above: Mutex::default(),
            events: Mutex::default(),
            wake: Notify::new(),
            cause: Mutex::new(None),
            scene: Mutex::new(None),
            desk: request.desk,
            since: Instant::now(),
            isolation: Mutex::new(None),
            restrained: Notify::new(),
            throttled: Mutex::new(false),
            told_unthrottled: Mutex::new(false),
            ended: watch::Sender::new(None),
            times: request.times,
            demands: request.demands,
            report: self.report,
            stages: self.stages,
            timeline: OnceLock::new(),
        }
    }
}
