//! The launcher, seen from the supervisor: one child process, requests by number,
//! answers as they come.

mod waiting;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::linux::fs::MetadataExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::process::{Pid, PidfdFlags, getpid, pidfd_open};
use sandbox::attest::inherited_filters;
use sandbox::ceiling::Ceiling;
use sandbox::cgroup::{CommonGroups, Events};
use sandbox::codec;
use sandbox::launch::{Answer, Failure, Group, OPEN_FILES_HINT, Request, Stage};
use sandbox::plan::{ImageKey, Plan};
use sandbox::seccomp;
use sandbox::sys::readiness::register;
use sandbox::sys::socket::{MAX_FDS, receive, send};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::{Notify, mpsc, oneshot, watch};

use self::waiting::{Incoming, Waiting};
use crate::elf::Library;
use crate::program::Program;

/// Why there is no launcher, or no longer.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LauncherError {
    /// The process couldn't be started.
    #[error("can't start the launcher: {0}")]
    Start(String),
    /// It started and found that it can't do its work.
    #[error("the launcher can't work here: {0}")]
    Refused(String),
    /// It ended.
    #[error("the launcher ended: no plugin can be loaded any more, start Cordon again")]
    Ended,
    /// A request too large for one message.
    #[error("request to the launcher: {0}")]
    Request(String),
    /// The kernel couldn't install fds that the launcher sent.
    #[error("fds of the new worker are missing{OPEN_FILES_HINT}")]
    FdsMissing,
    /// A worker or an image couldn't be made.
    #[error(transparent)]
    Failed(#[from] Failure),
}

/// A worker as it comes from the launcher: executed, not yet attested.
#[derive(Debug)]
pub struct Launched {
    /// Number of the launch.
    pub id: u64,
    /// Init, whose death ends every process of the worker.
    pub init: OwnedFd,
    /// Init's records: a thread that it holds, and how the worker ended.
    pub report: OwnedFd,
    /// Its cgroup, whose directories are `groups`; nothing where it has none.
    pub group: Option<Group>,
    /// The directories' fds.
    pub groups: Vec<OwnedFd>,
    /// When each step was done.
    pub stages: Vec<Stage>,
    /// Resolves once every process is gone, with what the kernel counted.
    pub gone: oneshot::Receiver<Option<Events>>,
}

/// A handle to the running launcher; clones share it.
#[derive(Debug, Clone)]
pub struct Launcher {
    shared: Arc<Shared>,
    outbox: mpsc::UnboundedSender<Outgoing>,
    inherited_filters: u32,
    without_cgroup: Option<String>,
}

#[derive(Debug)]
struct Outgoing {
    bytes: Vec<u8>,
    fds: Vec<OwnedFd>,
}

#[derive(Debug, Default)]
struct Shared {
    groups: CommonGroups,
    waiting: Mutex<Waiting>,
    stop: Notify,
    ended: watch::Sender<bool>,
}

