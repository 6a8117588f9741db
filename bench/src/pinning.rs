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

/// Pins one thread, by its id; the main one has that of its process.
pub(crate) fn pin_process(pid: u32, core: usize) -> Result<()> {
    pin(Pid::from_raw(i32::try_from(pid)?), core)
}

/// Pins the thread of this process that has this name.
pub(crate) fn pin_thread(name: &str, core: usize) -> Result<()> {
    for task in std::fs::read_dir("/proc/self/task")? {
        let task = task?;
        if std::fs::read_to_string(task.path().join("comm"))?.trim() == name {
            return pin_process(task.file_name().to_string_lossy().parse()?, core);
        }
    }
    Err(format!("there is no thread {name}").into())
}

fn pin(pid: Pid, core: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(core)?;
    Ok(sched_setaffinity(pid, &set)?)
}
