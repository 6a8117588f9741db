//! Starting a supervisor: program, libraries, ids, launcher, I/O thread.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use sandbox::ceiling::{Ceiling, MostGranted};
use sandbox::cgroup::{Place, own_name};
use sandbox::report::Control;
use sandbox::seccomp::{BuiltinError, init_program};
use sandbox::support::foreseen;
use tokio::sync::{Notify, oneshot, watch};

use super::crashes::attend;
use super::{Shared, Supervisor, fds, sonames};
use crate::alerts::{Alert, Alerts, Callback};
use crate::config::{Grantable, Network, Policy};
use crate::crash::Desk;
use crate::elf::{Closure, ClosureError, Dynamic, ElfError, LibraryDirs, LibraryDirsError};
use crate::files::allowed;
use crate::filters::Filters;
use crate::keeper::Keeper;
use crate::launcher::{Launcher, LauncherError};
use crate::manifest::{Nice, Realtime};
use crate::metrics::Metrics;
use crate::paths::{PathError, runtime_folder};
use crate::plugin::Speaker;
use crate::program::{Program, ProgramError};
use crate::state::{StateDir, StateError};
use crate::trust::Holdings;
use crate::uids::{UidError, Uids};

/// Most workers of one supervisor at a time.
pub(super) const MAX_WORKERS: usize = 2048;
/// Most memory that a policy can give one worker.
const MAX_MEMORY: u64 = 1 << 40;
/// Most tasks that a policy can give one worker.
const MAX_TASKS: u32 = 8192;

/// Supervisors of this process so far.
static STARTED: AtomicU64 = AtomicU64::new(0);

/// Environment variable for [`Builder::cgroup_parent`].
pub const CGROUP_PARENT: &str = "CORDON_CGROUP_PARENT";

/// Prepares a [`Supervisor`].
#[derive(Debug, Clone, Default)]
pub struct Builder {
    policy: Policy,
    worker: Option<PathBuf>,
    cgroup_parent: Option<PathBuf>,
    state_dir: Option<PathBuf>,
    on_violation: Option<Callback>,
}

