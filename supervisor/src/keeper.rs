//! The thread that keeps things on disk: the history of violations, and who is unmounted.
//!
//! Tasks of the I/O thread hand over and go on; whatever a disk does, calls don't wait for it.

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::history::{HistoryRules, Journal, line};
use crate::lifecycle::Unmount;
use crate::manifest::PluginId;
use crate::state::{StateDir, StateError, Unmounted, UnmountedError};
use crate::violations::{Kind, Violation};

/// Violations that wait for the disk, at most.
const QUEUE: usize = 1024;
/// How far back the like of a violation is looked for among them.
const LOOK_BACK: usize = 64;
/// How long a violation may wait for others like it.
const GATHER: Duration = Duration::from_millis(50);
/// Between two attempts where the disk takes nothing.
const RETRY: Duration = Duration::from_secs(1);

/// Hands over to the thread.
#[derive(Debug)]
pub(crate) struct Keeper {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    more: Condvar,
    journal: Journal,
    /// Locked while a file is written or removed.
    unmounted: Mutex<Unmounted>,
}

#[derive(Debug, Default)]
struct Queue {
    violations: VecDeque<Violation>,
    /// Violations there was no room for, and that no record tells of yet.
    lost: u64,
    /// Not yet on disk; what is here holds, whatever the files say.
    unmounted: BTreeMap<PluginId, Unmount>,
    closed: bool,
    status: HistoryStatus,
}

/// How the history on disk fares.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HistoryStatus {
    /// Records written.
    pub written: u64,
    /// Violations that had to be let go because the disk took none; the next record says so.
    pub lost: u64,
    /// Why the last attempt failed, if it did.
    pub error: Option<String>,
}

