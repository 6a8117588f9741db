//! From a plan to a worker that serves: handshake, attestation, load, create.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use rustix::pipe::{PipeFlags, pipe_with};
use sandbox::attest::{self, AttestError, Expected, Measured, Openable, Subject, attest_ready};
use sandbox::cgroup::{Applied, Events, Probe};
use sandbox::launch::Group;
use sandbox::plan::Plan;
use sandbox::report::{Control, Demands, Enforcement, Report, Unmet};
use sandbox::seccomp::Listener;
use sandbox::steps::now;
use sandbox::sys::readiness::register;
use sandbox::sys::socket;
use sandbox::weaken::{Weakened, off, weakened};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::unix::pipe::Receiver;
use tokio::sync::oneshot;

use super::attested::Attested;
use super::dying::Reports;
use super::handshake::{self, load_and_create, ready, symbolise};
use super::launch_error::{LaunchError, setup};
use super::process::Process;
use super::serve::{Io, serve};
use super::usage::Connections;
use super::{Timeline, Times, Worker, attestation, denials, events, restraint};
use crate::crash::Desk;
use crate::ending::Ending;
use crate::filters::{Filter, FilterMode};
use crate::launcher::{Launched, Launcher, inode};
use crate::mux::WorkerDecoder;
use crate::output::Source;
use crate::package::Package;
use crate::plugin::Plugin;
use crate::violations::Kind;

/// The load deadline of a build that was told to have none.
const FOREVER: Duration = Duration::from_secs(3600);

/// What a launch needs besides the plan.
pub(crate) struct Request {
    pub(crate) plugin: Arc<Plugin>,
    pub(crate) launcher: Launcher,
    /// Where its crash goes.
    pub(crate) desk: Arc<Desk>,
    pub(crate) plan: Plan,
    pub(crate) filter: Arc<Filter>,
    pub(crate) package: Arc<Package>,
    pub(crate) times: Times,
    /// What the worker's report must show.
    pub(crate) demands: Demands,
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
    /// Inodes of the worker's.
    theirs: attest::Channels,
    /// Whether the kernel refuses fds that are sent to the socket.
    fds_refused: bool,
}

/// Launches a worker and has it load its plugin, within the load deadline. A launch that
/// fails leaves nothing behind when this returns.
pub(crate) async fn launch(request: Request) -> Result<Arc<Worker>, LaunchError> {
    let (file, preload) = (request.file.clone(), request.preload.clone());
    let Ready {
        worker,
        mut timeline,
        end,
        limit,
    } = bring_up(request).await?;
    let loading = load_and_create(&worker, &file, &preload, &mut timeline);
    if let Err(error) = wanted(&worker.plugin, end, limit, loading).await {
        return Err(failed(&worker, error).await);
    }
    worker.serving.store(true, Ordering::Release);
    worker.timeline.set(timeline).ok();
    Ok(worker)
}

/// Launches a worker that loads nothing, for one answer: it is a symboliser. Nothing is left of
/// it when this returns.
pub(crate) async fn ask(request: Request, question: &[u8]) -> Result<Vec<u8>, LaunchError> {
    let up = bring_up(request).await?;
    let answer = symbolise(&up.worker, question);
    let answer = wanted(&up.worker.plugin, up.end, up.limit, answer).await;
    up.worker.kill(Ending::Unloaded);
    up.worker.ended().await;
    answer
}

/// A worker that waits for its first request.
struct Ready {
    worker: Arc<Worker>,
    timeline: Timeline,
    /// When it must have come up.
    end: Instant,
    limit: Duration,
}

async fn bring_up(request: Request) -> Result<Ready, LaunchError> {
    let limit = if off(Weakened::Deadline) {
        FOREVER
    } else {
        request.times.load
    };
    let plugin = Arc::clone(&request.plugin);
    let end = Instant::now() + limit;
    let mut timeline = Timeline {
        asked: now(),
        ..Timeline::default()
    };
    let (channels, theirs) = channels()?;
    let mut launched = request
        .launcher
        .launch(request.plan.clone(), theirs)
        .await?;
    timeline.launched = now();
    let (launcher, id) = (request.launcher.clone(), launched.id);
    let gone = std::mem::replace(&mut launched.gone, oneshot::channel().1);
    let confined = confined(request, channels, launched, &mut timeline);
    let (worker, tasks) = match wanted(&plugin, end, limit, confined).await {
        Ok(parts) => parts,
        Err(error) => {
            launcher.kill(id);
            gone.await.ok();
            return Err(error);
        }
    };
    tasks.start(&worker, gone);
    Ok(Ready {
        worker,
        timeline,
        end,
        limit,
    })
}

