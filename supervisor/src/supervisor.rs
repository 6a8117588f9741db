//! The library's front: load plugins, call them, unload them, ask how they are.
//!
//! A supervisor has one I/O thread, on which every worker's tasks run; its methods can
//! be awaited on any runtime.

mod backtrace;
mod builder;
mod call;
mod confinement;
mod crashes;
mod fds;
mod lease;
mod load;
mod monitor;
mod pressure;
mod restart;
mod status;
mod unmounted;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};

use sandbox::report::Report;
use tokio::runtime::Handle;
use tokio::sync::{broadcast, watch};

pub use crate::keeper::HistoryStatus;
pub(crate) use builder::cgroup_place;
pub use builder::{Builder, CGROUP_PARENT, StartError};
pub use call::{Call, CallError, Verdict};
pub(crate) use confinement::confinement;
pub use fds::TooFewFds;
pub(crate) use fds::raise_limit as raise_fd_limit;
pub use load::LoadError;
pub use status::PluginStatus;

use crate::config::Policy;
use crate::connections::Connection;
use crate::crash::Desk;
use crate::elf::{Library, LibraryDirs};
use crate::filters::Filters;
use crate::launcher::Launcher;
use crate::lifecycle::{self, Action, IllegalTransition};
use crate::manifest::PluginId;
use crate::metrics::Metrics;
use crate::package::Package;
use crate::plugin::{Event, Output, Record, Speaker};
use crate::state::{StateDir, StateError};
use crate::trust::Holdings;
use crate::uids::Uids;
use crate::worker::Worker;
use status::Seen;

/// Runs plugins, each in a confined worker of its own.
///
/// Dropping it kills every worker and waits until nothing of them is left.
#[derive(Debug)]
pub struct Supervisor {
    shared: Arc<Shared>,
    io: Handle,
    thread: Option<std::thread::JoinHandle<()>>,
    stop: Option<watch::Sender<()>>,
}

/// What all tasks share.
#[derive(Debug)]
struct Shared {
    policy: Policy,
    /// Nothing where the host wants nothing on disk.
    state: Option<StateDir>,
    launcher: Launcher,
    dirs: LibraryDirs,
    /// Sonames that every worker has.
    base: Vec<String>,
    /// Controls that no worker can have on this host.
    foreseen: Report,
    filters: Filters,
    /// Nothing where workers run under the caller's own id.
    uids: Mutex<Option<Uids>>,
    plugins: Mutex<BTreeMap<PluginId, Entry>>,
    images: Mutex<lease::Images>,
    holdings: Holdings,
    launches: std::sync::atomic::AtomicU64,
    speaker: Speaker,
    rota: Mutex<monitor::Rota>,
    /// Done once stalls are watched.
    pressure: Once,
    desk: Arc<Desk>,
    published: watch::Sender<Arc<Metrics>>,
}

/// One plugin of the registry.
#[derive(Debug)]
struct Entry {
    /// The one file that may claim this id.
    file: PathBuf,
    record: Arc<Record>,
    package: Arc<Package>,
    worker: Option<Arc<Worker>>,
}

/// There is no plugin of that id, or it is in no state for it.
#[derive(Debug, thiserror::Error)]
pub enum ManageError {
    /// Nothing of that id was ever loaded.
    #[error("there is no plugin {0}")]
    Unknown(PluginId),
    /// Its state doesn't allow it.
    #[error("plugin {plugin}: {source}")]
    State {
        /// Which plugin.
        plugin: PluginId,
        /// Why not.
        source: IllegalTransition,
    },
    /// The folder for state can't be changed.
    #[error(transparent)]
    Disk(#[from] StateError),
}

impl Supervisor {
    /// Prepares a supervisor under the default policy.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Violations and changes of state from now on. The latest 4096 are kept for a receiver
    /// that is slow; whatever plugins say takes none of that room.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.shared.speaker.events.subscribe()
    }

    /// What plugins print, log and emit from now on. The latest 1024 are kept for a receiver
    /// that is slow, 24 MiB at most.
    #[must_use]
    pub fn subscribe_output(&self) -> broadcast::Receiver<Output> {
        self.shared.speaker.output.subscribe()
    }

    /// Every plugin that was ever loaded, by id.
    #[must_use]
    pub fn list(&self) -> Vec<PluginStatus> {
        // Built without the registry, which every call needs.
        let seen: Vec<Seen> = self.shared.plugins().values().map(Seen::of).collect();
        seen.iter().map(Seen::status).collect()
    }

    /// One plugin.
    #[must_use]
    pub fn status(&self, plugin: &PluginId) -> Option<PluginStatus> {
        let seen = self.shared.plugins().get(plugin).map(Seen::of)?;
        Some(seen.status())
    }

