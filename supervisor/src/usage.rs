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
    /// Open files.
    pub fds: u64,
    /// Bytes in `/tmp` and overlays.
    #[serde(rename = "disk_bytes")]
    pub disk: u64,
}