/// Gives up a step of the launch when it takes too long, or when its plugin isn't to be
/// loaded any more.
async fn wanted<T>(
    plugin: &Plugin,
    end: Instant,
    limit: Duration,
    step: impl Future<Output = Result<T, LaunchError>>,
) -> Result<T, LaunchError> {
    tokio::select! {
        biased;
        result = step => result,
        () = plugin.record.not_loading() => Err(LaunchError::Ended(Ending::Unloaded)),
        () = tokio::time::sleep_until(end.into()) => Err(LaunchError::Deadline(limit)),
    }
}

/// Ends a worker whose plugin didn't come up, and waits until nothing of it is left.
async fn failed(worker: &Worker, error: LaunchError) -> LaunchError {
    match error {
        // Unless it was unmounted: the first reason counts.
        LaunchError::Ended(Ending::Unloaded) => {
            worker.kill(Ending::Unloaded);
            LaunchError::Ended(worker.ended().await)
        }
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
fn channels() -> Result<(Channels, [OwnedFd; 3]), LaunchError> {
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
    // No worker ever has an fd to send.
    let fds_refused = setup("socket", socket::refuse_fds(&socket))?;
    setup("socket", rustix::io::ioctl_fionbio(&socket, true))?;
    let (stdout, stdout_write) = setup("stdout", pipe_with(PipeFlags::CLOEXEC))?;
    let (stderr, stderr_write) = setup("stderr", pipe_with(PipeFlags::CLOEXEC))?;
    let theirs = attest::Channels {
        ipc: setup("socket", inode(&ipc))?,
        stdout: setup("stdout", inode(&stdout_write))?,
        stderr: setup("stderr", inode(&stderr_write))?,
    };
    Ok((
        Channels {
            socket,
            stdout,
            stderr,
            theirs,
            fds_refused,
        },
        [ipc, stdout_write, stderr_write],
    ))
}

/// Waits until the worker is locked down, and attests it. It waits for our word now; all
/// that can fail on the way to its tasks is done.
async fn confined(
    request: Request,
    channels: Channels,
    mut launched: Launched,
    timeline: &mut Timeline,
) -> Result<(Arc<Worker>, Tasks), LaunchError> {
    let interest = Interest::READABLE | Interest::WRITABLE;
    let own = Arc::new(channels.socket);
    let socket = setup("socket", register(Arc::clone(&own), interest))?;
    let mut decoder = WorkerDecoder::new();
    let handshake::Ready {
        listener,
        pidfd,
        measured,
    } = ready(&socket, &mut decoder).await?;
    let pidfd = Arc::new(pidfd);
    timeline.ready = now();
    setup("socket", socket::pass_sender(&own, false))?;
    let (applied, probe) = watched(&request, &mut launched)?;
    let subject = Subject {
        worker: pidfd.as_fd(),
        init: launched.init.as_fd(),
        groups: probe.as_ref(),
    };
    let expected = expected(&request, channels.theirs, applied, measured);
    let (mut report, baseline) = attest_ready(subject, &expected)?;
    add_passed_fds(&mut report, channels.fds_refused);
    add_mode(&mut report, request.filter.mode);
    demand(&report, &request.demands)?;
    timeline.attested = now();
    let tasks = Tasks {
        socket,
        exit: readable("pidfd", &pidfd)?,
        output: [
            (Source::Stdout, reader(channels.stdout)?),
            (Source::Stderr, reader(channels.stderr)?),
        ],
        denials: listener.map(notifications).transpose()?,
        events: probe.as_ref().map(announcements).transpose()?,
        reports: setup("report of init", Reports::new(launched.report))?,
    };
    let connections = Connections::under(&request.plugin.grants);
    let (pid, process) = process(&pidfd, connections)?;
    let attested = Attested {
        launch_id: launched.id,
        init: launched.init,
        stages: launched.stages,
        socket: own,
        pidfd,
        pid,
        probe,
        process,
        connections,
        expected,
        baseline,
        report,
        decoder,
    };
    Ok((Arc::new(attested.into_worker(request)), tasks))
}

/// The limits of its group, and the view of it, if it has one.
fn watched(
    request: &Request,
    launched: &mut Launched,
) -> Result<(Option<Applied>, Option<Probe>), LaunchError> {
    let groups = std::mem::take(&mut launched.groups);
    let Some(group) = launched.group.take() else {
        return Ok((None, None));
    };
    let Group {
        applied,
        directories,
    } = group;
    let opened = Probe::open(&directories, groups, request.launcher.common_groups());
    let probe = setup("cgroup watch", opened.map_err(io::Error::other))?;
    let declared = request.plugin.grants.limits.heap.declared();
    let announced = probe.announce_usage(declared.as_u64());
    setup("cgroup watch", announced.map_err(io::Error::other))?;
    Ok((Some(applied), Some(probe)))
}

/// What the attestations hold it against.
fn expected(
    request: &Request,
    channels: attest::Channels,
    applied: Option<Applied>,
    measured: Measured,
) -> Expected {
    let launcher = &request.launcher;
    Expected {
        plan: request.plan.clone(),
        filters_inherited: launcher.inherited_filters(),
        channels,
        applied,
        without_cgroup: launcher.without_cgroup().map(str::to_owned),
        measured,
        openable: Openable::under(&request.filter.profile),
    }
}

fn process(pidfd: &OwnedFd, connections: Connections) -> Result<(u32, Process), LaunchError> {
    let pid = || sandbox::sys::pidfd::pid(pidfd).map_err(|_| AttestError::Gone);
    let open = match connections {
        Connections::OfNamespace => Process::open_with_network,
        Connections::Impossible | Connections::OfProcesses => Process::open,
    };
    let process = setup("procfs", open(pid()?))?;
    // Else the files may be another process's.
    Ok((pid()?, process))
}

fn demand(report: &Report, demands: &Demands) -> Result<(), Box<Unmet>> {
    if weakened() {
        return Ok(());
    }
    report.meet(demands).map_err(Box::new)
}

/// The tasks of an attested worker, with all that they need, to be started.
struct Tasks {
    socket: AsyncFd<Arc<OwnedFd>>,
    exit: AsyncFd<Arc<OwnedFd>>,
    output: [(Source, Receiver); 2],
    denials: Option<(Listener, AsyncFd<Arc<OwnedFd>>)>,
    /// What the kernel announces of its group, if it has one.
    events: Option<AsyncFd<Arc<OwnedFd>>>,
    reports: Reports,
}

impl Tasks {
    fn start(self, worker: &Arc<Worker>, gone: oneshot::Receiver<Option<Events>>) {
        let read =
            |(source, pipe)| tokio::spawn(super::output::read(Arc::clone(worker), pipe, source));
        let output = self.output.map(read).into();
        if let Some((listener, ready)) = self.denials {
            tokio::spawn(denials::answer(Arc::clone(worker), listener, ready));
        }
        if let Some(watch) = self.events {
            tokio::spawn(events::watch(Arc::clone(worker), watch));
        }
        tokio::spawn(attestation::repeat(Arc::clone(worker)));
        tokio::spawn(restraint::restrain(Arc::clone(worker)));
        let io = Io {
            socket: self.socket,
            exit: self.exit,
            reports: self.reports,
            gone,
            output,
        };
        tokio::spawn(serve(Arc::clone(worker), io));
    }
}

fn reader(pipe: OwnedFd) -> Result<Receiver, LaunchError> {
    setup("output", Receiver::from_owned_fd(pipe))
}

fn notifications(listener: Listener) -> Result<(Listener, AsyncFd<Arc<OwnedFd>>), LaunchError> {
    let ready = readable("listener", &listener.shared_fd())?;
    Ok((listener, ready))
}

fn announcements(probe: &Probe) -> Result<AsyncFd<Arc<OwnedFd>>, LaunchError> {
    readable("cgroup watch", probe.watch())
}

fn readable(what: &'static str, fd: &Arc<OwnedFd>) -> Result<AsyncFd<Arc<OwnedFd>>, LaunchError> {
    setup(what, register(Arc::clone(fd), Interest::READABLE))
}

/// Which program the filter runs can't be read back: it was checked in the launcher, and
/// installed while the worker was trusted.
fn add_mode(report: &mut Report, mode: FilterMode) {
    if let Some(found) = report.finding(Control::Seccomp).cloned() {
        let value = format!("{mode}; {}", found.value);
        report.add(found.control, found.enforcement, found.offered, value);
    }
}

fn add_passed_fds(report: &mut Report, refused: bool) {
    let (enforcement, value) = match refused {
        true => (Enforcement::Enforced, "refused by the kernel"),
        false => (
            Enforcement::Degraded,
            "closed on receipt: this kernel has no SO_PASSRIGHTS (Linux 6.16)",
        ),
    };
    report.add(Control::PassedFds, enforcement, refused, value);
}
