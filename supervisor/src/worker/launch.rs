//! From a plan to a worker that serves: handshake, attestation, load, create.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use ipc_proto::message::{FromWorker, LoadFailure, ToWorker};
use ipc_proto::version::Hello;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::pipe::{PipeFlags, pipe_with};
use sandbox::attest::{AttestError, Expected, attest};
use sandbox::cgroup::{Applied, Events, Probe};
use sandbox::launch::{Cause, Failure, Step};
use sandbox::plan::Plan;
use sandbox::report::{Control, Enforcement, Report};
use sandbox::seccomp::{Listener, Profile};
use sandbox::steps::now;
use sandbox::sys::readiness::register;
use sandbox::sys::socket::{self, Sender, receive};
use sandbox::weaken::{Weakened, off};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::unix::pipe::Receiver;
use tokio::sync::{Notify, oneshot, watch};

use super::serve::{Io, serve};
use super::{Timeline, Times, Worker, denials, limits};
use crate::ending::Ending;
use crate::launcher::{Launched, Launcher, LauncherError, inode, open_pidfd};
use crate::mux::{Mux, Reply, WorkerDecoder};
use crate::output::{Source, escape};
use crate::plugin::Plugin;
use crate::violations::Kind;

/// The load deadline of a build that was told to have none.
const FOREVER: Duration = Duration::from_secs(3600);