impl Keeper {
    /// Starts the thread.
    ///
    /// # Errors
    /// The folder or a file in it can't be written to.
    pub(crate) fn start(path: &Path, rules: HistoryRules) -> Result<Keeper, StateError> {
        let folder = StateDir::open(path)?;
        let unmounted = Unmounted::of(&folder)?;
        let failed = |source| StateError {
            action: "write the history in",
            path: path.to_owned(),
            source,
        };
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            more: Condvar::new(),
            journal: Journal::open(folder, rules).map_err(failed)?,
            unmounted: Mutex::new(unmounted),
        });
        let writer = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("cordon-keeper".into())
            .spawn(move || writer.run())
            .map_err(failed)?;
        Ok(Keeper {
            shared,
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Adds a violation to the history.
    pub(crate) fn record(&self, violation: &Violation) {
        let mut queue = self.shared.queue();
        if queue.violations.len() >= QUEUE {
            queue.lose(1);
        } else {
            queue.violations.push_back(violation.clone());
            self.shared.more.notify_one();
        }
    }

    /// Adds one more like an earlier one; `new` makes it where that one is written already.
    pub(crate) fn repeat(&self, plugin: &PluginId, kind: &Kind, new: impl FnOnce() -> Violation) {
        let mut queue = self.shared.queue();
        let mut latest = queue.violations.iter_mut().rev().take(LOOK_BACK);
        let same = latest.find(|one| one.plugin == *plugin && one.kind == *kind);
        if let Some(same) = same {
            same.repeated = same.repeated.saturating_add(1);
            return;
        }
        drop(queue);
        self.record(&new());
    }

    /// Keeps that a plugin is unmounted. From now on [`unmounted`](Self::unmounted) says so.
    pub(crate) fn unmount(&self, plugin: &PluginId, reason: Unmount) {
        self.shared.queue().unmounted.insert(plugin.clone(), reason);
        self.shared.more.notify_one();
    }

    /// Why a plugin is unmounted, if it is. Reads a file.
    ///
    /// # Errors
    /// It can't be known; the plugin must not be loaded.
    pub(crate) fn unmounted(&self, plugin: &PluginId) -> Result<Option<Unmount>, UnmountedError> {
        let files = lock(&self.shared.unmounted);
        let waiting = self.shared.queue().unmounted.get(plugin).copied();
        match waiting {
            Some(reason) => Ok(Some(reason)),
            None => files.get(plugin),
        }
    }

    /// Allows an unmounted plugin again; `false` where it isn't unmounted.
    ///
    /// # Errors
    /// It stays unmounted.
    pub(crate) fn enable(&self, plugin: &PluginId) -> Result<bool, StateError> {
        let files = lock(&self.shared.unmounted);
        let kept = files.enable(plugin)?;
        let waiting = self.shared.queue().unmounted.remove(plugin);
        Ok(kept || waiting.is_some())
    }

    /// Waits until everything is written, or can't be. What comes later isn't kept.
    pub(crate) fn close(&self) {
        self.shared.queue().closed = true;
        self.shared.more.notify_one();
        if let Some(thread) = lock(&self.thread).take() {
            thread.join().ok();
            let left = self.shared.queue().violations.len();
            if left > 0 {
                tracing::error!("{left} violations are in no history");
            }
        }
    }

    /// How the history fares.
    pub(crate) fn status(&self) -> HistoryStatus {
        self.shared.queue().status.clone()
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    fn run(&self) {
        loop {
            let closed = self.wait();
            let kept = self.write_unmounted();
            let written = self.write_history();
            if closed {
                return;
            }
            if kept && written {
                self.queue().status.error = None;
            } else {
                self.pause(RETRY);
            }
        }
    }

    /// Waits until there is something to write, and a little longer for more like it; `true`
    /// when no more will come.
    fn wait(&self) -> bool {
        let idle = |queue: &mut Queue| {
            queue.violations.is_empty() && queue.unmounted.is_empty() && !queue.closed
        };
        let queue = self.more.wait_while(self.queue(), idle);
        let queue = queue.unwrap_or_else(PoisonError::into_inner);
        let urgent = queue.closed || !queue.unmounted.is_empty();
        drop(queue);
        if !urgent {
            self.pause(GATHER);
        }
        self.queue().closed
    }

    /// Waits for a while, or until it is closed.
    fn pause(&self, time: Duration) {
        let open = |queue: &mut Queue| !queue.closed;
        drop(self.more.wait_timeout_while(self.queue(), time, open));
    }

    /// `false` where the disk doesn't take it; it holds all the same until the end.
    fn write_unmounted(&self) -> bool {
        loop {
            let files = lock(&self.unmounted);
            let next = self
                .queue()
                .unmounted
                .first_key_value()
                .map(|(id, why)| (id.clone(), *why));
            let Some((plugin, reason)) = next else {
                return true;
            };
            if let Err(error) = files.keep(&plugin, reason) {
                let error =
                    format!("{plugin} is unmounted until this supervisor ends, no longer: {error}");
                self.failed(error);
                return false;
            }
            self.queue().unmounted.remove(&plugin);
        }
    }

    /// `false` where the disk doesn't take all of it.
    fn write_history(&self) -> bool {
        let (mut violations, lost) = {
            let mut queue = self.queue();
            (std::mem::take(&mut queue.violations), queue.lost)
        };
        if violations.is_empty() {
            return true;
        }
        // Which of them came before what was lost isn't known any more: the first says it.
        let losses = std::iter::once(lost).chain(std::iter::repeat(0));
        let lines = violations.iter().zip(losses);
        let lines: Vec<_> = lines.map(|(one, lost)| line(one, lost)).collect();
        let result = self.journal.append(&lines);
        let written = match &result {
            Ok(()) => lines.len(),
            Err((written, _)) => *written,
        };
        violations.drain(..written);
        let mut queue = self.queue();
        queue.status.written += written as u64;
        if written > 0 {
            queue.lost -= lost;
        }
        let Err((_, error)) = result else {
            return true;
        };
        // They are tried again, and whatever came meanwhile is after them.
        violations.append(&mut queue.violations);
        let lost = violations.len().saturating_sub(QUEUE);
        violations.truncate(QUEUE);
        queue.violations = violations;
        queue.lose(lost as u64);
        drop(queue);
        self.failed(format!("violations aren't written: {error}"));
        false
    }

    /// Tells of an error, unless it is the one that was told of last.
    fn failed(&self, error: String) {
        let before = self.queue().status.error.replace(error.clone());
        if before.as_ref() != Some(&error) {
            tracing::error!("{error}");
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        lock(&self.queue)
    }
}

impl Queue {
    fn lose(&mut self, count: u64) {
        self.lost += count;
        self.status.lost += count;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
