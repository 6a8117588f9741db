//! Metrics of plugins: counted as things happen, and put together when somebody asks.

mod histogram;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use serde::{Serialize, Serializer};

pub(crate) use histogram::Histogram;
pub use histogram::Latency;

use crate::lifecycle::State;
use crate::manifest::PluginId;
use crate::plugin::Counters;
use crate::usage::Reading;
use crate::violations::{Class, unix_millis};

/// All plugins at one moment.
#[derive(Debug, Clone, Serialize)]
pub struct Metrics {
    /// When; serialized in milliseconds since 1970.
    #[serde(rename = "when_ms", serialize_with = "unix_millis")]
    pub when: SystemTime,
    /// Every plugin that was ever loaded, by id.
    pub plugins: Vec<PluginMetrics>,
}

/// One plugin at one moment.
#[derive(Debug, Clone, Serialize)]
pub struct PluginMetrics {
    /// Its id.
    pub id: PluginId,
    /// Its state, with the reason where it has one.
    #[serde(flatten)]
    pub state: State,
    /// What was counted over all its workers.
    #[serde(flatten)]
    pub counters: Counters,
    /// Violations that count towards the threshold now.
    pub counted: u64,
    /// Violations by kind, with those that don't count.
    pub by_kind: BTreeMap<Class, u64>,
    /// What its worker took at the last reading.
    pub usage: Option<Reading>,
    /// How long its worker has served; serialized in milliseconds.
    #[serde(rename = "uptime_ms", serialize_with = "millis")]
    pub uptime: Option<Duration>,
}

impl Metrics {
    pub(crate) fn now(plugins: impl IntoIterator<Item = PluginMetrics>) -> Metrics {
        Metrics {
            when: SystemTime::now(),
            plugins: plugins.into_iter().collect(),
        }
    }
}

/// What calls count, without a lock: it lies on their way.
#[derive(Debug, Default)]
pub(crate) struct Meters {
    errors: AtomicU64,
    latency: Histogram,
}

impl Meters {
    /// A call that was answered, whatever the answer.
    pub(crate) fn answered(&self, took: Duration) {
        self.latency.record(took);
    }

    /// A call that brought its caller no result.
    pub(crate) fn failed(&self) {
        self.errors.fetch_add(1, Ordering::Relaxed);
    }

    /// Adds what was counted.
    pub(crate) fn add_to(&self, counters: Counters) -> Counters {
        let (calls, latency) = self.latency.summary();
        Counters {
            calls,
            errors: self.errors.load(Ordering::Relaxed),
            latency,
            ..counters
        }
    }
}

/// As whole milliseconds, or nothing.
pub(crate) fn millis<S: Serializer>(
    time: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let millis = time.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
    millis.serialize(serializer)
}