/// Why no supervisor can be had.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The worker's program.
    #[error(transparent)]
    Program(#[from] ProgramError),
    /// The worker's program isn't one for this machine.
    #[error("the worker program: {0}")]
    Elf(#[from] ElfError),
    /// A library of the worker's program.
    #[error(transparent)]
    Closure(#[from] ClosureError),
    /// The folders of libraries.
    #[error(transparent)]
    Dirs(#[from] LibraryDirsError),
    /// The folder for locks.
    #[error(transparent)]
    Paths(#[from] PathError),
    /// The folder for state.
    #[error("{0}; name another folder for state")]
    State(#[from] StateError),
    /// Ids for workers.
    #[error(transparent)]
    Uids(#[from] UidError),
    /// The built-in profile of init.
    #[error(transparent)]
    Profile(#[from] BuiltinError),
    /// The launcher.
    #[error(transparent)]
    Launcher(#[from] LauncherError),
    /// Its own start time, which its cgroup is named after.
    #[error("can't read this process's start time (is /proc mounted?): {0}")]
    Start(#[from] procfs::ProcError),
    /// Threads, pipes.
    #[error("can't start the I/O thread: {0}")]
    Thread(#[from] std::io::Error),
}

impl Builder {
    /// The operator's policy; without one the built-in defaults hold.
    #[must_use]
    pub fn policy(mut self, policy: Policy) -> Builder {
        self.policy = policy;
        self
    }

    /// The worker's program, `cordon-worker`. Else it is looked for beside the running
    /// executable, then by the environment variable `CORDON_WORKER`.
    #[must_use]
    pub fn worker_program(mut self, path: impl Into<PathBuf>) -> Builder {
        self.worker = Some(path.into());
        self
    }

    /// The cgroup below which the workers' groups are made, as `/proc/self/cgroup` names it,
    /// the same in every hierarchy. Else the environment variable [`CGROUP_PARENT`] names it;
    /// else it is the topmost for root, and for anybody else the one that this process is in,
    /// which must be delegated to them (systemd: `Delegate=yes`).
    ///
    /// On cgroup v2 this process must not be outside of it, and is moved into a leaf of it if
    /// it is in that group itself; no other process may be.
    #[must_use]
    pub fn cgroup_parent(mut self, path: impl Into<PathBuf>) -> Builder {
        self.cgroup_parent = Some(path.into());
        self
    }

    /// The folder for what outlives this supervisor, see [`crate::state`]; it is made where it
    /// is missing, for this user alone. Several supervisors may have the same. Else nothing is
    /// written to disk.
    #[must_use]
    pub fn state_dir(mut self, path: impl Into<PathBuf>) -> Builder {
        self.state_dir = Some(path.into());
        self
    }

    /// A function that is told of each violation, once it is recorded, whatever its severity;
    /// of those that are only counted because they come too fast to be looked at it isn't.
    ///
    /// It runs on a thread of its own, one violation after the other, and should not block:
    /// 1024 wait for it, beyond them it misses the oldest, and is told how many. A panic of it
    /// ends nothing. The supervisor's end waits five seconds for it at most.
    #[must_use]
    pub fn on_violation(mut self, tell: impl Fn(&Alert) + Send + Sync + 'static) -> Builder {
        self.on_violation = Some(Callback(Arc::new(tell)));
        self
    }

    /// Starts the launcher and the I/O thread. Raises this process's soft limit on open
    /// files (RLIMIT_NOFILE) to its hard limit, since each worker takes some twenty; and the
    /// hard limit where it is too low for 2,048 workers and the process may raise it.
    ///
    /// # Errors
    /// [`StartError`]; nothing is left running then.
    pub async fn start(self) -> Result<Supervisor, StartError> {
        let (stop, stopped) = watch::channel(());
        let (ready, started) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let io = runtime.handle().clone();
        let thread = std::thread::Builder::new()
            .name("cordon-io".into())
            .spawn(move || {
                runtime.block_on(run(self, ready, stopped));
                // Tasks go first, then the launcher is waited for.
                drop(runtime);
            })?;
        let ended = || std::io::Error::other("it ended at once");
        match started.await.map_err(|_| StartError::Thread(ended()))? {
            Ok(shared) => Ok(Supervisor {
                shared,
                io,
                thread: Some(thread),
                stop: Some(stop),
            }),
            Err(error) => {
                thread.join().ok();
                Err(error)
            }
        }
    }
}

/// The I/O thread's main task.
async fn run(
    builder: Builder,
    ready: oneshot::Sender<Result<Arc<Shared>, StartError>>,
    mut stopped: watch::Receiver<()>,
) {
    let (desk, cases) = Desk::new();
    match builder.prepare(desk).await {
        Ok(shared) => {
            let closing = Arc::new(Notify::new());
            let crashes = attend(Arc::downgrade(&shared), cases, Arc::clone(&closing));
            let crashes = tokio::spawn(crashes);
            // Backtraces are worked out by the launcher's workers.
            let until_then = Arc::clone(&shared);
            let audit = tokio::spawn(super::monitor::poll(Arc::downgrade(&shared)));
            let launcher = shared.launcher.clone();
            let speaker = shared.speaker.clone();
            if ready.send(Ok(shared)).is_ok() {
                // An error is what it waits for: the sender is gone.
                while stopped.changed().await.is_ok() {}
            }
            audit.abort();
            closing.notify_one();
            crashes.await.ok();
            drop(until_then);
            launcher.stop().await;
            // The last that is heard of workers is what their end brings.
            speaker.close();
        }
        Err(error) => {
            ready.send(Err(error)).ok();
        }
    }
}

impl Builder {
    async fn prepare(self, desk: Desk) -> Result<Arc<Shared>, StartError> {
        // Before the launcher, which inherits the limit.
        fds::raise_limit();
        let state = self.state_dir.as_deref().map(StateDir::open).transpose()?;
        let mut speaker = Speaker::default();
        if let Some(state) = &state {
            speaker.keeper = Some(Keeper::start(state.path(), self.policy.history)?.into());
        }
        if let Some(callback) = self.on_violation {
            speaker.alerts = Some(Alerts::start(callback)?.into());
        }
        let program = Program::find(self.worker.as_deref())?;
        let dirs = LibraryDirs::system(&self.policy.library_dirs)?;
        let dynamic = Dynamic::of_program(&program.path, program.bytes.as_slice())?;
        let closure = Closure::resolve(&program.path, &dynamic, &dirs)?;
        let base: Vec<_> = closure.into_iter().collect();
        let uids = match rustix::process::geteuid().is_root() {
            true => Some(Uids::lock(&runtime_folder()?)?),
            false => None,
        };
        let ceiling = Ceiling {
            uids: uids.as_ref().map_or(0..0, Uids::range),
            cgroup_place: cgroup_place(self.cgroup_parent.as_deref()),
            cgroup_name: own_name(STARTED.fetch_add(1, Ordering::Relaxed))?,
            cgroup_optional: self.policy.may_lack(Control::Cgroup),
            memory: MAX_MEMORY,
            tasks: MAX_TASKS,
            workers: MAX_WORKERS,
            granted: most_granted(&self.policy),
        };
        let names = sonames(&base);
        let init = init_program()?;
        let lock = uids.as_ref().map(|uids| uids.lock_fd().as_fd());
        let launcher = Launcher::start(&program, ceiling, base, init, lock).await?;
        Ok(Arc::new(Shared {
            policy: self.policy,
            state,
            launcher,
            dirs,
            base: names,
            foreseen: foreseen(),
            filters: Filters::default(),
            uids: Mutex::new(uids),
            plugins: Mutex::default(),
            images: Mutex::default(),
            holdings: Holdings::default(),
            launches: AtomicU64::new(0),
            speaker,
            rota: Mutex::default(),
            pressure: std::sync::Once::new(),
            desk: Arc::new(desk),
            published: watch::Sender::new(Arc::new(Metrics::now([]))),
        }))
    }
}

/// Where workers' groups go: what is named, else what the environment names, else by user.
pub(crate) fn cgroup_place(parent: Option<&Path>) -> Place {
    let variable = || std::env::var_os(CGROUP_PARENT).map(PathBuf::from);
    match parent.map(Path::to_owned).or_else(variable) {
        Some(group) => Place::Below(group),
        None if rustix::process::geteuid().is_root() => Place::Below("/".into()),
        None => Place::Own,
    }
}

/// The most that policy grants to any plugin.
fn most_granted(policy: &Policy) -> MostGranted {
    let grants = || policy.all_rules().map(|rules| &rules.grants);
    let most = |amount: fn(&Grantable) -> u64| grants().map(amount).max().unwrap_or(0);
    let capabilities = grants().flat_map(|grants| &grants.capabilities);
    MostGranted {
        files: allowed(policy),
        host_network: grants().any(|grants| grants.net == Network::Full),
        capabilities: capabilities.map(|one| (*one).into()).collect(),
        locked_memory: most(|grants| grants.locked_memory.as_u64()),
        nice: most(|grants| grants.nice.map_or(0, Nice::rlimit)),
        realtime: most(|grants| grants.realtime.map_or(0, Realtime::rlimit)),
    }
}
