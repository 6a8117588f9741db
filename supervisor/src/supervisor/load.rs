//! From a file to a plugin that serves.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use sandbox::files::locate::LocateError;
use sandbox::plan::Plan;
use sandbox::policy::FileGrant;
use sandbox::seccomp::Granted;
use sandbox::weaken::weakened;

use super::confinement::{bandwidth, confinement, resources};
use super::lease::Lease;
use super::{Entry, Shared, Supervisor, TooFewFds, fds};
use crate::ending::Ending;
use crate::files::{disks, located};
use crate::filters::FilterError;
use crate::grants::{Grants, Refused, intersect};
use crate::lifecycle::{Action, Event, Failure, IllegalTransition, State};
use crate::manifest::PluginId;
use crate::package::{Package, PackageError};
use crate::plugin::{Cause, Plugin, Record};
use crate::restart::Restarts;
use crate::state::UnmountedError;
use crate::violations::Tracker;
use crate::worker::launch::{Request, launch};
use crate::worker::{LaunchError, Times, Worker};

/// Why a plugin isn't loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file isn't one that can be loaded.
    #[error(transparent)]
    Package(#[from] PackageError),
    /// It asks for more than policy allows.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// No filter can be had for its grants.
    #[error("plugin {plugin}: {source}")]
    Filter {
        /// Which plugin.
        plugin: PluginId,
        /// Why.
        source: FilterError,
    },
    /// It was unmounted for its violations.
    #[error(
        "plugin {plugin} is unmounted: {reason}; an operator must enable it first (cordon enable {plugin})"
    )]
    Unmounted {
        /// Which plugin.
        plugin: PluginId,
        /// Why.
        reason: crate::lifecycle::Unmount,
    },
    /// Whether it is unmounted can't be known.
    #[error(transparent)]
    Kept(#[from] UnmountedError),
    /// It is in no state to be loaded.
    #[error("plugin {plugin}: {source}")]
    State {
        /// Which plugin.
        plugin: PluginId,
        /// Why not.
        source: IllegalTransition,
    },
    /// Nothing of that id was ever loaded.
    #[error("there is no plugin {0}")]
    Unknown(PluginId),
    /// Another file was loaded under its id before. Ids are claims: the first file has it
    /// for as long as the supervisor runs.
    #[error("plugin id {plugin} is taken by {}; {} claims it too", by.display(), claimant.display())]
    Taken {
        /// The id.
        plugin: PluginId,
        /// The file that has it.
        by: PathBuf,
        /// The file that isn't loaded.
        claimant: PathBuf,
    },
    /// File descriptors run short.
    #[error("plugin {plugin}: {source}")]
    Fds {
        /// Which plugin.
        plugin: PluginId,
        /// How short.
        source: TooFewFds,
    },
    /// Every host id of this supervisor is in use.
    #[error("plugin {0}: every user id of this supervisor's range is in use")]
    NoUid(PluginId),
    /// The sandbox couldn't be built, or the plugin didn't come up in it.
    #[error("plugin {plugin}: {source}")]
    Launch {
        /// Which plugin.
        plugin: PluginId,
        /// Why.
        source: LaunchError,
    },
    /// The supervisor is shutting down.
    #[error("the supervisor is shutting down")]
    Stopped,
}

impl Supervisor {
    /// Loads the plugin in `path` into a worker of its own: reads it once, checks it,
    /// confines, attests, and only then lets it run. Its id is in its manifest, and no other
    /// file may claim the same. A file that has changed since is loaded as it is now, with an
    /// empty context.
    ///
    /// # Errors
    /// [`LoadError`].
    pub async fn load(&self, path: &Path) -> Result<PluginId, LoadError> {
        let (shared, path) = (Arc::clone(&self.shared), path.to_owned());
        let task = self.io.spawn(async move {
            let reading = Arc::clone(&shared);
            // Hashing takes milliseconds: not on the thread that serves everybody.
            let open = move || {
                // Where it can't be resolved it can't be opened either, and that error says why.
                let file = std::fs::canonicalize(&path).unwrap_or_else(|_| path.clone());
                let mut package = Package::open(&path, &reading.dirs, &reading.base)?;
                package.sealed = reading.holdings.share(package.sealed);
                Ok::<_, PackageError>((package, file))
            };
            let (package, file) = tokio::task::spawn_blocking(open)
                .await
                .map_err(|_| LoadError::Stopped)??;
            shared.load(Arc::new(package), file, Cause::Asked).await
        });
        task.await.unwrap_or(Err(LoadError::Stopped))
    }

