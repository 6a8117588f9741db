//! The kinds of violations.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::Severity;
use crate::document::printable;
use crate::limits::LimitName;

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

impl Kind {
    /// How grave it is. What the plugin gets nothing from but trouble is counted; what no honest
    /// plugin does isolates it; passing the soft tier of log, messages and denials is only noise.
    pub fn severity(&self) -> Severity {
        match self {
            Self::Limit {
                resource:
                    LimitName::CpuShare | LimitName::Log | LimitName::Messages | LimitName::Denials,
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

impl Class {
    /// All but the limits.
    const OTHERS: [Self; 6] = [
        Self::Syscall,
        Self::Connect,
        Self::Deadline,
        Self::OomKill,
        Self::Protocol,
        Self::Confinement,
    ];

    /// Its name; of a limit, the limit's.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Limit(name) => name.as_str(),
            Self::Syscall => "denied-syscall",
            Self::Connect => "denied-connect",
            Self::Deadline => "deadline",
            Self::OomKill => "oom-kill",
            Self::Protocol => "protocol",
            Self::Confinement => "confinement",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for Class {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Class {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let limits = LimitName::ALL.iter().map(|name| Self::Limit(*name));
        let mut known = limits.chain(Self::OTHERS);
        let class = known.find(|class| class.as_str() == text);
        class.ok_or_else(|| de::Error::custom(format!("{text:?} is no kind of violation")))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    fn limit(resource: LimitName, tier: Tier) -> Kind {
        Kind::Limit { resource, tier }
    }

    #[test]
    fn a_class_is_known_by_its_name() {
        let limits = LimitName::ALL.iter().map(|name| Class::Limit(*name));
        for class in limits.chain(Class::OTHERS) {
            let json = serde_json::to_string(&class).unwrap();
            assert_eq!(serde_json::from_str::<Class>(&json).unwrap(), class);
        }
        serde_json::from_str::<Class>("\"sloth\"").unwrap_err();
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
        }
    }
}
