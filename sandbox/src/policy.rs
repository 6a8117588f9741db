//! What one worker may take: the typed whole that a plan is resolved from.

use std::collections::BTreeMap;

use crate::cgroup::CpuMax;
use crate::seccomp::Mode;

/// Everything that the operator decides about one worker's confinement.
#[derive(Debug, Clone)]
pub struct Policy {
    /// Bytes of memory that the kernel lets the worker have.
    pub memory: u64,
    /// Threads that the kernel lets the worker have.
    pub threads: u32,
    /// Share of the processors.
    pub cpu: CpuMax,
    /// Open files, those of the worker's own included.
    pub fds: u64,
    /// Largest file, in bytes.
    pub file_size: u64,
    /// A private, writable `/tmp`.
    pub tmp: Option<Tmpfs>,
    /// The whole environment of the worker.
    pub environment: BTreeMap<String, String>,
    /// The system call filter.
    pub mode: Mode,
}

/// A temporary file system with caps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Tmpfs {
    /// Bytes, at most.
    pub bytes: u64,
    /// Files and folders, at most.
    pub inodes: u64,
}