    /// Loads a plugin again, from the bytes that were read last.
    ///
    /// # Errors
    /// [`LoadError`].
    pub async fn reload(&self, plugin: &PluginId) -> Result<(), LoadError> {
        let known = self
            .shared
            .plugins()
            .get(plugin)
            .map(|entry| (Arc::clone(&entry.package), entry.file.clone()));
        let (package, file) = known.ok_or_else(|| LoadError::Unknown(plugin.clone()))?;
        let shared = Arc::clone(&self.shared);
        let task = self
            .io
            .spawn(async move { shared.load(package, file, Cause::Asked).await.map(drop) });
        task.await.unwrap_or(Err(LoadError::Stopped))
    }
}

impl Shared {
    pub(super) async fn load(
        self: &Arc<Self>,
        package: Arc<Package>,
        file: PathBuf,
        cause: Cause,
    ) -> Result<PluginId, LoadError> {
        let id = package.manifest.id.clone();
        let grants = intersect(&package.manifest, self.policy.rules(&id))?;
        let record = self.enter(&package, &file, &grants)?;
        self.allowed(&id, &record).await?;
        fds::enough(self.loading()).map_err(|source| LoadError::Fds {
            plugin: id.clone(),
            source,
        })?;
        let (manifest, digest) = (package.manifest.clone(), package.sealed.digest());
        let plugin = Plugin::begin(manifest, grants, digest, record, cause);
        let plugin = Arc::new(plugin.map_err(|source| LoadError::State { plugin: id, source })?);
        self.replace(&package);
        match self.launch(&package, &plugin).await {
            Ok((worker, lease)) => self.admit(&plugin, &worker, lease).await,
            Err(error) => {
                // Nothing is left of it that could be killed.
                plugin.news(Event::LoadFailed(failure(&error)));
                self.restart_when_due(&plugin.record);
                Err(error)
            }
        }
    }

    /// The plugin's record, made with its first load.
    fn enter(
        &self,
        package: &Arc<Package>,
        file: &Path,
        grants: &Grants,
    ) -> Result<Arc<Record>, LoadError> {
        let id = &package.manifest.id;
        let mut plugins = self.plugins();
        let entry = plugins.entry(id.clone()).or_insert_with(|| {
            let rules = self.policy.rules(id);
            let tracker = Tracker::new(rules.violations);
            let restarts = Restarts::new(rules.restart);
            let (digest, speaker) = (package.sealed.digest(), self.speaker.clone());
            let limits = &grants.limits;
            let record = Record::new(id.clone(), tracker, digest, limits, restarts, speaker);
            Entry {
                file: file.to_owned(),
                record: Arc::new(record),
                package: Arc::clone(package),
                worker: None,
            }
        });
        if entry.file != file {
            return Err(LoadError::Taken {
                plugin: id.clone(),
                by: entry.file.clone(),
                claimant: file.to_owned(),
            });
        }
        Ok(Arc::clone(&entry.record))
    }

    /// Launches under way.
    fn loading(&self) -> usize {
        let loading = |entry: &&Entry| entry.record.state() == State::Loading;
        self.plugins().values().filter(loading).count()
    }

    async fn launch(
        self: &Arc<Self>,
        package: &Arc<Package>,
        plugin: &Arc<Plugin>,
    ) -> Result<(Arc<Worker>, Lease), LoadError> {
        let id = plugin.id();
        let failed = |source: LaunchError| LoadError::of_launch(id, source);
        let setup = |source| {
            failed(LaunchError::Setup {
                what: "image",
                source,
            })
        };
        let mut policy = confinement(&plugin.grants);
        let rules = self.policy.rules(id).resources;
        policy.resources = resources(rules, policy.memory);
        let demands = policy.demands(&self.policy.rules(id).demands);
        if !weakened() {
            let possible = self.foreseen.may_meet(&demands);
            possible.map_err(|unmet| failed(Box::new(unmet).into()))?;
        }
        let key = package.image_key().map_err(setup)?;
        let lease = self
            .lease(key)
            .ok_or_else(|| LoadError::NoUid(id.clone()))?;
        let files = package.files().map_err(setup)?;
        let made = self.launcher.image(key, files).await;
        made.map_err(|error| failed(error.into()))?;
        let number = self.launches.fetch_add(1, Ordering::Relaxed);
        let name = format!("{id}.{number}");
        if !policy.files.is_empty() {
            let (files, disks) = found(id, std::mem::take(&mut policy.files)).await?;
            policy.files = files;
            policy.resources.io.max = bandwidth(rules, disks);
        }
        let set = &self.policy.rules(id).seccomp;
        let filter = self.filters.of(id, set, Granted::of(&policy));
        let filter = filter.map_err(|source| LoadError::Filter {
            plugin: id.clone(),
            source,
        })?;
        let (file, preload) = package.paths();
        let mut plan = Plan::resolve(&policy, name, lease.ids, key, filter.program.clone());
        if self.launcher.without_cgroup().is_some() {
            plan = plan.without_cgroup();
        }
        let request = Request {
            plugin: Arc::clone(plugin),
            launcher: self.launcher.clone(),
            desk: Arc::clone(&self.desk),
            plan,
            filter,
            package: Arc::clone(package),
            times: self.times(),
            demands,
            file,
            preload,
        };
        let worker = launch(request).await.map_err(failed)?;
        Ok((worker, lease))
    }