    /// What was read back of the confinement of a plugin's worker, while it has one.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use std::path::Path;
    ///
    /// use cordon_supervisor::Supervisor;
    ///
    /// let supervisor = Supervisor::builder().start().await?;
    /// let greet = supervisor.load(Path::new("libgreet.so")).await?;
    /// let report = supervisor.report(&greet).ok_or("it has ended")?;
    /// for finding in &report.findings {
    ///     println!("{}", finding.sentence());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn report(&self, plugin: &PluginId) -> Option<Report> {
        Some(self.worker(plugin)?.report().clone())
    }

    /// The plugin's worker, while it has one.
    #[must_use]
    pub fn worker(&self, plugin: &PluginId) -> Option<Arc<Worker>> {
        self.shared
            .plugins()
            .get(plugin)
            .and_then(|entry| entry.worker.clone())
    }

    /// Asks the plugin to shut down, within the grace time, and ends its worker; one that is
    /// being loaded is given up. What was counted of it is kept. Nothing is left of the
    /// worker when this returns.
    ///
    /// # Errors
    /// [`ManageError`].
    pub async fn unload(&self, plugin: &PluginId) -> Result<(), ManageError> {
        let (shared, id) = (Arc::clone(&self.shared), plugin.clone());
        let task = self.io.spawn(async move { shared.unload(&id).await });
        task.await
            .unwrap_or_else(|_| Err(ManageError::Unknown(plugin.clone())))
    }

    /// How the history on disk fares; nothing where there is none.
    #[must_use]
    pub fn history(&self) -> Option<HistoryStatus> {
        let keeper = self.shared.speaker.keeper.as_ref()?;
        Some(keeper.status())
    }

    /// The policy that it was started with.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.shared.policy
    }

    /// The folder that it keeps state in, if any.
    #[must_use]
    pub fn state_dir(&self) -> Option<&Path> {
        self.shared.state.as_ref().map(StateDir::path)
    }

    /// Every plugin's metrics now, with the usage of the last audit.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        self.shared.metrics()
    }

    /// Every plugin's metrics now, and again after each audit of all.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// # let supervisor = cordon_supervisor::Supervisor::builder().start().await?;
    /// let mut metrics = supervisor.watch_metrics();
    /// loop {
    ///     for plugin in &metrics.borrow_and_update().plugins {
    ///         println!("{}: {} calls", plugin.id, plugin.counters.calls);
    ///     }
    ///     metrics.changed().await?;
    /// }
    /// # }
    /// ```
    #[must_use]
    pub fn watch_metrics(&self) -> watch::Receiver<Arc<Metrics>> {
        let receiver = self.shared.published.subscribe();
        self.shared.publish();
        receiver
    }

    /// The connections of every plugin that was granted a network, the first 1024 of each; the
    /// host's network is read once. Takes milliseconds for each namespace, on this thread.
    #[must_use]
    pub fn connections(&self) -> BTreeMap<PluginId, Vec<Connection>> {
        let mut hosts = None;
        let connections = |worker: Arc<Worker>| {
            let found = worker.connections(&mut hosts)?;
            Some((worker.plugin.id().clone(), found))
        };
        self.shared
            .workers()
            .into_iter()
            .filter_map(connections)
            .collect()
    }

    /// Reads usage of every worker now, and holds it against the limits.
    pub fn audit(&self) {
        self.shared.audit();
    }
}

fn advance(
    record: &Record,
    plugin: &PluginId,
    event: lifecycle::Event,
) -> Result<Option<Action>, ManageError> {
    record.advance(event).map_err(|source| ManageError::State {
        plugin: plugin.clone(),
        source,
    })
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        // The thread's runtime ends with its tasks, the last handle of the launcher with
        // them; the launcher then kills all workers, and is waited for.
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

impl Shared {
    fn plugins(&self) -> MutexGuard<'_, BTreeMap<PluginId, Entry>> {
        self.plugins.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rota(&self) -> MutexGuard<'_, monitor::Rota> {
        self.rota.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn uids(&self) -> MutexGuard<'_, Option<Uids>> {
        self.uids.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn unload(&self, id: &PluginId) -> Result<(), ManageError> {
        let (record, action, worker) = {
            let plugins = self.plugins();
            let entry = plugins
                .get(id)
                .ok_or_else(|| ManageError::Unknown(id.clone()))?;
            // While the registry is locked no load can come between the two.
            let action = advance(&entry.record, id, lifecycle::Event::UnloadRequested)?;
            (Arc::clone(&entry.record), action, entry.worker.clone())
        };
        if let (Some(Action::ShutDown), Some(worker)) = (action, worker) {
            worker.shut_down(self.policy.call_grace.as_duration()).await;
        }
        // A launch watches the state, gives itself up, and says when nothing is left of it.
        record.not_unloading().await;
        Ok(())
    }
}

/// A library's soname as the launcher takes it.
fn sonames(libraries: &[Library]) -> Vec<String> {
    libraries
        .iter()
        .map(|library| library.soname.to_string())
        .collect()
}
