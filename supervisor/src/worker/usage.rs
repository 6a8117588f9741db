//! What a worker takes now, summed over all its processes: by its group, and for what no
//! group counts by `/proc`.

use std::collections::BTreeSet;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use sandbox::cgroup::Usage;

use super::process::{Process, Transferred};
use super::{Worker, lock};
use crate::config::Network;
use crate::connections::{Connection, chosen, of_namespace};
use crate::grants::Grants;
use crate::usage::Reading;

/// How its connections are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Connections {
    /// It can make none: its filter has no rule for sockets.
    Impossible,
    /// By its own network namespace.
    OfNamespace,
    /// By its own sockets, since the namespace is the host's.
    OfProcesses,
}

impl Connections {
    pub(super) fn under(grants: &Grants) -> Connections {
        let ports = !grants.tcp.bind.is_empty() || !grants.tcp.connect.is_empty();
        match grants.net {
            Network::Full => Connections::OfProcesses,
            Network::Isolated if ports || !grants.capabilities.is_empty() => {
                Connections::OfNamespace
            }
            Network::Isolated => Connections::Impossible,
        }
    }
}

/// What no group counts.
#[derive(Debug)]
struct Sum {
    fds: u64,
    transferred: Option<Transferred>,
    /// By inode, since processes share sockets. Only where they have to be told apart.
    sockets: BTreeSet<u64>,
}

impl Worker {
    /// Reads what it takes now. Void if the worker ended meanwhile.
    pub(crate) fn read_usage(&self) -> Option<Reading> {
        let usage = match &self.probe {
            Some(probe) => {
                let before = lock(&self.above).usage;
                let declared = self.plugin.grants.limits.heap.declared().as_u64();
                let usage = match before {
                    Some(before) => probe.usage_since(&before, declared),
                    None => probe.usage(),
                };
                usage.ok()?
            }
            None => self.own_usage()?,
        };
        lock(&self.above).usage = Some(usage);
        let sum = self.sum()?;
        let connections = match self.connections {
            Connections::Impossible => None,
            Connections::OfNamespace => Some(self.process.connections().ok()?),
            Connections::OfProcesses => Some(sum.sockets.len() as u64),
        };
        Some(Reading {
            heap: usage.heap,
            cpu_us: usage.cpu.as_micros() as u64,
            threads: u64::from(usage.tasks).saturating_sub(1),
            fds: sum.fds,
            disk: self.disk_usage()?,
            connections,
            read: sum.transferred.map(|all| all.read),
            written: sum.transferred.map(|all| all.written),
        })
    }

    /// Its connections, where it may have any; those of the host's network are read into
    /// `hosts` once. Void if the worker ended meanwhile.
    pub(crate) fn connections(
        &self,
        hosts: &mut Option<Vec<Connection>>,
    ) -> Option<Vec<Connection>> {
        let found = match self.connections {
            Connections::Impossible => return None,
            Connections::OfNamespace => chosen(&of_namespace(self.pid).ok()?, |_| true),
            Connections::OfProcesses => {
                let sockets = self.sum()?.sockets;
                if hosts.is_none() {
                    *hosts = Some(of_namespace(std::process::id()).ok()?);
                }
                chosen(hosts.as_deref()?, |inode| sockets.contains(&inode))
            }
        };
        (!has_ended(&self.pidfd)).then_some(found)
    }

    /// Its process, and with them those that it may have started.
    fn sum(&self) -> Option<Sum> {
        let mut sum = self.of(&self.process)?;
        if self.plugin.grants.processes
            && let Some(probe) = &self.probe
        {
            let init = sandbox::sys::pidfd::pid(&self.init).ok()?;
            for (pid, pidfd) in probe.processes().ok()? {
                if pid == self.pid {
                    continue;
                }
                let other = Process::open(pid)
                    .ok()
                    .and_then(|process| self.of(&process));
                let Some(mut other) = other.filter(|_| !has_ended(&pidfd)) else {
                    continue;
                };
                // Init holds our files, and reaps whom nobody else does: what they
                // transferred became its own.
                if pid != init {
                    sum.fds += other.fds;
                }
                sum.transferred = sum.transferred.zip(other.transferred).map(|(a, b)| a + b);
                sum.sockets.append(&mut other.sockets);
            }
        }
        sum.sockets.remove(&self.expected.channels.ipc);
        Some(sum)
    }

    fn of(&self, process: &Process) -> Option<Sum> {
        let sockets = match self.connections {
            Connections::OfProcesses => process.sockets().ok()?,
            Connections::Impossible | Connections::OfNamespace => BTreeSet::new(),
        };
        Some(Sum {
            fds: process.open_fds().ok()?,
            transferred: process.transferred().ok()?,
            sockets,
        })
    }

    /// What its one process takes, where there is no cgroup to count: see proc_pid_status(5).
    fn own_usage(&self) -> Option<Usage> {
        let process = procfs::process::Process::new(self.pid as i32).ok()?;
        let status = process.status().ok()?;
        let bytes = |kib: Option<u64>| kib.unwrap_or(0).saturating_mul(1024);
        Some(Usage {
            heap: bytes(status.rssanon).saturating_add(bytes(status.rssshmem)),
            memory: bytes(status.vmrss),
            cpu: self.cpu_time()?,
            // A group would count init too.
            tasks: u32::try_from(status.threads).ok()?.saturating_add(1),
        })
    }
}

/// By its pidfd, which is readable then.
fn has_ended(pidfd: &std::os::fd::OwnedFd) -> bool {
    let mut ended = [PollFd::new(pidfd, PollFlags::IN)];
    poll(&mut ended, Some(&Timespec::default())) != Ok(0)
}