    fn times(&self) -> Times {
        Times {
            load: self.policy.load_deadline.as_duration(),
            grace: self.policy.call_grace.as_duration(),
            attest: self.policy.attest_interval.as_duration(),
        }
    }

    /// This package is the plugin's now; the image of another one before it has no use.
    fn replace(&self, package: &Arc<Package>) {
        let mut plugins = self.plugins();
        let Some(entry) = plugins.get_mut(&package.manifest.id) else {
            return;
        };
        let before = std::mem::replace(&mut entry.package, Arc::clone(package));
        if before.sealed.digest() != package.sealed.digest()
            && let Ok(stale) = before.image_key()
        {
            self.discard(stale);
        }
    }

    /// Lets calls through to a worker. If its plugin isn't wanted any more, or it ended
    /// already, nothing is left of it when this returns.
    async fn admit(
        self: &Arc<Self>,
        plugin: &Plugin,
        worker: &Arc<Worker>,
        lease: Lease,
    ) -> Result<PluginId, LoadError> {
        let id = plugin.id();
        let refused = {
            let mut plugins = self.plugins();
            // While the registry is locked nobody sees an active plugin without its worker.
            let action = plugin.news(Event::Loaded);
            if action.is_none()
                && let Some(entry) = plugins.get_mut(id)
            {
                entry.worker = Some(Arc::clone(worker));
                self.rota().add(worker);
                self.watch_pressure(worker);
            }
            action == Some(Action::Kill)
        };
        self.follow(id, worker, lease);
        if !refused {
            return Ok(id.clone());
        }
        worker.kill(Ending::Unloaded);
        Err(LoadError::Launch {
            plugin: id.clone(),
            source: LaunchError::Ended(worker.ended().await),
        })
    }

    /// Forgets a worker when it ends, and gives back what it had.
    fn follow(self: &Arc<Self>, id: &PluginId, worker: &Arc<Worker>, lease: Lease) {
        let (shared, id, worker) = (Arc::downgrade(self), id.clone(), Arc::clone(worker));
        tokio::spawn(async move {
            worker.ended().await;
            drop(lease);
            let Some(shared) = shared.upgrade() else {
                return;
            };
            let mut plugins = shared.plugins();
            let Some(entry) = plugins.get_mut(&id) else {
                return;
            };
            let current = entry.worker.as_ref();
            if current.is_some_and(|current| Arc::ptr_eq(current, &worker)) {
                entry.worker = None;
            }
            let record = Arc::clone(&entry.record);
            drop(plugins);
            shared.restart_when_due(&record);
        });
    }
}

impl LoadError {
    fn of_launch(plugin: &PluginId, source: LaunchError) -> LoadError {
        let plugin = plugin.clone();
        match TooFewFds::behind(&source) {
            Some(source) => LoadError::Fds { plugin, source },
            None => LoadError::Launch { plugin, source },
        }
    }
}

/// What granted files are, and the disks that they are on.
async fn found(plugin: &PluginId, files: Vec<FileGrant>) -> Result<Found, LoadError> {
    let found = move || {
        let files = located(files)?;
        let disks = disks(&files);
        Ok::<_, LocateError>((files, disks))
    };
    // A file system that doesn't answer must not keep the others waiting.
    let found = tokio::task::spawn_blocking(found).await;
    let found = found.map_err(|_| LoadError::Stopped)?;
    found.map_err(|error| LoadError::of_launch(plugin, error.into()))
}

type Found = (Vec<FileGrant>, BTreeSet<(u32, u32)>);

/// What the plugin's state says of a load that failed.
pub(super) fn failure(error: &LoadError) -> Failure {
    match error {
        LoadError::Launch {
            source: LaunchError::Ended(ending),
            ..
        } => Failure::Ended {
            ending: ending.clone(),
        },
        LoadError::Launch { source, .. } => Failure::Load {
            detail: source.to_string(),
        },
        other => Failure::Load {
            detail: other.to_string(),
        },
    }
}
