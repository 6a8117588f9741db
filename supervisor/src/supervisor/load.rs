//! From a file to a plugin that serves.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use sandbox::cgroup::CpuMax;
use sandbox::plan::{Ids, ImageKey, Plan};
use sandbox::policy::{self, Tmpfs};
use sandbox::seccomp::Mode;

use super::{Entry, Shared, Supervisor};
use crate::grants::{Grants, Refused, intersect};
use crate::launcher::LauncherError;
use crate::lifecycle::{Event, Failure, IllegalTransition, State};
use crate::manifest::PluginId;
use crate::package::{Package, PackageError};
use crate::plugin::{Plugin, Record};
use crate::violations::Tracker;
use crate::worker::launch::{Request, launch};
use crate::worker::{LaunchError, Times, Worker};

/// Files and folders that a private `/tmp` may hold.
const TMP_INODES: u64 = 1024;

/// Why a plugin isn't loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The file isn't one that can be loaded.
    #[error(transparent)]
    Package(#[from] PackageError),
    /// It asks for more than policy allows.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// It was unmounted for its violations.
    #[error("plugin {plugin} is unmounted: {reason}; an operator must enable it first")]
    Unmounted {
        /// Which plugin.
        plugin: PluginId,
        /// Why.
        reason: crate::lifecycle::Unmount,
    },
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
    /// confines, attests, and only then lets it run. Its id is in its manifest.
    ///
    /// # Errors
    /// [`LoadError`].
    pub async fn load(&self, path: &Path) -> Result<PluginId, LoadError> {
        let (shared, path) = (Arc::clone(&self.shared), path.to_owned());
        let task = self.io.spawn(async move {
            let reading = Arc::clone(&shared);
            // Hashing takes milliseconds: not on the thread that serves everybody.
            let open = move || Package::open(&path, &reading.dirs, &reading.base);
            let package = tokio::task::spawn_blocking(open)
                .await
                .map_err(|_| LoadError::Stopped)??;
            shared.load(Arc::new(package)).await
        });
        task.await.unwrap_or(Err(LoadError::Stopped))
    }

    /// Loads a plugin again, from the bytes that were read first.
    ///
    /// # Errors
    /// [`LoadError`].
    pub async fn reload(&self, plugin: &PluginId) -> Result<(), LoadError> {
        let known = self
            .shared
            .plugins()
            .get(plugin)
            .map(|entry| Arc::clone(&entry.package));
        let package = known.ok_or_else(|| LoadError::Unknown(plugin.clone()))?;
        let shared = Arc::clone(&self.shared);
        let task = self
            .io
            .spawn(async move { shared.load(package).await.map(drop) });
        task.await.unwrap_or(Err(LoadError::Stopped))
    }
}

impl Shared {
    async fn load(self: &Arc<Self>, package: Arc<Package>) -> Result<PluginId, LoadError> {
        let id = package.manifest.id.clone();
        let rules = self.policy.rules(&id);
        let grants = intersect(&package.manifest, rules)?;
        let record = self.enter(&package);
        if let State::Unmounted { reason } = record.state() {
            return Err(LoadError::Unmounted { plugin: id, reason });
        }
        record
            .advance(Event::LoadRequested)
            .map_err(|source| LoadError::State {
                plugin: id.clone(),
                source,
            })?;
        record.launched();
        match self.launch(&package, grants, &record).await {
            Ok(worker) => {
                // Unmounted meanwhile, it is being killed already.
                record.advance(Event::Loaded).ok();
                self.follow(&id, worker);
                Ok(id)
            }
            Err(error) => {
                let reason = match &error {
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
                };
                // It may have been unmounted meanwhile, or unloaded.
                record.advance(Event::LoadFailed(reason)).ok();
                Err(error)
            }
        }
    }

    /// The plugin's record, made with its first load.
    fn enter(&self, package: &Arc<Package>) -> Arc<Record> {
        let id = &package.manifest.id;
        let mut plugins = self.plugins();
        let entry = plugins.entry(id.clone()).or_insert_with(|| {
            let tracker = Tracker::new(self.policy.rules(id).violations);
            let record = Record::new(id.clone(), tracker, self.events.clone());
            let package = Arc::clone(package);
            Entry {
                record: Arc::new(record),
                package,
                worker: None,
            }
        });
        Arc::clone(&entry.record)
    }

