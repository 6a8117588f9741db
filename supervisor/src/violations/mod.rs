//! Violations: what a plugin did that it wasn't granted, how grave that is, what follows, and
//! when it is enough.

mod denial;
mod kind;
mod level;
mod response;
mod rules;
mod tracker;

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize, Serializer};

pub use denial::{Answer, Denial, Frame};
pub use kind::{Class, Kind, Tier};
pub use response::{Action, Actions, Responses};
pub use rules::ViolationRules;
pub use tracker::{MAX_RECORDS, Tracker, Verdict};

use crate::document::printable;
use crate::limits::Amount;
use crate::manifest::PluginId;

/// The most calls that one violation names.
const MAX_CALLS: usize = 32;

/// One violation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// Whose.
    pub plugin: PluginId,
    /// What happened.
    #[serde(flatten)]
    pub kind: Kind,
    /// How grave it is.
    pub severity: Severity,
    /// How much was used, where something is counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub used: Option<Amount>,
    /// How much was allowed, where something is counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<Amount>,
    /// When it was seen; serialized in milliseconds since 1970.
    #[serde(rename = "when_ms", serialize_with = "unix_millis")]
    pub when: SystemTime,
    /// The calls in flight, at most 32 of them.
    pub calls: Vec<u64>,
    /// How often the like of it followed without being looked at; counted, and not kept.
    #[serde(skip_serializing_if = "is_zero")]
    pub repeated: u64,
    /// What was seen, one line: arguments, files, addresses. May quote the plugin.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub evidence: String,
    /// Of a denied system call, what was seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub denial: Option<Box<Denial>>,
    /// The rule that would have allowed it, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed_by: Option<String>,
}

/// How grave a violation is, the least first. What follows from each is policy's to say, see
/// [`Responses`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Noise.
    Low,
    /// What the plugin gets nothing from.
    Medium,
    /// A bound had to stop it.
    High,
    /// What no honest plugin does.
    Critical,
}

impl Violation {
    /// A violation without figures, calls and evidence. Its severity follows from its kind.
    pub fn new(plugin: PluginId, kind: Kind, when: SystemTime) -> Self {
        Self {
            plugin,
            severity: kind.severity(),
            kind,
            used: None,
            limit: None,
            when,
            calls: Vec::new(),
            repeated: 0,
            evidence: String::new(),
            denial: None,
            allowed_by: None,
        }
    }

    /// Adds how much was used, where that is known, and allowed.
    #[must_use]
    pub fn measured(mut self, used: impl Into<Option<Amount>>, limit: Amount) -> Self {
        (self.used, self.limit) = (used.into(), Some(limit));
        self
    }

    /// Adds the calls in flight, the first 32.
    #[must_use]
    pub fn during(mut self, calls: impl IntoIterator<Item = u64>) -> Self {
        self.calls = calls.into_iter().take(MAX_CALLS).collect();
        self
    }

    /// Adds what was seen, escaped and cut.
    #[must_use]
    pub fn seen(mut self, evidence: &str) -> Self {
        self.evidence = printable(evidence);
        self
    }

    /// Adds what was seen of a denied system call.
    #[must_use]
    pub fn denial(mut self, denial: Denial) -> Self {
        if let Kind::DeniedSyscall { syscall, .. } = &self.kind {
            self.evidence = printable(&denial.line(syscall));
        }
        self.denial = Some(Box::new(denial));
        self
    }

    /// Adds the rule that would have allowed it.
    #[must_use]
    pub fn allowed_by(mut self, rule: impl Into<String>) -> Self {
        self.allowed_by = Some(rule.into());
        self
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.plugin, self.severity, self.kind)?;
        if let (Some(used), Some(limit)) = (self.used, self.limit) {
            write!(f, ": {used} used, {limit} allowed")?;
        }
        if !self.evidence.is_empty() {
            write!(f, ": {}", self.evidence)?;
        }
        if self.repeated > 0 {
            write!(f, ", and {} more", self.repeated)?;
        }
        if let Some(rule) = &self.allowed_by {
            write!(f, " (would be allowed by {rule})")?;
        }
        Ok(())
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        })
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Serializes a time in milliseconds since 1970.
///
/// # Errors
/// The serializer's.
pub fn unix_millis<S: Serializer>(when: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    let since = when.duration_since(UNIX_EPOCH).unwrap_or_default();
    serializer.serialize_u64(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use crate::limits::LimitName;
    use crate::units::ByteSize;

    #[test]
    fn as_json_and_as_a_line() {
        let violation = Violation::new(
            "greet".parse().unwrap(),
            Kind::Limit {
                resource: LimitName::Heap,
                tier: Tier::Hard,
            },
            UNIX_EPOCH + std::time::Duration::from_millis(1500),
        )
        .measured(
            Amount::Bytes(ByteSize::mb(70)),
            Amount::Bytes(ByteSize::mb(50)),
        )
        .during([7])
        .seen("a\nb")
        .allowed_by("limits.heap");
        assert_eq!(
            serde_json::to_string(&violation).unwrap(),
            r#"{"plugin":"greet","kind":"limit","resource":"heap","tier":"hard","severity":"high","used":{"unit":"bytes","value":70000000},"limit":{"unit":"bytes","value":50000000},"when_ms":1500,"calls":[7],"evidence":"a\\nb","allowed_by":"limits.heap"}"#
        );
        assert_eq!(
            violation.to_string(),
            "greet: high: heap at its hard limit: 70 MB used, 50 MB allowed: a\\nb (would be allowed by limits.heap)"
        );
    }

    #[test]
    fn hostile_sizes_are_cut() {
        let violation = Violation::new("greet".parse().unwrap(), Kind::Protocol, UNIX_EPOCH)
            .during(0..1_000_000)
            .seen(&"x".repeat(1_000_000));
        assert_eq!(violation.calls.len(), MAX_CALLS);
        assert!(violation.evidence.len() < 1_000);
    }
}
