//! What a worker takes at one moment, as the kernel counts it.

use serde::Serialize;

/// One reading of a worker's usage.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Reading {
    /// Bytes of anonymous and shared memory.
    #[serde(rename = "heap_bytes")]
    pub heap: u64,
    /// CPU time since the launch, in microseconds.
    pub cpu_us: u64,
    /// Threads and processes, init not counted.
    pub threads: u64,
    /// Open files of all its processes, init not counted.
    pub fds: u64,
    /// Bytes in `/tmp` and overlays.
    #[serde(rename = "disk_bytes")]
    pub disk: u64,
    /// Sockets that are connected, or listen; nothing where it can make none.
    pub connections: Option<u64>,
    /// Bytes read from storage; nothing where the kernel doesn't count them.
    #[serde(rename = "read_bytes")]
    pub read: Option<u64>,
    /// Bytes written to storage, or to be written there; likewise.
    #[serde(rename = "written_bytes")]
    pub written: Option<u64>,
}
