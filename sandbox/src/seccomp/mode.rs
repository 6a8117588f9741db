//! Modes, from narrow to wide, and the grants that rules of their profiles wait for.

use serde::{Deserialize, Serialize};

use crate::policy::{Capability, FileAccess, Net, Policy};

/// The profiles that a policy can name, from narrow to wide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// The serve loop, memory and threads.
    Strict,
    /// And time, polling, and granted files, locked memory, priority, executable memory.
    Basic,
    /// And sockets and processes, where granted.
    Moderate,
    /// All but the never-list, for development.
    Permissive,
}

impl Mode {
    /// All of them, from narrow to wide.
    pub const ALL: [Mode; 4] = [Mode::Strict, Mode::Basic, Mode::Moderate, Mode::Permissive];

    /// As policies and options name it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Mode::Strict => "strict",
            Mode::Basic => "basic",
            Mode::Moderate => "moderate",
            Mode::Permissive => "permissive",
        }
    }

    /// The narrowest mode in which all that was granted can be used.
    #[must_use]
    pub fn narrowest(granted: Granted) -> Mode {
        let modes = granted.iter().map(Grant::mode);
        modes.max().unwrap_or(Mode::Strict)
    }
}

impl std::fmt::Display for Mode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

/// What a rule of a profile can wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Grant {
    /// Files to read, a private `/tmp` included.
    Files,
    /// Files to write.
    FilesWrite,
    /// TCP sockets.
    Tcp,
    /// Taking connections.
    Listen,
    /// UDP sockets: no control but a network namespace of its own bounds them.
    Udp,
    /// Raw and packet sockets, there too.
    RawSockets,
    /// The host's network, where Landlock bounds TCP alone.
    HostNetwork,
    /// Starting processes.
    Processes,
    /// Memory that is written and executed.
    Jit,
    /// Locking memory.
    Memlock,
    /// Raising priority.
    Priority,
}

impl Grant {
    /// All of them.
    pub const ALL: [Grant; 11] = [
        Grant::Files,
        Grant::FilesWrite,
        Grant::Tcp,
        Grant::Listen,
        Grant::Udp,
        Grant::RawSockets,
        Grant::HostNetwork,
        Grant::Processes,
        Grant::Jit,
        Grant::Memlock,
        Grant::Priority,
    ];

    /// As profiles name it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Grant::Files => "files",
            Grant::FilesWrite => "files-write",
            Grant::Tcp => "tcp",
            Grant::Listen => "listen",
            Grant::Udp => "udp",
            Grant::RawSockets => "raw-sockets",
            Grant::HostNetwork => "host-network",
            Grant::Processes => "processes",
            Grant::Jit => "jit",
            Grant::Memlock => "memlock",
            Grant::Priority => "priority",
        }
    }

    /// The narrowest mode that has rules for it.
    #[must_use]
    pub const fn mode(self) -> Mode {
        match self {
            Grant::Files | Grant::FilesWrite | Grant::Jit | Grant::Memlock | Grant::Priority => {
                Mode::Basic
            }
            Grant::Tcp
            | Grant::Listen
            | Grant::Udp
            | Grant::RawSockets
            | Grant::HostNetwork
            | Grant::Processes => Mode::Moderate,
        }
    }
}

impl std::fmt::Display for Grant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

/// A set of grants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Granted(u16);

impl Granted {
    /// Nothing.
    pub const NONE: Granted = Granted(0);

    /// What a policy grants, as far as system calls are concerned.
    #[must_use]
    pub fn of(policy: &Policy) -> Granted {
        let own_network = policy.net == Net::Isolated;
        let ports = &policy.tcp;
        let capable = |capability| policy.capabilities.contains(&capability);
        let raw = own_network && capable(Capability::NetRaw);
        let writable = |access: FileAccess| access != FileAccess::Read;
        let sockets = !own_network
            || !policy.capabilities.is_empty()
            || !ports.bind.is_empty()
            || !ports.connect.is_empty();
        let tmp = policy.tmp.is_some();
        let cases = [
            (Grant::Files, tmp || !policy.files.is_empty()),
            (
                Grant::FilesWrite,
                tmp || policy.files.iter().any(|file| writable(file.access)),
            ),
            (Grant::Tcp, sockets),
            (
                Grant::Listen,
                raw || !ports.bind.is_empty() || capable(Capability::NetBindService),
            ),
            (Grant::Udp, sockets && own_network),
            (Grant::RawSockets, raw),
            (Grant::HostNetwork, !own_network),
            (Grant::Processes, policy.processes),
            (Grant::Jit, policy.jit),
            (Grant::Memlock, policy.locked_memory > 0),
            (Grant::Priority, policy.nice > 0 || policy.realtime > 0),
        ];
        cases
            .into_iter()
            .filter(|(_, granted)| *granted)
            .map(|(grant, _)| grant)
            .collect()
    }

