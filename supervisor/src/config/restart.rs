//! `[restart]` as written in the policy file.

use serde::{Deserialize, Deserializer};

use super::RuleError;
use super::file::{time_between, within};
use crate::restart::{RestartRules, When};
use crate::units::TimeSpan;

const DAY: TimeSpan = TimeSpan::secs(24 * 3600);

#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RestartSettings {
    when: Option<When>,
    #[serde(default, deserialize_with = "pause")]
    first: Option<TimeSpan>,
    #[serde(default, deserialize_with = "pause")]
    most: Option<TimeSpan>,
    #[serde(default, deserialize_with = "attempts")]
    attempts: Option<u32>,
    #[serde(default, deserialize_with = "window")]
    window: Option<TimeSpan>,
}

impl RestartSettings {
    /// A first pause alone may be longer than the base's longest, which it raises.
    pub(super) fn applied_to(&self, base: RestartRules) -> Result<RestartRules, RuleError> {
        let first = self.first.unwrap_or(base.first);
        let most = self.most.unwrap_or(base.most.max(first));
        if most < first {
            return Err(RuleError::PausesCrossed { first, most });
        }
        Ok(RestartRules {
            when: self.when.unwrap_or(base.when),
            first,
            most,
            attempts: self.attempts.unwrap_or(base.attempts),
            window: self.window.unwrap_or(base.window),
        })
    }
}

fn pause<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<TimeSpan>, D::Error> {
    time_between(deserializer, TimeSpan::millis(1), DAY).map(Some)
}

fn window<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<TimeSpan>, D::Error> {
    time_between(deserializer, TimeSpan::secs(1), DAY).map(Some)
}

fn attempts<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    within(u32::deserialize(deserializer)?, 1..=1000).map(Some)
}
