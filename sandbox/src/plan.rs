//! A launch, fully resolved.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::cgroup::Limits;
use crate::files::rules;
use crate::landlock;
use crate::policy::{Capability, FileGrant, Net, Policy, Tmpfs};
use crate::rlimits::{Rlimits, StandIn};
use crate::seccomp::Program;

/// SHA3-512 of a plugin file.
pub type Digest = [u8; 64];

/// Everything that one launch needs; the fds it refers to travel beside it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Plan {
    /// Names the worker's cgroup leaf: letters, digits, `.`, `_`, `-`.
    pub name: String,
    /// Whom the worker is to the rest of the host.
    pub ids: Ids,
    /// What holds it to its share of memory, tasks and CPU time.
    pub bounds: Bounds,
    /// Which image holds the plugin.
    pub image: ImageKey,
    /// Caps of the private root itself, which holds mount points alone.
    pub root: Tmpfs,
    /// A private `/tmp`.
    pub tmp: Option<Tmpfs>,
    /// Files and folders of the host, outer targets before what is within them. Sources are as
    /// [`locate`](crate::files::locate::locate) gives them.
    pub files: Vec<FileGrant>,
    /// Whether those that may only be read can be executed.
    pub executable_files: bool,
    /// Whose network it is in.
    pub net: Net,
    /// Whether the loopback of its own network is up.
    pub loopback: bool,
    /// What it may do to its own network. With any of these it stays in init's user namespace,
    /// which owns that network.
    pub capabilities: BTreeSet<Capability>,
    /// What the worker applies to itself before a plugin byte is there.
    pub lockdown: Lockdown,
    /// The whole environment of the worker.
    pub environment: BTreeMap<String, String>,
}

/// Names an image: the plugin's digest, and a fingerprint of its library closure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ImageKey {
    /// SHA3-512 of the sealed plugin file, its two halves (serde knows arrays to 32).
    pub digest: ([u8; 32], [u8; 32]),
    /// Distinguishes closures of one plugin, as libraries of the host change.
    pub closure: u64,
}

/// Host ids of a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ids {
    /// This host uid and gid, which nobody else on the host has.
    Mapped(u32),
    /// The launcher's own, as an ordinary user must.
    Own,
}

/// What holds a worker to its share of memory, tasks and CPU time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Bounds {
    /// Limits of a cgroup of its own.
    Cgroup(Limits),
    /// No cgroup: [`Rlimits::stand_in`], and of CPU time nothing.
    Rlimits,
}

/// What the worker does to itself after exec and before `dlopen`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Lockdown {
    /// Resource limits.
    pub rlimits: Rlimits,
    /// Files and TCP ports, once more.
    pub landlock: landlock::Ruleset,
    /// Whether it may make memory executable, and so goes without memory-deny-write-execute.
    pub jit: bool,
    /// The one seccomp filter.
    pub filter: Program,
}

/// What a worker's own program needs besides the plugin's threads and files.
mod overhead {
    /// Init itself.
    pub(super) const TASKS: u32 = 1;
    /// Queued signals: glibc's timers and aio aside, nobody needs many.
    pub(super) const SIGPENDING: u64 = 64;
    /// The main thread's stack, as most systems have it.
    pub(super) const STACK: u64 = 8 << 20;
    /// Mount points of the private root.
    pub(super) const ROOT: super::Tmpfs = super::Tmpfs {
        bytes: 64 << 10,
        inodes: 64,
    };
}

impl Plan {
    /// Resolves a policy for one worker.
    #[must_use]
    pub fn resolve(
        policy: &Policy,
        name: String,
        ids: Ids,
        image: ImageKey,
        filter: Program,
    ) -> Plan {
        let mut files = policy.files.clone();
        rules::sort(&mut files);
        let mut root = overhead::ROOT;
        root.inodes += rules::mount_points(&files);
        let ports = policy.tcp.bind.len() + policy.tcp.connect.len();
        let uses_network = ports > 0 || !policy.capabilities.is_empty();
        Plan {
            name,
            ids,
            bounds: Bounds::Cgroup(Limits {
                memory_max: policy.memory,
                memory_high: policy.resources.memory_high,
                pids_max: policy.threads.saturating_add(overhead::TASKS),
                cpu_max: policy.cpu,
                cpu_weight: policy.resources.cpu_weight,
                io: policy.resources.io.clone(),
            }),
            image,
            root,
            tmp: policy.tmp,
            files,
            executable_files: policy.processes,
            net: policy.net,
            loopback: policy.net == Net::Isolated && uses_network,
            capabilities: policy.capabilities.clone(),
            lockdown: Lockdown {
                rlimits: Rlimits {
                    nofile: policy.fds,
                    fsize: policy.file_size,
                    stack: overhead::STACK,
                    sigpending: overhead::SIGPENDING,
                    stand_in: None,
                    memlock: policy.locked_memory,
                    nice: policy.nice,
                    rtprio: policy.realtime,
                },
                landlock: landlock::Ruleset::of(policy),
                jit: policy.jit,
                filter,
            },
            environment: policy.environment.clone(),
        }
    }

    /// The same without a cgroup: resource limits of the process stand in for it.
    #[must_use]
    pub fn without_cgroup(mut self) -> Plan {
        if let Bounds::Cgroup(limits) = self.bounds {
            // Init counts too where the worker stays in its user namespace.
            let threads = match self.capabilities.is_empty() {
                true => limits.pids_max.saturating_sub(overhead::TASKS),
                false => limits.pids_max,
            };
            let stand_in = StandIn::new(limits.memory_max, threads.into(), overhead::STACK);
            self.lockdown.rlimits.stand_in = Some(stand_in);
            self.bounds = Bounds::Rlimits;
        }
        self
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::seccomp::{Arch, Granted, Mode, Profile};

    /// Of a plugin that is granted nothing.
    pub(crate) fn plan() -> Plan {
        let policy = crate::policy::tests::policy();
        let image = ImageKey {
            digest: ([0; 32], [0; 32]),
            closure: 0,
        };
        let profile = Profile::builtin(Mode::Strict, Arch::NATIVE, Granted::NONE).unwrap();
        let filter = profile.compile().unwrap();
        Plan::resolve(&policy, "greet.0".into(), Ids::Mapped(1000), image, filter)
    }
}
