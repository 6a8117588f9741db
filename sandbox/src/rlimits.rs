//! Resource limits of the worker process, see setrlimit(2).

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::{Deserialize, Serialize};

/// Soft and hard limits alike: a process may not raise what it may not have.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Rlimits {
    /// Open files.
    pub nofile: u64,
    /// Bytes of the largest file.
    pub fsize: u64,
    /// Bytes of the main thread's stack.
    pub stack: u64,
    /// Signals queued for the worker's user.
    pub sigpending: u64,
}

impl Rlimits {
    fn all(&self) -> [(Resource, u64); 9] {
        [
            (Resource::Core, 0),
            (Resource::Memlock, 0),
            (Resource::Msgqueue, 0),
            (Resource::Nice, 0),
            (Resource::Rtprio, 0),
            (Resource::Nofile, self.nofile),
            (Resource::Fsize, self.fsize),
            (Resource::Stack, self.stack),
            (Resource::Sigpending, self.sigpending),
        ]
    }

    /// Sets them for the calling process and reads each one back.
    ///
    /// # Errors
    /// The kernel's errno; `EPERM` too where a value didn't take.
    pub fn apply(&self) -> std::io::Result<()> {
        for (resource, value) in self.all() {
            let wanted = Rlimit {
                current: Some(value),
                maximum: Some(value),
            };
            setrlimit(resource, wanted)?;
            if getrlimit(resource) != wanted {
                return Err(rustix::io::Errno::PERM.into());
            }
        }
        Ok(())
    }
}
