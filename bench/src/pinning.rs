//! Which core runs what.

use std::thread;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

use crate::Result;

/// Cores that this process may use.
pub(crate) fn cores() -> Result<Vec<usize>> {
    let allowed = sched_getaffinity(Pid::from_raw(0))?;
    Ok((0..CpuSet::count())
        .filter(|core| allowed.is_set(*core).unwrap_or(false))
        .collect())
}

/// Runs `work` on a thread of its own, pinned to a core. What it starts inherits that.
pub(crate) fn on_core<T: Send>(core: usize, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let pinned = || {
        pin_this_thread(core)
            .and_then(|()| work())
            .map_err(|error| error.to_string())
    };
    let done = thread::scope(|scope| scope.spawn(pinned).join());
    Ok(done.map_err(|_| "the benchmark panicked")??)
}

/// Pins the calling thread; what it starts from now on inherits that.
pub(crate) fn pin_this_thread(core: usize) -> Result<()> {
    pin(Pid::from_raw(0), core)
}

/// Pins the main thread of another process.
pub(crate) fn pin_process(pid: u32, core: usize) -> Result<()> {
    pin(Pid::from_raw(i32::try_from(pid)?), core)
}

fn pin(pid: Pid, core: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(core)?;
    Ok(sched_setaffinity(pid, &set)?)
}
