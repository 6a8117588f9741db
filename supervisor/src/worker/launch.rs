//! From a plan to a worker that serves: handshake, attestation, load, create.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::pipe::{PipeFlags, pipe_with};
use sandbox::attest::{AttestError, Expected, attest};
use sandbox::cgroup::{Applied, Events, Probe};
use sandbox::plan::Plan;
use sandbox::report::{Control, Enforcement, Report};
use sandbox::seccomp::{Listener, Profile};
use sandbox::steps::now;
use sandbox::sys::readiness::register;
use sandbox::sys::socket;
use sandbox::weaken::{Weakened, off};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::unix::pipe::Receiver;
use tokio::sync::{Notify, oneshot, watch};

use super::handshake::{Ready, load_and_create, ready};
use super::launch_error::{LaunchError, setup};
use super::serve::{Io, serve};
use super::{Timeline, Times, Worker, denials, limits};
use crate::ending::Ending;
use crate::launcher::{Launched, Launcher, inode};
use crate::mux::{Mux, WorkerDecoder};
use crate::output::Source;
use crate::plugin::Plugin;
use crate::violations::Kind;

/// The load deadline of a build that was told to have none.
const FOREVER: Duration = Duration::from_secs(3600);

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
