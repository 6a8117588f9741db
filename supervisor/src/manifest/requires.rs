//! What a plugin asks to reach.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::names::{AbsolutePath, EnvName};
use crate::units::ByteSize;

/// The `[requires]` table. Absent means not needed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Requires {
    /// Files and folders of the host.
    pub files: Vec<FileAccess>,
    /// Size of a private `/tmp`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tmp: Option<ByteSize>,
    /// Network.
    pub net: Net,
    /// Environment variables of the host to be seen.
    pub env: BTreeSet<EnvName>,
    /// Starting processes of its own.
    pub processes: bool,
    /// Making memory executable.
    pub jit: bool,
    /// Capabilities over its own network namespace.
    pub capabilities: BTreeSet<Capability>,
}

/// Access to one file or folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileAccess {
    /// The file or folder on the host.
    pub path: AbsolutePath,
    /// What may be done with it.
    pub access: Access,
}

/// What may be done with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// Read only.
    Read,
    /// Read and write, never execute.
    Write,
}

/// How much network a plugin has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Net {
    /// An empty network namespace of its own.
    #[default]
    Isolated,
    /// A list of hosts, ports and networks.
    Restricted,
    /// All that the host has.
    Full,
}

/// The capabilities that can be granted at all, with power over the worker's own network namespace
/// only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Capability {
    /// `CAP_NET_BIND_SERVICE`: ports below 1024.
    NetBindService,
    /// `CAP_NET_RAW`: raw sockets.
    NetRaw,
}

impl fmt::Display for FileAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.access, self.path)
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Read => "read",
            Self::Write => "write",
        })
    }
}

impl fmt::Display for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Isolated => "isolated",
            Self::Restricted => "restricted",
            Self::Full => "full",
        })
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::NetBindService => "NET_BIND_SERVICE",
            Self::NetRaw => "NET_RAW",
        })
    }
}
