//! What a plugin may ask for: the `[grants]` table.
//!
//! ```toml
//! [grants]
//! files = [
//!     { path = "/data", source = "/srv/greet" },
//!     { path = "/out", access = "write", delete = false },
//!     { path = "/work", access = "overlay", bytes = "16MiB", inodes = 1024 },
//! ]
//! net = "isolated"                 # or "full": the host's
//! tcp = { bind = [80], connect = [443] }
//! env = ["LANG"]
//! processes = false
//! jit = false
//! capabilities = ["NET_BIND_SERVICE"]
//! locked_memory = "64KiB"
//! nice = -5                        # the lowest nice value
//! realtime = 10                    # the highest real-time priority
//! ```
//!
//! A plugin's own table replaces the fields that it has, each as a whole.

use std::collections::BTreeSet;
use std::fmt;

use sandbox::policy::{FileAccess, Tmpfs};
use serde::{Deserialize, Deserializer, Serialize};
use thiserror::Error;

use crate::document;
use crate::manifest::{AbsolutePath, Access, Capability, EnvName, Net, Nice, Realtime, TcpPorts};
use crate::units::ByteSize;

/// The most that a plugin may ask for. By default that is nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Grantable {
    /// Files and folders. Each covers all that is below it; rules add up, and of several that
    /// cover a path the one with the longest path says where it is on the host.
    pub files: Vec<FileRule>,
    /// Network.
    pub net: Network,
    /// TCP ports.
    pub tcp: TcpPorts,
    /// Environment variables of the host.
    pub env: BTreeSet<EnvName>,
    /// Starting processes.
    pub processes: bool,
    /// Making memory executable.
    pub jit: bool,
    /// Capabilities over the plugin's own network namespace.
    pub capabilities: BTreeSet<Capability>,
    /// Memory to be locked.
    pub locked_memory: ByteSize,
    /// The lowest nice value; none means that it can't be lowered at all.
    pub nice: Option<Nice>,
    /// The highest real-time priority, if any.
    pub realtime: Option<Realtime>,
}

/// A file or folder of the host that plugins may ask for.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "FileSettings")]
pub struct FileRule {
    /// Where plugins see it.
    pub path: AbsolutePath,
    /// Where it is on the host.
    pub source: AbsolutePath,
    /// The most that may be done with it.
    pub access: FileAccess,
}

/// Whose network a plugin may be in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Network {
    /// An empty network namespace of its own.
    #[default]
    Isolated,
    /// The host's.
    Full,
}

/// Grants that can't be made.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum GrantError {
    /// A network that there isn't yet.
    #[error("grants.net: {}", Network::RESTRICTED)]
    Restricted,
    /// Capabilities over the host's network.
    #[error(
        "grants.net, grants.capabilities: full and {0} contradict each other: a capability is \
         granted over a plugin's own network only, and full is the host's"
    )]
    CapabilityOverHost(Capability),
}

/// A rule for a file that makes no sense.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum FileRuleError {
    /// Something that another access has.
    #[error("{path}: {field} goes with access = \"{of}\" only")]
    Misplaced {
        /// Whose rule.
        path: AbsolutePath,
        /// The field.
        field: &'static str,
        /// The access that has it.
        of: Access,
    },
    /// An overlay that nothing fits into.
    #[error("{0}: an overlay needs at least one byte and one inode")]
    Empty(AbsolutePath),
}

/// The `[grants]` table as written. What isn't there is left as it was.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GrantSettings {
    #[serde(default, deserialize_with = "files")]
    files: Option<Vec<FileRule>>,
    net: Option<Net>,
    tcp: Option<TcpPorts>,
    env: Option<BTreeSet<EnvName>>,
    processes: Option<bool>,
    jit: Option<bool>,
    capabilities: Option<BTreeSet<Capability>>,
    locked_memory: Option<ByteSize>,
    nice: Option<Nice>,
    realtime: Option<Realtime>,
}

/// One of `files` as written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileSettings {
    path: AbsolutePath,
    source: Option<AbsolutePath>,
    #[serde(default = "read")]
    access: Access,
    create: Option<bool>,
    delete: Option<bool>,
    bytes: Option<ByteSize>,
    inodes: Option<u64>,
}

impl Network {
    /// What is said to whoever wants something between isolated and full.
    pub const RESTRICTED: &'static str = "\"restricted\" (hosts, ports and networks by list) \
         comes later; until then it is refused, not approximated";
}

impl GrantSettings {
    /// `base` with these settings laid over it.
    pub(super) fn applied_to(&self, base: &Grantable) -> Result<Grantable, GrantError> {
        let or = |set: Option<bool>, base| set.unwrap_or(base);
        let net = match self.net {
            None => base.net,
            Some(Net::Isolated) => Network::Isolated,
            Some(Net::Restricted) => return Err(GrantError::Restricted),
            Some(Net::Full) => Network::Full,
        };
        let merged = Grantable {
            files: self.files.as_ref().unwrap_or(&base.files).clone(),
            net,
            tcp: self.tcp.as_ref().unwrap_or(&base.tcp).clone(),
            env: self.env.as_ref().unwrap_or(&base.env).clone(),
            processes: or(self.processes, base.processes),
            jit: or(self.jit, base.jit),
            capabilities: self
                .capabilities
                .as_ref()
                .unwrap_or(&base.capabilities)
                .clone(),
            locked_memory: self.locked_memory.unwrap_or(base.locked_memory),
            nice: self.nice.or(base.nice),
            realtime: self.realtime.or(base.realtime),
        };
        match merged.capabilities.first() {
            Some(&capability) if merged.net == Network::Full => {
                Err(GrantError::CapabilityOverHost(capability))
            }
            _ => Ok(merged),
        }
    }
}

impl TryFrom<FileSettings> for FileRule {
    type Error = FileRuleError;

    fn try_from(written: FileSettings) -> Result<Self, FileRuleError> {
        let fields = [
            ("create", Access::Write, written.create.is_some()),
            ("delete", Access::Write, written.delete.is_some()),
            ("bytes", Access::Overlay, written.bytes.is_some()),
            ("inodes", Access::Overlay, written.inodes.is_some()),
        ];
        let misplaced = |(_, of, given): &&(_, Access, bool)| *given && *of != written.access;
        if let Some(&(field, of, _)) = fields.iter().find(misplaced) {
            let path = written.path;
            return Err(FileRuleError::Misplaced { path, field, of });
        }
        let access = match written.access {
            Access::Read => FileAccess::Read,
            Access::Write => FileAccess::Write {
                create: written.create.unwrap_or(true),
                delete: written.delete.unwrap_or(true),
            },
            Access::Overlay => FileAccess::Overlay(Tmpfs {
                bytes: written.bytes.unwrap_or(ByteSize::mib(16)).as_u64(),
                inodes: written.inodes.unwrap_or(1024),
            }),
        };
        // To tmpfs zero means no cap at all.
        if matches!(access, FileAccess::Overlay(caps) if caps.bytes == 0 || caps.inodes == 0) {
            return Err(FileRuleError::Empty(written.path));
        }
        Ok(Self {
            source: written.source.unwrap_or_else(|| written.path.clone()),
            path: written.path,
            access,
        })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Isolated => "isolated",
            Self::Full => "full",
        })
    }
}

fn read() -> Access {
    Access::Read
}

/// Reads rules, each path once.
fn files<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<FileRule>>, D::Error> {
    document::distinct(deserializer, |rule: &FileRule| &rule.path).map(Some)
}
