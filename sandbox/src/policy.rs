//! What one worker may take: the typed whole that a plan is resolved from.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::cgroup::{CpuMax, Io};
use crate::report::{Control, Demands};

/// Everything that the operator decides about one worker's confinement.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Bytes of memory that the kernel lets the worker have.
    pub memory: u64,
    /// Threads that the kernel lets the worker have.
    pub threads: u32,
    /// Share of the processors.
    pub cpu: CpuMax,
    /// How it fares where workers compete.
    pub resources: Resources,
    /// Open files, those of the worker's own included.
    pub fds: u64,
    /// Largest file, in bytes.
    pub file_size: u64,
    /// A private, writable `/tmp`.
    pub tmp: Option<Tmpfs>,
    /// The whole environment of the worker.
    pub environment: BTreeMap<String, String>,
    /// Files and folders of the host that it reaches, and where it sees them.
    pub files: Vec<FileGrant>,
    /// Whose network it is in.
    pub net: Net,
    /// TCP ports that it may use there.
    pub tcp: TcpPorts,
    /// Capabilities over its own network namespace.
    pub capabilities: BTreeSet<Capability>,
    /// Bytes that it may lock into memory.
    pub locked_memory: u64,
    /// How far it may raise its priority: RLIMIT_NICE, 20 minus the lowest nice value; 0 not
    /// at all.
    pub nice: u64,
    /// Its highest real-time priority, RLIMIT_RTPRIO; 0 none.
    pub realtime: u64,
    /// Whether it may start processes.
    pub processes: bool,
    /// Whether it may make memory executable.
    pub jit: bool,
}

impl Policy {
    /// What is demanded of a worker's report under these grants, where `demands` is demanded
    /// without any. To grant what takes a control away is to allow its absence, unless that
    /// control is required by name.
    #[must_use]
    pub fn demands(&self, demands: &Demands) -> Demands {
        let mut demands = demands.clone();
        let taken_away = [
            (Control::Nesting, !self.capabilities.is_empty()),
            (Control::Namespaces, self.net == Net::Host),
            (Control::Mdwe, self.jit),
        ];
        for (control, granted) in taken_away {
            if granted && !demands.required.contains(&control) {
                demands.allow_degraded.insert(control);
            }
        }
        if self.net == Net::Host {
            let walls = [Control::LandlockTcp, Control::LandlockScopes];
            demands.depended_on.extend(walls);
        }
        if self.processes {
            // What stands in for a group counts each process for itself.
            demands.depended_on.insert(Control::Cgroup);
        }
        demands
    }
}

/// What the kernel does where workers compete; by default what it does by itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resources {
    /// Bytes of memory from which it reclaims and slows down.
    pub memory_high: Option<u64>,
    /// Share of contended processors, 1 to 10000.
    pub cpu_weight: Option<u32>,
    /// Bandwidth of block devices.
    pub io: Io,
}

/// One file or folder of the host, granted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileGrant {
    /// Where it is on the host, absolute.
    pub source: PathBuf,
    /// Where the worker sees it, absolute.
    pub target: PathBuf,
    /// What may be done with it.
    pub access: FileAccess,
}

/// What may be done with granted files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum FileAccess {
    /// Reading.
    Read,
    /// Reading, and writing to what is there.
    Write {
        /// Making files and folders.
        create: bool,
        /// Removing and renaming them.
        delete: bool,
    },
    /// Reading and writing; what is written is kept in a layer in memory, which vanishes with
    /// the worker.
    Overlay(Tmpfs),
}

/// Whose network a worker is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Net {
    /// A network namespace of its own, with nothing in it but a loopback, which is up only
    /// where a capability or a port is granted.
    Isolated,
    /// The host's.
    Host,
}

/// TCP ports, each list exact.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TcpPorts {
    /// Ports to listen on.
    pub bind: BTreeSet<u16>,
    /// Ports to connect to, of any host.
    pub connect: BTreeSet<u16>,
}

impl std::fmt::Display for Capability {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Capability::NetBindService => "CAP_NET_BIND_SERVICE",
            Capability::NetRaw => "CAP_NET_RAW",
        })
    }
}

/// The capabilities that can be granted, all of them over the worker's own network namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Capability {
    /// `CAP_NET_BIND_SERVICE`: ports below 1024.
    NetBindService,
    /// `CAP_NET_RAW`: raw and packet sockets.
    NetRaw,
}

/// A temporary file system with caps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tmpfs {
    /// Bytes, at most.
    pub bytes: u64,
    /// Files and folders, at most.
    pub inodes: u64,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Of a plugin that is granted nothing.
    pub(crate) fn policy() -> Policy {
        Policy {
            memory: 1 << 20,
            threads: 4,
            cpu: CpuMax::default(),
            resources: Resources::default(),
            fds: 32,
            file_size: 0,
            tmp: None,
            environment: BTreeMap::new(),
            files: Vec::new(),
            net: Net::Isolated,
            tcp: TcpPorts::default(),
            capabilities: BTreeSet::new(),
            locked_memory: 0,
            nice: 0,
            realtime: 0,
            processes: false,
            jit: false,
        }
    }

    #[test]
    fn granting_nothing_changes_no_demand() {
        let demands = Demands {
            required: [Control::Mdwe].into(),
            allow_degraded: [Control::Cgroup].into(),
            depended_on: BTreeSet::new(),
        };
        assert_eq!(policy().demands(&demands), demands);
    }

    #[test]
    fn a_grant_allows_the_absence_of_what_it_takes_away_unless_that_is_required() {
        let granted = Policy {
            capabilities: [Capability::NetRaw].into(),
            jit: true,
            ..policy()
        };
        let allowed = granted.demands(&Demands::default()).allow_degraded;
        assert_eq!(allowed, [Control::Nesting, Control::Mdwe].into());
        let required = Demands {
            required: [Control::Nesting].into(),
            ..Demands::default()
        };
        let allowed = granted.demands(&required).allow_degraded;
        assert_eq!(allowed, [Control::Mdwe].into());
    }

    #[test]
    fn the_hosts_network_depends_on_landlock_whatever_else_is_allowed() {
        let granted = Policy {
            net: Net::Host,
            ..policy()
        };
        let allowed = Demands {
            allow_degraded: [Control::LandlockTcp, Control::LandlockScopes].into(),
            ..Demands::default()
        };
        let demands = granted.demands(&allowed);
        let landlock = [Control::LandlockTcp, Control::LandlockScopes];
        assert_eq!(demands.depended_on, landlock.into());
        assert!(demands.allow_degraded.contains(&Control::Namespaces));
    }
}
