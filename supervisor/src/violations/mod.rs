//! Violations: what a plugin did that it wasn't granted, how grave that is, and when it is enough.

mod denial;
mod tracker;

use std::borrow::Cow;
use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Serialize, Serializer};

pub use denial::{Answer, Denial, Frame};
pub use tracker::{MAX_RECORDS, Tracker, Verdict};

use crate::document::printable;
use crate::limits::{Amount, LimitName};
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

/// What a plugin did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Kind {
    /// It used more of something than a tier of its limit.
    Limit {
        /// Of what.
        resource: LimitName,
        /// Which tier was passed.
        tier: Tier,
    },
    /// It made a system call that its profile denies.
    DeniedSyscall {
        /// The call's name.
        syscall: Cow<'static, str>,
        /// Whether the call belongs to those that no honest plugin makes.
        dangerous: bool,
    },
    /// It connected to where it has no grant for.
    DeniedConnect {
        /// The address.
        address: String,
    },
    /// A call went on past its deadline and cancellation.
    Deadline,
    /// The kernel killed it for its memory.
    OomKill,
    /// It sent what the protocol doesn't allow.
    Protocol,
    /// Its confinement is no longer what it was.
    Confinement,
}

/// A tier of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    /// Above it violations are counted.
    Declared,
    /// At it the plugin is stopped.
    Hard,
}

/// How grave a violation is, the least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Logged.
    Low,
    /// Logged and counted.
    Medium,
    /// Logged and counted; the plugin is restricted.
    High,
    /// Logged and counted; the plugin is isolated at once.
    Critical,
}

/// The kind of a violation without its particulars, to count by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// A limit was passed.
    Limit(LimitName),
    /// A denied system call.
    Syscall,
    /// A denied connection.
    Connect,
    /// A call past its deadline.
    Deadline,
    /// Killed for its memory.
    OomKill,
    /// A breach of the protocol.
    Protocol,
    /// Confinement lost.
    Confinement,
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

    /// Adds how much was used and allowed.
    #[must_use]
    pub fn measured(mut self, used: Amount, limit: Amount) -> Self {
        (self.used, self.limit) = (Some(used), Some(limit));
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

impl Kind {
    /// How grave it is. What the plugin gets nothing from but trouble is counted; what no honest
    /// plugin does isolates it; passing the soft tier of log, messages and denials is only noise.
    pub fn severity(&self) -> Severity {
        match self {
            Self::Limit {
                resource: LimitName::Log | LimitName::Messages | LimitName::Denials,
                tier: Tier::Declared,
            } => Severity::Low,
            Self::Limit {
                resource: LimitName::Denials,
                tier: Tier::Hard,
            } => Severity::Critical,
            Self::Limit {
                resource: LimitName::Log | LimitName::Messages,
                tier: Tier::Hard,
            }
            | Self::Limit {
                tier: Tier::Declared,
                ..
            }
            | Self::DeniedSyscall {
                dangerous: false, ..
            }
            | Self::DeniedConnect { .. } => Severity::Medium,
            Self::Limit {
                tier: Tier::Hard, ..
            }
            | Self::Deadline
            | Self::OomKill => Severity::High,
            Self::DeniedSyscall {
                dangerous: true, ..
            }
            | Self::Protocol
            | Self::Confinement => Severity::Critical,
        }
    }

    /// What to count it by.
    pub fn class(&self) -> Class {
        match self {
            Self::Limit { resource, .. } => Class::Limit(*resource),
            Self::DeniedSyscall { .. } => Class::Syscall,
            Self::DeniedConnect { .. } => Class::Connect,
            Self::Deadline => Class::Deadline,
            Self::OomKill => Class::OomKill,
            Self::Protocol => Class::Protocol,
            Self::Confinement => Class::Confinement,
        }
    }
}

impl Severity {
    /// Whether it counts towards the threshold.
    pub fn counts(self) -> bool {
        self > Self::Low
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

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Limit {
                resource,
                tier: Tier::Declared,
            } => write!(f, "{resource} above its declared limit"),
            Self::Limit {
                resource,
                tier: Tier::Hard,
            } => write!(f, "{resource} at its hard limit"),
            Self::DeniedSyscall { syscall, .. } => {
                write!(f, "denied system call {}", printable(syscall))
            }
            Self::DeniedConnect { address } => {
                write!(f, "denied connection to {}", printable(address))
            }
            Self::Deadline => f.write_str("call past its deadline"),
            Self::OomKill => f.write_str("killed by the kernel for its memory"),
            Self::Protocol => f.write_str("breach of the protocol"),
            Self::Confinement => f.write_str("confinement changed"),
        }
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

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Limit(name) => name.as_str(),
            Self::Syscall => "denied-syscall",
            Self::Connect => "denied-connect",
            Self::Deadline => "deadline",
            Self::OomKill => "oom-kill",
            Self::Protocol => "protocol",
            Self::Confinement => "confinement",
        })
    }
}

impl Serialize for Class {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

fn unix_millis<S: Serializer>(when: &SystemTime, serializer: S) -> Result<S::Ok, S::Error> {
    let since = when.duration_since(UNIX_EPOCH).unwrap_or_default();
    serializer.serialize_u64(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use crate::units::ByteSize;

    fn limit(resource: LimitName, tier: Tier) -> Kind {
        Kind::Limit { resource, tier }
    }

    #[test]
    fn severities() {
        for (kind, severity) in [
            (limit(LimitName::Log, Tier::Declared), Severity::Low),
            (limit(LimitName::Log, Tier::Hard), Severity::Medium),
            (limit(LimitName::Heap, Tier::Declared), Severity::Medium),
            (limit(LimitName::Heap, Tier::Hard), Severity::High),
            (
                Kind::DeniedSyscall {
                    syscall: "socket".into(),
                    dangerous: false,
                },
                Severity::Medium,
            ),
            (
                Kind::DeniedSyscall {
                    syscall: "ptrace".into(),
                    dangerous: true,
                },
                Severity::Critical,
            ),
            (
                Kind::DeniedConnect {
                    address: "10.0.0.1:80".into(),
                },
                Severity::Medium,
            ),
            (Kind::Deadline, Severity::High),
            (Kind::OomKill, Severity::High),
            (Kind::Protocol, Severity::Critical),
            (Kind::Confinement, Severity::Critical),
        ] {
            assert_eq!(kind.severity(), severity, "{kind}");
            assert_eq!(kind.severity().counts(), severity != Severity::Low);
        }
    }

    #[test]
    fn as_json_and_as_a_line() {
        let violation = Violation::new(
            "greet".parse().unwrap(),
            limit(LimitName::Heap, Tier::Hard),
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
