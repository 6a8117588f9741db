//! `[violations]` and `[history]` as written.

use std::num::NonZeroU32;
use std::ops::RangeInclusive;

use serde::{Deserialize, Deserializer, de};

use super::file::{poll_interval, time_between, within};
use crate::history::HistoryRules;
use crate::units::{ByteSize, Percent, TimeSpan};
use crate::violations::{Actions, Responses, ViolationRules};

/// Of one core: no group can be given less (`cpu.max` takes 1 ms in a period of 100 ms at least),
/// and a whole core is what a worker has.
const THROTTLES: RangeInclusive<Percent> = Percent::new(1)..=Percent::new(100);

#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ViolationSettings {
    threshold: Option<NonZeroU32>,
    #[serde(deserialize_with = "forgetting")]
    window: Option<Forgetting>,
    #[serde(deserialize_with = "restricted")]
    restricted: Option<TimeSpan>,
    #[serde(deserialize_with = "forgetting")]
    decay: Option<Forgetting>,
    auto_unmount: Option<bool>,
    log_violations: Option<bool>,
    #[serde(deserialize_with = "throttle")]
    throttle: Option<Percent>,
    #[serde(deserialize_with = "watch")]
    watch: Option<TimeSpan>,
    actions: ActionSettings,
}

#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct ActionSettings {
    low: Option<Actions>,
    medium: Option<Actions>,
    high: Option<Actions>,
    critical: Option<Actions>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct HistorySettings {
    #[serde(deserialize_with = "file_size")]
    size: Option<ByteSize>,
    #[serde(deserialize_with = "file_count")]
    files: Option<u32>,
}

/// After a time, or never.
type Forgetting = Option<TimeSpan>;

impl ViolationSettings {
    /// `base` with these settings laid over it.
    pub(super) fn applied_to(&self, base: &ViolationRules) -> ViolationRules {
        let (actions, before) = (&self.actions, &base.actions);
        ViolationRules {
            threshold: self.threshold.unwrap_or(base.threshold),
            window: self.window.unwrap_or(base.window),
            restricted: self.restricted.unwrap_or(base.restricted),
            decay: self.decay.unwrap_or(base.decay),
            auto_unmount: self.auto_unmount.unwrap_or(base.auto_unmount),
            log_violations: self.log_violations.unwrap_or(base.log_violations),
            actions: Responses {
                low: actions.low.unwrap_or(before.low),
                medium: actions.medium.unwrap_or(before.medium),
                high: actions.high.unwrap_or(before.high),
                critical: actions.critical.unwrap_or(before.critical),
            },
            throttle: self.throttle.unwrap_or(base.throttle),
            watch: self.watch.unwrap_or(base.watch),
        }
    }
}

impl HistorySettings {
    pub(super) fn rules(&self) -> HistoryRules {
        let default = HistoryRules::default();
        HistoryRules {
            size: self.size.unwrap_or(default.size),
            files: self.files.unwrap_or(default.files),
        }
    }
}

fn file_size<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<ByteSize>, D::Error> {
    let size = ByteSize::deserialize(deserializer)?;
    within(size, ByteSize::bytes(64 << 10)..=ByteSize::mib(1024)).map(Some)
}

fn file_count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    within(u32::deserialize(deserializer)?, 2..=100).map(Some)
}

fn forgetting<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Forgetting>, D::Error> {
    let text = String::deserialize(deserializer)?;
    if text == "never" {
        return Ok(Some(None));
    }
    let text = de::value::StringDeserializer::<D::Error>::new(text);
    restricted(text).map(Some)
}

fn restricted<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<TimeSpan>, D::Error> {
    let year = TimeSpan::secs(366 * 24 * 3600);
    time_between(deserializer, TimeSpan::secs(1), year).map(Some)
}

fn throttle<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Percent>, D::Error> {
    within(Percent::deserialize(deserializer)?, THROTTLES).map(Some)
}

fn watch<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<TimeSpan>, D::Error> {
    poll_interval(deserializer).map(Some)
}