    async fn launch(
        self: &Arc<Self>,
        package: &Arc<Package>,
        grants: Grants,
        record: &Arc<Record>,
    ) -> Result<Arc<Worker>, LoadError> {
        let id = &package.manifest.id;
        let failed = |source: LaunchError| LoadError::Launch {
            plugin: id.clone(),
            source,
        };
        let setup = |source| {
            failed(LaunchError::Setup {
                what: "image",
                source,
            })
        };
        let key = package.image_key().map_err(setup)?;
        let files = package.files().map_err(setup)?;
        let made = self.launcher.image(key, files).await;
        made.map_err(|error: LauncherError| failed(error.into()))?;
        let uid = self.uids().as_mut().and_then(crate::uids::Uids::take);
        let uid = uid.ok_or_else(|| LoadError::NoUid(id.clone()))?;
        let number = self.launches.fetch_add(1, Ordering::Relaxed);
        let name = format!("{id}.{number}");
        let policy = confinement(&grants);
        let plan = Plan::resolve(&policy, name, Ids::Mapped(uid), key, self.filter.clone());
        let plugin = Arc::new(Plugin::new(
            package.manifest.clone(),
            grants,
            Arc::clone(record),
        ));
        self.replace(package, key);
        let (file, preload) = package.paths();
        let launcher = self.launcher.clone();
        let profile = Arc::clone(&self.profile);
        let times = Times {
            load: self.policy.load_deadline.as_duration(),
            grace: self.policy.call_grace.as_duration(),
        };
        let request = Request {
            plugin,
            launcher,
            plan,
            profile,
            times,
            file,
            preload,
        };
        let result = launch(request).await;
        match &result {
            Ok(worker) => self.give_back_at_end(uid, worker),
            Err(_) => self.give_back(uid),
        }
        result.map_err(failed)
    }

    /// This package is the plugin's now; the image of another one before it has no use.
    fn replace(&self, package: &Arc<Package>, key: ImageKey) {
        let mut plugins = self.plugins();
        let Some(entry) = plugins.get_mut(&package.manifest.id) else {
            return;
        };
        let before = std::mem::replace(&mut entry.package, Arc::clone(package));
        let stale = before.image_key().ok().filter(|before| *before != key);
        if let Some(stale) = stale {
            self.launcher.evict(stale);
        }
    }

    /// Registers a worker, and forgets it when it ends.
    fn follow(self: &Arc<Self>, id: &PluginId, worker: Arc<Worker>) {
        if let Some(entry) = self.plugins().get_mut(id) {
            entry.worker = Some(Arc::clone(&worker));
        }
        let (shared, id) = (Arc::downgrade(self), id.clone());
        tokio::spawn(async move {
            worker.ended().await;
            let Some(shared) = shared.upgrade() else {
                return;
            };
            let mut plugins = shared.plugins();
            let Some(entry) = plugins.get_mut(&id) else {
                return;
            };
            if entry
                .worker
                .as_ref()
                .is_some_and(|current| Arc::ptr_eq(current, &worker))
            {
                entry.worker = None;
            }
        });
    }

    fn give_back_at_end(self: &Arc<Self>, uid: u32, worker: &Arc<Worker>) {
        let (shared, worker) = (Arc::downgrade(self), Arc::clone(worker));
        tokio::spawn(async move {
            worker.ended().await;
            if let Some(shared) = shared.upgrade() {
                shared.give_back(uid);
            }
        });
    }

    fn give_back(&self, uid: u32) {
        if let Some(uids) = self.uids().as_mut() {
            uids.give_back(uid);
        }
    }
}

/// What the grants mean for the sandbox: the kernel enforces hard limits.
fn confinement(grants: &Grants) -> policy::Policy {
    let limits = &grants.limits;
    let small = |count: crate::units::Count| u32::try_from(count.as_u64()).unwrap_or(u32::MAX);
    let granted = |name: &crate::manifest::EnvName| {
        let value = std::env::var(name.as_str()).ok()?;
        Some((name.as_str().to_owned(), value))
    };
    policy::Policy {
        memory: limits.heap.hard().as_u64(),
        threads: small(limits.threads.hard()),
        cpu: CpuMax::default(),
        fds: limits.fds.hard().as_u64(),
        file_size: limits.disk.hard().as_u64(),
        tmp: grants.tmp.map(|bytes| Tmpfs {
            bytes: bytes.as_u64(),
            inodes: TMP_INODES,
        }),
        environment: grants
            .env
            .iter()
            .filter_map(granted)
            .collect::<BTreeMap<_, _>>(),
        mode: Mode::Strict,
    }
}
