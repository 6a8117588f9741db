//! How a plugin is, as a value for tables and programs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
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
use crate::plugin::Counters;
use crate::trust::{Digest, Trust};
use crate::usage::Reading;
use crate::violations::{Actions, Violation};

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
    pub violations: Vec<Violation>,
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

impl PluginStatus {
    pub(super) fn of(entry: &Entry) -> PluginStatus {
        let mut kept = entry.record.snapshot();
        let counted = kept.tracker.counted(Instant::now());
        let worker = entry.worker.as_deref();
        let by_kind = kept
            .tracker
            .by_class()
            .iter()
            .map(|(class, n)| (class.to_string(), *n));
        PluginStatus {
            id: entry.package.manifest.id.clone(),
            version: entry.package.manifest.version.to_string(),
            path: entry.package.path.clone(),
            digest: entry.package.sealed.digest(),
            trust: entry.package.trust,
            state: kept.state,
            counters: kept.counters,
            counted,
            restrictions: worker.map_or_else(Actions::default, crate::worker::Worker::restrictions),
            by_kind: by_kind.collect(),
            violations: kept.tracker.recent().cloned().collect(),
            restart_in: kept
                .due
                .map(|due| due.at.saturating_duration_since(Instant::now())),
            uptime: worker.map(crate::worker::Worker::uptime),
            usage: kept.usage,
            pid: worker.map(crate::worker::Worker::pid),
            launch_time: worker.map(crate::worker::Worker::launch_time),
            report: worker.map(|worker| worker.report().clone()),
            limits: worker.map(|worker| worker.plugin.grants.limits.clone()),
            mode: worker.map(crate::worker::Worker::mode),
            conceded: worker.map_or_else(Vec::new, crate::worker::Worker::conceded),
            lines: kept.lines,
        }
    }
}

/// File names needn't be UTF-8.
fn lossy<S: serde::Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&path.display())
}
