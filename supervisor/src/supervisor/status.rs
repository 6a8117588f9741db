//! How a plugin is, as a value for tables and programs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sandbox::report::{Finding, Report};
use serde::Serialize;

use super::Entry;
use crate::filters::FilterMode;
use crate::lifecycle::State;
use crate::limits::Limits;
use crate::manifest::PluginId;
use crate::metrics::millis;
use crate::output::Line;
use crate::package::Package;
use crate::plugin::{Counters, Record};
use crate::trust::{Digest, Trust};
use crate::usage::Reading;
use crate::violations::{Actions, Violation};
use crate::worker::Worker;

/// One plugin at one moment.
#[derive(Debug, Clone, Serialize)]
pub struct PluginStatus {
    /// Its id.
    pub id: PluginId,
    /// Its version.
    pub version: String,
    /// Where it was read from.
    #[serde(serialize_with = "lossy")]
    pub path: PathBuf,
    /// SHA3-512 of what was read.
    pub digest: Digest,
    /// How far its origin is known.
    pub trust: Trust,
    /// Its state, with the reason where it has one.
    #[serde(flatten)]
    pub state: State,
    /// What was counted over all its workers.
    #[serde(flatten)]
    pub counters: Counters,
    /// Violations that count towards the threshold.
    pub counted: u64,
    /// What its violations restrict it by. That its worker is throttled was read back.
    pub restrictions: Actions,
    /// Violations by kind, with those that don't count.
    pub by_kind: BTreeMap<String, u64>,
    /// The latest violations, oldest first.
    #[serde(skip)]
    pub violations: Vec<Arc<Violation>>,
    /// When policy has it restarted, from now on; only while it has failed.
    #[serde(rename = "restart_in_ms", serialize_with = "millis")]
    pub restart_in: Option<Duration>,
    /// How long its worker has served.
    #[serde(rename = "uptime_ms", serialize_with = "millis")]
    pub uptime: Option<Duration>,
    /// Its worker's usage at the last reading.
    pub usage: Option<Reading>,
    /// The worker's pid, for display.
    pub pid: Option<u32>,
    /// How long the launch of its worker took.
    #[serde(skip)]
    pub launch_time: Option<Duration>,
    /// What was read back of its worker's confinement.
    #[serde(skip)]
    pub report: Option<Report>,
    /// The limits of its worker.
    #[serde(skip)]
    pub limits: Option<Limits>,
    /// The mode of its worker's seccomp filter.
    #[serde(skip)]
    pub mode: Option<FilterMode>,
    /// What of its worker's confinement policy does without, by the operator's explicit word:
    /// controls that are degraded or absent and would else refuse the load.
    pub conceded: Vec<Finding>,
    /// The last lines that it printed or logged, escaped.
    #[serde(skip)]
    pub lines: Vec<Line>,
}

/// An entry of the registry at one moment: what is taken while that is locked.
pub(super) struct Seen {
    state: State,
    record: Arc<Record>,
    package: Arc<Package>,
    worker: Option<Arc<Worker>>,
}

impl Seen {
    pub(super) fn of(entry: &Entry) -> Seen {
        Seen {
            // That of this worker, whatever becomes of it meanwhile.
            state: entry.record.state(),
            record: Arc::clone(&entry.record),
            package: Arc::clone(&entry.package),
            worker: entry.worker.clone(),
        }
    }

    pub(super) fn status(&self) -> PluginStatus {
        let kept = self.record.snapshot();
        let package = &self.package;
        let worker = self.worker.as_deref();
        let due = kept
            .due
            .filter(|_| matches!(self.state, State::Failed { .. }));
        PluginStatus {
            id: package.manifest.id.clone(),
            version: package.manifest.version.to_string(),
            path: package.path.clone(),
            digest: package.sealed.digest(),
            trust: package.trust,
            state: self.state.clone(),
            counters: kept.counters,
            counted: kept.counted,
            restrictions: worker.map_or_else(Actions::default, Worker::restrictions),
            by_kind: kept.by_kind,
            violations: kept.violations,
            restart_in: due.map(|due| due.at.saturating_duration_since(Instant::now())),
            uptime: worker.map(Worker::uptime),
            usage: kept.usage,
            pid: worker.map(Worker::pid),
            launch_time: worker.map(Worker::launch_time),
            report: worker.map(|worker| worker.report().clone()),
            limits: worker.map(|worker| worker.plugin.grants.limits.clone()),
            mode: worker.map(Worker::mode),
            conceded: worker.map_or_else(Vec::new, Worker::conceded),
            lines: kept.lines,
        }
    }
}

/// File names needn't be UTF-8.
fn lossy<S: serde::Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&path.display())
}