    /// Whether it holds all of `needed`.
    #[must_use]
    pub const fn covers(self, needed: Granted) -> bool {
        needed.0 & !self.0 == 0
    }

    /// Its members.
    pub fn iter(self) -> impl Iterator<Item = Grant> {
        Grant::ALL
            .into_iter()
            .filter(move |grant| self.0 & 1 << *grant as u16 != 0)
    }
}

impl FromIterator<Grant> for Granted {
    fn from_iter<I: IntoIterator<Item = Grant>>(grants: I) -> Granted {
        Granted(
            grants
                .into_iter()
                .fold(0, |set, grant| set | 1 << grant as u16),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{FileGrant, Tmpfs};

    fn granted(change: impl FnOnce(&mut Policy)) -> Granted {
        let mut policy = crate::policy::tests::policy();
        change(&mut policy);
        Granted::of(&policy)
    }

    fn file(access: FileAccess) -> FileGrant {
        FileGrant {
            source: "/srv".into(),
            target: "/data".into(),
            access,
        }
    }

    const CAPS: Tmpfs = Tmpfs {
        bytes: 1,
        inodes: 1,
    };

    #[test]
    fn each_grant_needs_its_mode_and_no_wider_one() {
        use Grant::{
            Files, FilesWrite, Jit, Listen, Memlock, Priority, Processes, RawSockets, Tcp, Udp,
        };
        type Change = fn(&mut Policy);
        let cases: [(Change, &[Grant], Mode); 13] = [
            (|_| {}, &[], Mode::Strict),
            (|p| p.tmp = Some(CAPS), &[Files, FilesWrite], Mode::Basic),
            (
                |p| p.files = vec![file(FileAccess::Read)],
                &[Files],
                Mode::Basic,
            ),
            (
                |p| p.files = vec![file(FileAccess::Overlay(CAPS))],
                &[Files, FilesWrite],
                Mode::Basic,
            ),
            (|p| p.jit = true, &[Jit], Mode::Basic),
            (|p| p.locked_memory = 1, &[Memlock], Mode::Basic),
            (|p| p.nice = 1, &[Priority], Mode::Basic),
            (|p| p.realtime = 1, &[Priority], Mode::Basic),
            (|p| p.processes = true, &[Processes], Mode::Moderate),
            (
                |p| p.net = Net::Host,
                &[Tcp, Grant::HostNetwork],
                Mode::Moderate,
            ),
            (
                |p| p.tcp.connect = [443].into(),
                &[Tcp, Udp],
                Mode::Moderate,
            ),
            (
                |p| p.capabilities = [Capability::NetBindService].into(),
                &[Tcp, Listen, Udp],
                Mode::Moderate,
            ),
            (
                |p| p.capabilities = [Capability::NetRaw].into(),
                &[Tcp, Listen, Udp, RawSockets],
                Mode::Moderate,
            ),
        ];
        for (change, grants, mode) in cases {
            let granted = granted(change);
            assert_eq!(granted, grants.iter().copied().collect());
            assert_eq!(Mode::narrowest(granted), mode, "{grants:?}");
        }
    }

    #[test]
    fn the_hosts_network_gives_neither_datagrams_nor_raw_sockets() {
        let granted = granted(|policy| {
            policy.net = Net::Host;
            policy.tcp.bind = [80].into();
            policy.capabilities = [Capability::NetRaw].into();
        });
        let grants = [Grant::Tcp, Grant::Listen, Grant::HostNetwork];
        assert_eq!(granted, grants.into_iter().collect());
    }
}
