//! What grants and policy mean for the sandbox.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU16;

use sandbox::cgroup::{CpuMax, Io, IoMax};
use sandbox::policy::{self, FileAccess, FileGrant, Resources, Tmpfs};

use crate::config::{Network, ResourceRules};
use crate::grants::Grants;
use crate::limits::{Limit, Quantity};
use crate::manifest::{Nice, Realtime};
use crate::units::{ByteSize, Percent};

/// Files and folders that a private `/tmp` may hold.
const TMP_INODES: u64 = 1024;

/// What policy sets for where workers compete, of a worker with so much memory.
pub(super) fn resources(rules: ResourceRules, memory: u64) -> Resources {
    // No multiplication of a limit by a percentage comes near the end of its type.
    let high = |share: Percent| memory / 100 * u64::from(share.as_u32());
    Resources {
        memory_high: rules.memory_high.map(high),
        cpu_weight: rules.cpu_weight,
        io: Io {
            weight: rules.io_weight,
            max: Vec::new(),
        },
    }
}

/// The bandwidth of each disk, where policy sets one.
pub(super) fn bandwidth(rules: ResourceRules, disks: BTreeSet<(u32, u32)>) -> Vec<IoMax> {
    let (read, write) = (rules.io_read, rules.io_write);
    if read.is_none() && write.is_none() {
        return Vec::new();
    }
    let max = |device| IoMax {
        device,
        read: read.map(ByteSize::as_u64),
        write: write.map(ByteSize::as_u64),
    };
    disks.into_iter().map(max).collect()
}

/// What the grants mean for the sandbox: the kernel enforces hard limits.
pub(crate) fn confinement(grants: &Grants) -> policy::Policy {
    let limits = &grants.limits;
    let small = |count: crate::units::Count| u32::try_from(count.as_u64()).unwrap_or(u32::MAX);
    let ports = |ports: &BTreeSet<NonZeroU16>| ports.iter().map(|port| port.get()).collect();
    let granted = |name: &crate::manifest::EnvName| {
        let value = std::env::var(name.as_str()).ok()?;
        Some((name.as_str().to_owned(), value))
    };
    let disk = limits.disk.hard();
    // What is written to an overlay counts as disk, so it ends there too.
    let within = |file: &FileGrant| {
        let access = match file.access {
            FileAccess::Overlay(layer) => FileAccess::Overlay(Tmpfs {
                bytes: layer.bytes.min(disk.as_u64()),
                ..layer
            }),
            access => access,
        };
        FileGrant {
            access,
            ..file.clone()
        }
    };
    policy::Policy {
        resources: Resources::default(),
        memory: limits.heap.hard().as_u64(),
        threads: small(limits.threads.hard()),
        cpu: CpuMax {
            quota_us: limits.cpu_share.hard().raw() * (CpuMax::default().period_us / 100),
            ..CpuMax::default()
        },
        fds: limits.fds.hard().as_u64(),
        file_size: disk.as_u64(),
        tmp: grants.tmp.map(|declared| Tmpfs {
            bytes: Limit::new(declared).hard().min(disk).as_u64(),
            inodes: TMP_INODES,
        }),
        environment: grants
            .env
            .iter()
            .filter_map(granted)
            .collect::<BTreeMap<_, _>>(),
        files: grants.files.iter().map(within).collect(),
        net: match grants.net {
            Network::Isolated => policy::Net::Isolated,
            Network::Full => policy::Net::Host,
        },
        tcp: policy::TcpPorts {
            bind: ports(&grants.tcp.bind),
            connect: ports(&grants.tcp.connect),
        },
        capabilities: grants.capabilities.iter().map(|c| (*c).into()).collect(),
        locked_memory: grants.locked_memory.as_u64(),
        nice: grants.nice.map_or(0, Nice::rlimit),
        realtime: grants.realtime.map_or(0, Realtime::rlimit),
        processes: grants.processes,
        jit: grants.jit,
    }
}