impl Launcher {
    /// Starts it. Must be called within a tokio runtime, whose tasks then serve it.
    ///
    /// # Errors
    /// [`LauncherError`].
    pub async fn start(
        program: &Program,
        ceiling: Ceiling,
        base: Vec<Library>,
        init_filter: seccomp::Program,
        uid_lock: Option<BorrowedFd<'_>>,
    ) -> Result<Launcher, LauncherError> {
        let failed = |error: io::Error| LauncherError::Start(error.to_string());
        let (socket, theirs) = socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )
        .map_err(|error| failed(error.into()))?;
        let own = pidfd_open(getpid(), PidfdFlags::empty()).map_err(|e| failed(e.into()))?;
        let child = spawn(program, theirs).map_err(failed)?;
        let names = base
            .iter()
            .map(|library| library.soname.to_string())
            .collect();
        let start = codec::encode(&Request::Start {
            ceiling,
            base: names,
            init_filter,
        })
        .map_err(|error| LauncherError::Request(error.to_string()))?;
        let mut fds = vec![own.as_fd(), program.fd.as_fd()];
        fds.extend(uid_lock);
        fds.extend(base.iter().map(|library| library.file.as_fd()));
        send(socket.as_fd(), &start, &fds).map_err(failed)?;
        rustix::io::ioctl_fionbio(&socket, true).map_err(|error| failed(error.into()))?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        let socket = register(socket, interest).map_err(failed)?;
        let answer = read_answer(&socket).await.map(|incoming| incoming.answer);
        let without_cgroup = match answer {
            Some(Answer::Started { without_cgroup }) => without_cgroup,
            Some(Answer::Refused(why)) => return Err(LauncherError::Refused(why)),
            _ => return Err(LauncherError::Ended),
        };
        let inherited_filters = inherited_filters(child.id()).map_err(failed)?;
        let shared = Arc::new(Shared::default());
        let (outbox, queue) = mpsc::unbounded_channel();
        let own = outbox.downgrade();
        tokio::spawn(serve(socket, Arc::clone(&shared), own, queue, child));
        Ok(Launcher {
            shared,
            outbox,
            inherited_filters,
            without_cgroup,
        })
    }

    /// Why workers get no cgroup, if they get none.
    pub(crate) fn without_cgroup(&self) -> Option<&str> {
        self.without_cgroup.as_deref()
    }

    /// What its workers' groups are in.
    pub(crate) fn common_groups(&self) -> &CommonGroups {
        &self.shared.groups
    }

    /// How many seccomp filters every worker has from it, besides the one of its own.
    pub(crate) fn inherited_filters(&self) -> u32 {
        self.inherited_filters
    }

    /// Has an image built, unless it is there.
    ///
    /// # Errors
    /// [`LauncherError`].
    pub async fn image(
        &self,
        key: ImageKey,
        files: Vec<(String, OwnedFd)>,
    ) -> Result<(), LauncherError> {
        let answer = self.waiting().image(key);
        let (files, fds) = files.into_iter().unzip();
        self.request(&Request::Image { key, files }, fds)?;
        answer.await.unwrap_or(Err(LauncherError::Ended))
    }

    /// Forgets an image; workers that run from it keep theirs.
    pub fn evict(&self, key: ImageKey) {
        // With the launcher ended there are no images either.
        self.request(&Request::Evict { key }, Vec::new()).ok();
    }

    /// Launches a worker with its ends of socket, stdout and stderr.
    ///
    /// # Errors
    /// [`LauncherError::Failed`] names the step.
    pub async fn launch(
        &self,
        plan: Plan,
        channels: [OwnedFd; 3],
    ) -> Result<Launched, LauncherError> {
        let (id, answer) = self.waiting().launch();
        self.request(
            &Request::Launch {
                id,
                plan: Box::new(plan),
            },
            channels.into(),
        )?;
        answer.await.unwrap_or(Err(LauncherError::Ended))
    }

    /// Kills a worker. Killing one that is gone does nothing.
    pub fn kill(&self, id: u64) {
        // With the launcher ended every worker is dead already.
        self.request(&Request::Kill { id }, Vec::new()).ok();
    }

    /// Has it kill every worker, and waits until it has ended.
    pub(crate) async fn stop(&self) {
        let mut ended = self.shared.ended.subscribe();
        self.shared.stop.notify_one();
        ended.wait_for(|ended| *ended).await.ok();
    }

    fn request(&self, request: &Request, fds: Vec<OwnedFd>) -> Result<(), LauncherError> {
        let bytes = codec::encode(request).map_err(|e| LauncherError::Request(e.to_string()))?;
        if self.waiting().ended() {
            return Err(LauncherError::Ended);
        }
        self.outbox
            .send(Outgoing { bytes, fds })
            .map_err(|_| LauncherError::Ended)
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.shared.waiting()
    }
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn spawn(program: &Program, socket: OwnedFd) -> io::Result<Child> {
    use std::os::fd::AsRawFd;
    // By fd: the path may lead to another file by now.
    let mut command = Command::new(format!("/proc/self/fd/{}", program.fd.as_raw_fd()));
    command
        .arg(sandbox::steps::LAUNCHER_ARGUMENT)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::from(socket))
        .stdout(Stdio::null());
    #[cfg(feature = "weaken")]
    if let Some(list) = std::env::var_os(sandbox::weaken::VARIABLE) {
        command.env(sandbox::weaken::VARIABLE, list);
    }
    command.spawn()
}

async fn read_answer(socket: &AsyncFd<Arc<OwnedFd>>) -> Option<Incoming> {
    let mut buffer = vec![0; codec::MAX_MESSAGE];
    let received = socket
        .async_io(Interest::READABLE, |socket| {
            receive(socket, &mut buffer, MAX_FDS)
        })
        .await
        .ok()?;
    Some(Incoming {
        answer: codec::decode(&buffer[..received.bytes]).ok()?,
        fds: received.fds,
    })
}

async fn serve(
    socket: AsyncFd<Arc<OwnedFd>>,
    shared: Arc<Shared>,
    own: mpsc::WeakUnboundedSender<Outgoing>,
    mut queue: mpsc::UnboundedReceiver<Outgoing>,
    mut child: Child,
) {
    let writer = async {
        while let Some(Outgoing { bytes, fds }) = queue.recv().await {
            let fds: Vec<BorrowedFd<'_>> = fds.iter().map(AsFd::as_fd).collect();
            let write = |socket: &Arc<OwnedFd>| send(socket.as_fd(), &bytes, &fds);
            if socket.async_io(Interest::WRITABLE, write).await.is_err() {
                break;
            }
        }
    };
    let reader = async {
        while let Some(incoming) = read_answer(&socket).await {
            let Some(unwanted) = shared.waiting().dispatch(incoming) else {
                continue;
            };
            let kill = codec::encode(&Request::Kill { id: unwanted });
            // Without a handle left the launcher is about to kill all of them.
            if let (Ok(bytes), Some(own)) = (kill, own.upgrade()) {
                let fds = Vec::new();
                own.send(Outgoing { bytes, fds }).ok();
            }
        }
    };
    // The last handle gone means that nobody wants workers any more.
    tokio::select! { () = writer => {}, () = reader => {}, () = shared.stop.notified() => {} }
    drop(socket);
    // It cleans up and ends now; reaping it keeps no zombie behind.
    tokio::task::spawn_blocking(move || child.wait()).await.ok();
    shared.waiting().end();
    shared.ended.send_replace(true);
}

/// Inode of a socket or pipe, by which the attestation recognises it.
///
/// # Errors
/// The kernel's errno, see fstat(2).
pub fn inode(fd: impl AsFd) -> io::Result<u64> {
    let file = std::fs::File::from(fd.as_fd().try_clone_to_owned()?);
    Ok(file.metadata()?.st_ino())
}

/// The pidfd of a process that is known to live.
///
/// # Errors
/// The kernel's errno, see pidfd_open(2).
pub fn open_pidfd(pid: u32) -> io::Result<OwnedFd> {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    let pid = pid.ok_or(io::ErrorKind::InvalidInput)?;
    Ok(pidfd_open(pid, PidfdFlags::empty())?)
}
