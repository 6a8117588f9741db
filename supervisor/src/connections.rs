//! Connections one by one: read only when asked for, since each table takes the kernel
//! milliseconds, and once for each network namespace.

use std::fmt;
use std::net::SocketAddr;

use procfs::process::Process;
use procfs::{ProcError, ProcResult};
use serde::Serialize;

/// Most connections that are told of one plugin.
const MOST: usize = 1024;

/// A socket that is connected, or listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Connection {
    /// Of which protocol.
    pub protocol: Protocol,
    /// Its own address.
    pub local: SocketAddr,
    /// Its peer's; all zeroes while it has none.
    pub remote: SocketAddr,
    /// A TCP connection's state, as tcp(7) has it.
    pub state: Option<String>,
    #[serde(skip)]
    inode: u64,
}

/// A protocol of connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP over IPv4 or IPv6.
    Tcp,
    /// UDP likewise.
    Udp,
}

/// All connections of a process's network namespace. Only valid if its pidfd is alive
/// afterwards.
pub(crate) fn of_namespace(pid: u32) -> ProcResult<Vec<Connection>> {
    let process = Process::new(i32::try_from(pid).map_err(|_| ProcError::NotFound(None))?)?;
    let mut found = Vec::new();
    for table in [process.tcp(), process.tcp6()] {
        found.extend(there(table)?.into_iter().map(|entry| Connection {
            protocol: Protocol::Tcp,
            local: entry.local_address,
            remote: entry.remote_address,
            state: Some(format!("{:?}", entry.state)),
            inode: entry.inode,
        }));
    }
    for table in [process.udp(), process.udp6()] {
        found.extend(there(table)?.into_iter().map(|entry| Connection {
            protocol: Protocol::Udp,
            local: entry.local_address,
            remote: entry.remote_address,
            state: None,
            inode: entry.inode,
        }));
    }
    Ok(found)
}

/// Those of them that are wanted, as many as are told.
pub(crate) fn chosen(all: &[Connection], wanted: impl Fn(u64) -> bool) -> Vec<Connection> {
    let chosen = all.iter().filter(|connection| wanted(connection.inode));
    chosen.take(MOST).cloned().collect()
}

/// A kernel may be without IPv6.
fn there<T>(table: ProcResult<Vec<T>>) -> ProcResult<Vec<T>> {
    match table {
        Err(ProcError::NotFound(_)) => Ok(Vec::new()),
        table => table,
    }
}

impl fmt::Display for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Connection { local, remote, .. } = self;
        let protocol = match self.protocol {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        };
        write!(f, "{protocol} {local} to {remote}")?;
        match &self.state {
            Some(state) => write!(f, " ({state})"),
            None => Ok(()),
        }
    }
}