/// Why a plugin didn't come up.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// The launcher couldn't make the worker.
    #[error(transparent)]
    Launcher(#[from] LauncherError),
    /// The worker couldn't lock itself down.
    #[error(transparent)]
    Lockdown(#[from] Failure),
    /// The worker isn't confined as it must be.
    #[error("attestation failed: {0}")]
    Attest(#[from] AttestError),
    /// A channel or a watch couldn't be made.
    #[error("can't set up the worker's {what}: {source}")]
    Setup {
        /// Which.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The worker's first message isn't what a worker sends.
    #[error("the worker's handshake failed: {0}")]
    Handshake(String),
    /// The dynamic loader or the ABI check refused the plugin.
    #[error("{}", refusal(*.reason, *.abi, .detail))]
    Refused {
        /// What failed.
        reason: LoadFailure,
        /// ABI version of the plugin where it got that far, else 0.
        abi: u32,
        /// What the worker says, escaped.
        detail: String,
    },
    /// The plugin's `create` failed.
    #[error("the plugin refused to start (status {status}): {text}")]
    Create {
        /// Status of the plugin ABI.
        status: i32,
        /// The plugin's text, escaped.
        text: String,
    },
    /// The worker ended meanwhile.
    #[error("the plugin's worker ended while loading: {0}")]
    Ended(Ending),
    /// It took too long.
    #[error("the plugin missed its load deadline of {} ms", .0.as_millis())]
    Deadline(Duration),
}

fn refusal(reason: LoadFailure, abi: u32, detail: &str) -> String {
    let version = format!("{}.{}", abi >> 16, abi & 0xffff);
    match reason {
        LoadFailure::Dlopen => format!("the dynamic loader refused the plugin: {detail}"),
        LoadFailure::Preload => format!("the dynamic loader refused a library: {detail}"),
        LoadFailure::NoEntry => format!("it exports no cordon_plugin_entry: {detail}"),
        LoadFailure::Refused => "the plugin refuses this host's ABI version".to_owned(),
        LoadFailure::AbiMismatch => {
            format!("its ABI is {version}, which this host doesn't speak: {detail}")
        }
        LoadFailure::Feature => format!("it requires a feature that this host lacks: {detail}"),
        LoadFailure::Vtable => format!("its table can't be used: {detail}"),
    }
}

/// What a launch needs besides the plan.
pub(crate) struct Request {
    pub(crate) plugin: Arc<Plugin>,
    pub(crate) launcher: Launcher,
    pub(crate) plan: Plan,
    pub(crate) profile: Arc<Profile>,
    pub(crate) times: Times,
    /// Path of the plugin in the worker's root.
    pub(crate) file: String,
    /// Paths of its libraries, dependencies first.
    pub(crate) preload: Vec<String>,
}

/// The supervisor's ends, with what the attestation expects of the others.
struct Channels {
    socket: OwnedFd,
    stdout: OwnedFd,
    stderr: OwnedFd,
    expected: Expected,
}

/// Launches a worker and has it load its plugin, within the load deadline. A launch that
/// fails leaves nothing behind when this returns.
pub(crate) async fn launch(request: Request) -> Result<Arc<Worker>, LaunchError> {
    let limit = if off(Weakened::Deadline) {
        FOREVER
    } else {
        request.times.load
    };
    let started = Instant::now();
    let mut timeline = Timeline {
        asked: now(),
        ..Timeline::default()
    };
    let (channels, theirs) = channels(&request.plan)?;
    let mut launched = request
        .launcher
        .launch(request.plan.clone(), theirs)
        .await?;
    timeline.launched = now();
    let (launcher, id) = (request.launcher.clone(), launched.id);
    let (file, preload) = (request.file.clone(), request.preload.clone());
    let gone = std::mem::replace(&mut launched.gone, oneshot::channel().1);
    let confined = confined(request, channels, launched, &mut timeline);
    let confined = tokio::time::timeout(limit, confined).await;
    let (worker, sockets) = match confined.unwrap_or(Err(LaunchError::Deadline(limit))) {
        Ok(parts) => parts,
        Err(error) => {
            launcher.kill(id);
            gone.await.ok();
            return Err(error);
        }
    };
    if let Err(error) = start_tasks(&worker, sockets, gone) {
        launcher.kill(id);
        return Err(error);
    }
    let remaining = limit.saturating_sub(started.elapsed());
    let loading = load_and_create(&worker, &file, &preload, &mut timeline);
    let loaded = tokio::time::timeout(remaining, loading).await;
    let result = loaded.unwrap_or(Err(LaunchError::Deadline(limit)));
    if let Err(error) = result {
        return Err(failed(&worker, error).await);
    }
    worker.serving.store(true, Ordering::Release);
    worker.timeline.set(timeline).ok();
    Ok(worker)
}

/// Ends a worker whose plugin didn't come up, and waits until nothing of it is left.
async fn failed(worker: &Worker, error: LaunchError) -> LaunchError {
    match error {
        // How it ended is known once it is buried.
        LaunchError::Ended(_) => LaunchError::Ended(worker.ended().await),
        error => {
            if let LaunchError::Deadline(_) = error {
                worker.violate(worker.violation(Kind::Deadline));
            }
            worker.kill(Ending::Launch {
                what: error.to_string(),
            });
            worker.ended().await;
            error
        }
    }
}

fn setup<T, E: Into<io::Error>>(
    what: &'static str,
    result: Result<T, E>,
) -> Result<T, LaunchError> {
    result.map_err(|error| LaunchError::Setup {
        what,
        source: error.into(),
    })
}

/// Socket and pipes: our ends, and socket, stdout and stderr for the worker.
fn channels(plan: &Plan) -> Result<(Channels, [OwnedFd; 3]), LaunchError> {
    let (socket, ipc) = setup(
        "socket",
        socketpair(
            AddressFamily::UNIX,
            SocketType::STREAM,
            SocketFlags::CLOEXEC,
            None,
        ),
    )?;
    // Who the worker is comes with its first message, without trusting init.
    setup("socket", socket::pass_sender(&socket, true))?;
    setup("socket", rustix::io::ioctl_fionbio(&socket, true))?;
    let (stdout, stdout_write) = setup("stdout", pipe_with(PipeFlags::CLOEXEC))?;
    let (stderr, stderr_write) = setup("stderr", pipe_with(PipeFlags::CLOEXEC))?;
    let expected = Expected {
        ids: plan.ids,
        ipc: setup("socket", inode(&ipc))?,
        stdout: setup("stdout", inode(&stdout_write))?,
        stderr: setup("stderr", inode(&stderr_write))?,
    };
    Ok((
        Channels {
            socket,
            stdout,
            stderr,
            expected,
        },
        [ipc, stdout_write, stderr_write],
    ))
}

/// What the tasks of an attested worker need.
struct Sockets {
    socket: AsyncFd<OwnedFd>,
    decoder: WorkerDecoder,
    listener: Option<OwnedFd>,
    stdout: OwnedFd,
    stderr: OwnedFd,
    report: OwnedFd,
}

/// Waits until the worker is locked down, and attests it. It waits for our word now.
async fn confined(
    request: Request,
    channels: Channels,
    launched: Launched,
    timeline: &mut Timeline,
) -> Result<(Arc<Worker>, Sockets), LaunchError> {
    let Channels {
        socket,
        stdout,
        stderr,
        expected,
    } = channels;
    let interest = Interest::READABLE | Interest::WRITABLE;
    let own = setup("socket", socket.try_clone())?;
    let socket = setup("socket", register(socket, interest))?;
    let mut decoder = WorkerDecoder::new();
    let Ready { listener, pidfd } = ready(&socket, &mut decoder).await?;
    timeline.ready = now();
    // From here no fd that it sends reaches us, where the kernel can refuse them.
    let refused = socket::pass_rights(&own, false).is_ok();
    setup("socket", socket::pass_sender(&own, false))?;
    let mut report = attest(pidfd.as_fd(), launched.init.as_fd(), &expected)?;
    timeline.attested = now();
    let probe = Probe::open(&launched.directories, launched.groups).map_err(|error| {
        LaunchError::Setup {
            what: "cgroup watch",
            source: io::Error::other(error),
        }
    })?;
    extend(&mut report, &request.plan, &launched.applied, refused);
    let pid = sandbox::sys::pidfd::pid(&pidfd).map_err(|_| AttestError::Gone)?;
    let worker = Worker {
        plugin: request.plugin,
        launcher: request.launcher,
        launch_id: launched.id,
        socket: own,
        pidfd,
        init: launched.init,
        pid,
        probe,
        profile: request.profile,
        serving: AtomicBool::new(false),
        mux: Mutex::new(Mux::default()),
        cpu: Mutex::default(),
        above: Mutex::default(),
        wake: Notify::new(),
        cause: Mutex::new(None),
        ended: watch::Sender::new(None),
        times: request.times,
        report,
        stages: launched.stages,
        timeline: OnceLock::new(),
    };
    let report = launched.report;
    Ok((
        Arc::new(worker),
        Sockets {
            socket,
            decoder,
            listener,
            stdout,
            stderr,
            report,
        },
    ))
}

/// Limits that were read back by the launcher, and what the socket refuses.
fn extend(report: &mut Report, plan: &Plan, applied: &Applied, fds_refused: bool) {
    let value = format!(
        "memory {} MiB, tasks {}, cpu {}/{} us",
        applied.memory_max >> 20,
        applied.pids_max,
        applied.cpu_max.quota_us,
        applied.cpu_max.period_us
    );
    debug_assert!(applied.verify(&plan.cgroup).is_ok() || cfg!(feature = "weaken"));
    report.add(Control::Cgroup, Enforcement::Enforced, value);
    let (enforcement, value) = if fds_refused {
        (Enforcement::Enforced, "refused by the kernel")
    } else {
        (
            Enforcement::Degraded,
            "closed on receipt: this kernel has no SO_PASSRIGHTS (Linux 6.16)",
        )
    };
    report.add(Control::PassedFds, enforcement, value);
}

struct Ready {
    listener: Option<OwnedFd>,
    pidfd: OwnedFd,
}

/// The worker's first two frames, with its listener and its pidfd.
async fn ready(
    socket: &AsyncFd<OwnedFd>,
    decoder: &mut WorkerDecoder,
) -> Result<Ready, LaunchError> {
    let handshake = |what: &str| LaunchError::Handshake(what.to_owned());
    let (mut listener, mut pidfd, mut greeted) = (None, None, false);
    loop {
        let spare = decoder.spare();
        let received = setup(
            "socket",
            socket
                .async_io(Interest::READABLE, |socket| receive(socket, spare, 1))
                .await,
        )?;
        if received.bytes == 0 {
            return Err(handshake("the worker ended before it was ready"));
        }
        decoder.filled(received.bytes);
        listener = listener.or(received.fds.into_iter().next());
        if let (None, Some(sender)) = (&pidfd, received.sender) {
            pidfd = Some(identify(sender)?);
        }
        while let Some(frame) = decoder
            .next_frame()
            .map_err(|e| handshake(&e.to_string()))?
        {
            match frame.message {
                FromWorker::Hello(hello) if !greeted => {
                    hello
                        .check()
                        .map_err(|error| handshake(&error.to_string()))?;
                    greeted = true;
                }
                FromWorker::SetupFailed { step, errno } => {
                    let step = Step::from_number(step).ok_or_else(|| handshake("unknown step"))?;
                    return Err(Failure {
                        step,
                        cause: Cause::Errno(errno),
                    }
                    .into());
                }
                FromWorker::Ready if greeted => {
                    if listener.is_none() && !off(Weakened::Seccomp) {
                        return Err(handshake("it sent no listener"));
                    }
                    let pidfd = pidfd.ok_or_else(|| handshake("the kernel sent no pidfd"))?;
                    return Ok(Ready { listener, pidfd });
                }
                _ => return Err(handshake("frames out of order")),
            }
        }
    }
}

/// The worker waits for our word, so its pid is still its own.
fn identify(sender: Sender) -> Result<OwnedFd, LaunchError> {
    match sender {
        Sender::Pidfd(pidfd) => Ok(pidfd),
        Sender::Pid(pid) => setup("pidfd", open_pidfd(pid)),
    }
}

fn start_tasks(
    worker: &Arc<Worker>,
    sockets: Sockets,
    gone: oneshot::Receiver<Option<Events>>,
) -> Result<(), LaunchError> {
    let exit = setup("pidfd", worker.pidfd.try_clone())?;
    let exit = setup("pidfd", register(exit, Interest::READABLE))?;
    let mut output = Vec::new();
    for (pipe, source) in [
        (sockets.stdout, Source::Stdout),
        (sockets.stderr, Source::Stderr),
    ] {
        let pipe = setup("output", Receiver::from_owned_fd(pipe))?;
        output.push(tokio::spawn(super::output::read(
            Arc::clone(worker),
            pipe,
            source,
        )));
    }
    if let Some(listener) = sockets.listener {
        let ready = setup("listener", listener.try_clone())?;
        let ready = setup("listener", register(ready, Interest::READABLE))?;
        let listener = setup("listener", Listener::new(listener))?;
        tokio::spawn(denials::answer(Arc::clone(worker), listener, ready));
    }
    tokio::spawn(limits::watch(Arc::clone(worker)));
    let Sockets {
        socket,
        decoder,
        report,
        ..
    } = sockets;
    tokio::spawn(serve(
        Arc::clone(worker),
        Io {
            socket,
            decoder,
            exit,
            report,
            gone,
            output,
        },
    ));
    Ok(())
}

/// Go: from here plugin code runs.
async fn load_and_create(
    worker: &Worker,
    plugin: &str,
    preload: &[String],
    timeline: &mut Timeline,
) -> Result<(), LaunchError> {
    let closed = |_| LaunchError::Ended(worker.ending().unwrap_or(Ending::Lost));
    {
        let mut mux = super::lock(&worker.mux);
        mux.post(&ToWorker::Hello(Hello::OURS), 0).map_err(closed)?;
    }
    let preload = preload.iter().map(String::as_str).collect();
    match ask(worker, &ToWorker::Load { plugin, preload }).await? {
        Reply::Loaded { .. } => timeline.loaded = now(),
        Reply::LoadFailed {
            reason,
            abi,
            detail,
        } => {
            let detail = escape(detail.as_bytes());
            return Err(LaunchError::Refused {
                reason,
                abi,
                detail,
            });
        }
        _ => return Err(LaunchError::Handshake("answer to the load".into())),
    }
    match ask(worker, &ToWorker::Create { config: &[] }).await? {
        Reply::Created => {
            timeline.created = now();
            Ok(())
        }
        Reply::Returned {
            status, payload, ..
        } => Err(LaunchError::Create {
            status,
            text: escape(&payload),
        }),
        _ => Err(LaunchError::Handshake("answer to the create".into())),
    }
}

async fn ask(worker: &Worker, message: &ToWorker<'_>) -> Result<Reply, LaunchError> {
    let ended = || LaunchError::Ended(worker.ending().unwrap_or(Ending::Lost));
    let (_, answer) = worker.request(message, None).map_err(|_| ended())?;
    answer.await.ok().and_then(Result::ok).ok_or_else(ended)
}
