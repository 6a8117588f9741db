//! What a plugin asks to reach.

use std::collections::BTreeSet;
use std::fmt;
use std::num::NonZeroU16;

use sandbox::policy;
use serde::{Deserialize, Deserializer, Serialize};

use super::names::{AbsolutePath, EnvName};
use super::scheduling::{Nice, Realtime};
use crate::document;
use crate::units::ByteSize;

/// The `[requires]` table. Absent means not needed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Requires {
    /// Files and folders, each path once.
    #[serde(deserialize_with = "files")]
    pub files: Vec<FileAccess>,
    /// Size of a private `/tmp`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tmp: Option<ByteSize>,
    /// Network.
    pub net: Net,
    /// TCP ports in that network.
    pub tcp: TcpPorts,
    /// Environment variables of the host to be seen.
    pub env: BTreeSet<EnvName>,
    /// Starting processes of its own.
    pub processes: bool,
    /// Making memory executable.
    pub jit: bool,
    /// Capabilities over its own network namespace.
    pub capabilities: BTreeSet<Capability>,
    /// Memory to be locked, `mlock(2)`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub locked_memory: Option<ByteSize>,
    /// The lowest nice value to be set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nice: Option<Nice>,
    /// The highest real-time priority to be set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub realtime: Option<Realtime>,
}

/// Access to one file or folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileAccess {
    /// Where the plugin sees the file or folder; where that is on the host says policy.
    pub path: AbsolutePath,
    /// What may be done with it.
    pub access: Access,
}

/// What may be done with a file. Never executing it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// Read only.
    Read,
    /// Read and write.
    Write,
    /// Read and write; what is written vanishes with the worker.
    Overlay,
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

/// TCP ports, each list exact.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TcpPorts {
    /// To listen on.
    pub bind: BTreeSet<NonZeroU16>,
    /// To connect to, of any host that can be reached.
    pub connect: BTreeSet<NonZeroU16>,
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

impl Requires {
    /// What is asked for, a line for each thing: the field, and what it asks.
    pub fn lines(&self) -> Vec<(&'static str, String)> {
        let mut lines = Vec::new();
        let mut add = |field, asked: &dyn fmt::Display| lines.push((field, asked.to_string()));
        self.files.iter().for_each(|file| add("files", file));
        self.tmp.iter().for_each(|size| add("tmp", size));
        if self.net != Net::Isolated {
            add("net", &self.net);
        }
        self.tcp.bind.iter().for_each(|port| add("tcp.bind", port));
        let connect = self.tcp.connect.iter();
        connect.for_each(|port| add("tcp.connect", port));
        self.env.iter().for_each(|name| add("env", name));
        if self.processes {
            add("processes", &true);
        }
        if self.jit {
            add("jit", &true);
        }
        let capabilities = self.capabilities.iter();
        capabilities.for_each(|capability| add("capabilities", capability));
        let locked = self.locked_memory.iter();
        locked.for_each(|size| add("locked_memory", size));
        self.nice.iter().for_each(|nice| add("nice", nice));
        let realtime = self.realtime.iter();
        realtime.for_each(|priority| add("realtime", priority));
        lines
    }
}

/// Reads files, each path once.
fn files<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<FileAccess>, D::Error> {
    document::distinct(deserializer, |file: &FileAccess| &file.path)
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
            Self::Overlay => "overlay",
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

impl From<Capability> for policy::Capability {
    fn from(capability: Capability) -> Self {
        match capability {
            Capability::NetBindService => Self::NetBindService,
            Capability::NetRaw => Self::NetRaw,
        }
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
