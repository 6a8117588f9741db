//! The policy file as written, before it is resolved for each plugin.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::RangeInclusive;

use sandbox::report::{Control, Demands};
use serde::{Deserialize, Deserializer, de};

use super::grants::GrantSettings;
use super::resources::ResourceSettings;
use super::restart::RestartSettings;
use super::seccomp::SeccompSettings;
use super::violations::{HistorySettings, ViolationSettings};
use super::{PolicyRules, RuleError};
use crate::limits::LimitSettings;
use crate::manifest::{AbsolutePath, PluginId};
use crate::units::TimeSpan;

/// The policy file as written.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Document {
    pub(super) library_dirs: Vec<AbsolutePath>,
    pub(super) limits: LimitSettings,
    pub(super) grants: GrantSettings,
    pub(super) violations: ViolationSettings,
    pub(super) restart: RestartSettings,
    pub(super) resources: ResourceSettings,
    pub(super) seccomp: SeccompSettings,
    pub(super) confinement: ConfinementSettings,
    pub(super) monitor: Monitor,
    pub(super) load: Load,
    pub(super) call: Call,
    pub(super) history: HistorySettings,
    pub(super) plugin: BTreeMap<PluginId, PluginSettings>,
}

/// What can be said of all plugins and of one.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct PluginSettings {
    pub(super) limits: LimitSettings,
    pub(super) grants: GrantSettings,
    pub(super) violations: ViolationSettings,
    pub(super) restart: RestartSettings,
    pub(super) resources: ResourceSettings,
    pub(super) seccomp: SeccompSettings,
    pub(super) confinement: ConfinementSettings,
}

#[derive(Clone, Default, Deserialize)]
#[serde(try_from = "ConfinementTable")]
pub(super) struct ConfinementSettings {
    require: Option<BTreeSet<Control>>,
    allow_degraded: Option<BTreeSet<Control>>,
}

/// The table as written, which may contradict itself.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ConfinementTable {
    require: Option<BTreeSet<Control>>,
    allow_degraded: Option<BTreeSet<Control>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Monitor {
    #[serde(deserialize_with = "poll_interval")]
    pub(super) interval: TimeSpan,
    #[serde(deserialize_with = "poll_interval")]
    pub(super) attest: TimeSpan,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Load {
    #[serde(deserialize_with = "deadline")]
    pub(super) deadline: TimeSpan,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Call {
    #[serde(deserialize_with = "deadline")]
    pub(super) deadline: TimeSpan,
    #[serde(deserialize_with = "deadline")]
    pub(super) grace: TimeSpan,
}

impl Default for Monitor {
    fn default() -> Self {
        Self {
            interval: TimeSpan::secs(10),
            attest: TimeSpan::secs(60),
        }
    }
}

impl Default for Load {
    fn default() -> Self {
        Self {
            deadline: TimeSpan::secs(10),
        }
    }
}

impl Default for Call {
    fn default() -> Self {
        Self {
            deadline: TimeSpan::secs(30),
            grace: TimeSpan::millis(250),
        }
    }
}

impl Document {
    /// What is said of all plugins.
    pub(super) fn everywhere(&self) -> PluginSettings {
        PluginSettings {
            limits: self.limits.clone(),
            grants: self.grants.clone(),
            violations: self.violations.clone(),
            restart: self.restart.clone(),
            resources: self.resources.clone(),
            seccomp: self.seccomp.clone(),
            confinement: self.confinement.clone(),
        }
    }
}

impl PluginSettings {
    /// `base` with these settings laid over it.
    pub(super) fn applied_to(&self, base: &PolicyRules) -> Result<PolicyRules, RuleError> {
        Ok(PolicyRules {
            limits: base.limits.with(&self.limits)?,
            grants: self.grants.applied_to(&base.grants)?,
            // A profile is read from a file, where the policy's place is known.
            seccomp: base.seccomp.clone(),
            violations: self.violations.applied_to(&base.violations),
            restart: self.restart.applied_to(base.restart)?,
            resources: self.resources.applied_to(base.resources),
            demands: self.confinement.applied_to(&base.demands),
        })
    }
}

impl TryFrom<ConfinementTable> for ConfinementSettings {
    type Error = String;

    fn try_from(table: ConfinementTable) -> Result<Self, String> {
        let ConfinementTable {
            require,
            allow_degraded,
        } = table;
        if let (Some(require), Some(allowed)) = (&require, &allow_degraded)
            && let Some(both) = require.intersection(allowed).next()
        {
            return Err(format!("{both} is both in require and in allow_degraded"));
        }
        Ok(Self {
            require,
            allow_degraded,
        })
    }
}

impl ConfinementSettings {
    /// Where base and settings contradict each other, the settings hold.
    fn applied_to(&self, base: &Demands) -> Demands {
        let mut demands = base.clone();
        if let Some(require) = &self.require {
            demands
                .allow_degraded
                .retain(|control| !require.contains(control));
            demands.required.clone_from(require);
        }
        if let Some(allowed) = &self.allow_degraded {
            demands
                .required
                .retain(|control| !allowed.contains(control));
            demands.allow_degraded.clone_from(allowed);
        }
        demands
    }
}

pub(super) fn poll_interval<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<TimeSpan, D::Error> {
    time_between(
        deserializer,
        TimeSpan::millis(100),
        TimeSpan::secs(24 * 3600),
    )
}

fn deadline<'de, D: Deserializer<'de>>(deserializer: D) -> Result<TimeSpan, D::Error> {
    time_between(deserializer, TimeSpan::millis(1), TimeSpan::secs(3600))
}

/// A value of this range.
pub(super) fn within<T: PartialOrd + fmt::Display, E: de::Error>(
    value: T,
    range: RangeInclusive<T>,
) -> Result<T, E> {
    if range.contains(&value) {
        return Ok(value);
    }
    let (least, most) = range.into_inner();
    Err(E::custom(format!(
        "{value} is out of range, it must be from {least} to {most}"
    )))
}

pub(super) fn time_between<'de, D: Deserializer<'de>>(
    deserializer: D,
    least: TimeSpan,
    most: TimeSpan,
) -> Result<TimeSpan, D::Error> {
    within(TimeSpan::deserialize(deserializer)?, least..=most)
}
