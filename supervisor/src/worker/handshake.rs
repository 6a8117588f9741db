//! The first words on a worker's socket: locked down, then loaded and created.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use ipc_proto::frame::encode;
use ipc_proto::message::{FromWorker, ToWorker};
use ipc_proto::version::Hello;
use rustix::net::{SendFlags, send};
use sandbox::attest::Measured;
use sandbox::launch::{Cause, Failure, Step};
use sandbox::seccomp::Listener;
use sandbox::steps::now;
use sandbox::sys::socket::{Sender, receive};
use sandbox::weaken::{Weakened, off};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::launch_error::{LaunchError, setup};
use super::{Timeline, Worker, lock};
use crate::ending::Ending;
use crate::launcher::open_pidfd;
use crate::mux::{Reply, WorkerDecoder};
use crate::output::escape;

/// A worker that is locked down and waits.
pub(super) struct Ready {
    pub(super) listener: Option<Listener>,
    pub(super) pidfd: OwnedFd,
    /// What it measured of itself.
    pub(super) measured: Measured,
}

/// The worker's words until it is ready, with its pidfd; its listener is fetched on the way.
pub(super) async fn ready(
    socket: &AsyncFd<Arc<OwnedFd>>,
    decoder: &mut WorkerDecoder,
) -> Result<Ready, LaunchError> {
    let mut greeting = Greeting::default();
    loop {
        let spare = decoder.spare();
        let received = setup(
            "socket",
            socket
                .async_io(Interest::READABLE, |socket| receive(socket, spare, 0))
                .await,
        )?;
        if received.bytes == 0 {
            return Err(handshake("the worker ended before it was ready"));
        }
        decoder.filled(received.bytes);
        if let (None, Some(sender)) = (&greeting.pidfd, received.sender) {
            greeting.pidfd = Some(identify(sender)?);
        }
        while let Some(frame) = decoder.next_frame().map_err(handshake)? {
            if greeting.take(&frame.message, socket.get_ref())? {
                return greeting.complete();
            }
        }
    }
}

/// What a worker has said so far.
#[derive(Default)]
struct Greeting {
    greeted: bool,
    listener: Option<Listener>,
    pidfd: Option<OwnedFd>,
    measured: Option<Measured>,
}

impl Greeting {
    /// Takes a frame; `true` when it was the last.
    fn take(&mut self, message: &FromWorker<'_>, socket: &OwnedFd) -> Result<bool, LaunchError> {
        match message {
            FromWorker::Hello(hello) if !self.greeted => {
                hello.check().map_err(handshake)?;
                self.greeted = true;
            }
            FromWorker::Listener { fd } if self.greeted && self.listener.is_none() => {
                self.listener = Some(fetch(self.worker()?, *fd)?);
                acknowledge(socket)?;
            }
            FromWorker::SetupFailed { step, errno } => {
                let step = Step::from_number(*step).ok_or_else(|| handshake("unknown step"))?;
                let cause = Cause::Errno(*errno);
                return Err(Failure { step, cause }.into());
            }
            FromWorker::Ready { measured } if self.greeted => {
                self.measured = Some(Measured::decode(measured).map_err(handshake)?);
                return Ok(true);
            }
            _ => return Err(handshake("frames out of order")),
        }
        Ok(false)
    }

    fn worker(&self) -> Result<BorrowedFd<'_>, LaunchError> {
        self.pidfd.as_ref().map(AsFd::as_fd).ok_or_else(nameless)
    }

    fn complete(self) -> Result<Ready, LaunchError> {
        if self.listener.is_none() && !off(Weakened::Seccomp) {
            return Err(handshake("it has no listener"));
        }
        let pidfd = self.pidfd.ok_or_else(nameless)?;
        let unmeasured = || handshake("it measured nothing");
        Ok(Ready {
            listener: self.listener,
            pidfd,
            measured: self.measured.ok_or_else(unmeasured)?,
        })
    }
}

fn nameless() -> LaunchError {
    handshake("the kernel didn't say who sent it")
}

fn handshake(what: impl ToString) -> LaunchError {
    LaunchError::Handshake(what.to_string())
}

/// Fetches the listener from the worker, which waits meanwhile.
fn fetch(worker: BorrowedFd<'_>, fd: i32) -> Result<Listener, LaunchError> {
    Listener::fetch(worker, fd).map_err(|source| match source.kind() {
        io::ErrorKind::PermissionDenied => LaunchError::ListenerRefused(source),
        _ => LaunchError::Setup {
            what: "listener",
            source,
        },
    })
}

/// The first bytes to the worker: an empty socket takes them whole.
fn acknowledge(socket: &OwnedFd) -> Result<(), LaunchError> {
    let mut frame = Vec::new();
    encode(&ToWorker::ListenerTaken, 0, None, &mut frame).map_err(handshake)?;
    setup("socket", send(socket, &frame, SendFlags::NOSIGNAL))?;
    Ok(())
}

/// The worker waits for our word, so its pid is still its own.
fn identify(sender: Sender) -> Result<OwnedFd, LaunchError> {
    match sender {
        Sender::Pidfd(pidfd) => Ok(pidfd),
        Sender::Pid(pid) => setup("pidfd", open_pidfd(pid)),
    }
}

/// Go: from here plugin code runs.
pub(super) async fn load_and_create(
    worker: &Worker,
    plugin: &str,
    preload: &[String],
    timeline: &mut Timeline,
) -> Result<(), LaunchError> {
    greet(worker)?;
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

/// Has a worker tell which functions a thread was in that died in another one.
pub(super) async fn symbolise(worker: &Worker, question: &[u8]) -> Result<Vec<u8>, LaunchError> {
    greet(worker)?;
    match ask(worker, &ToWorker::Symbolise { question }).await? {
        Reply::Returned {
            status: 0, payload, ..
        } => Ok(payload),
        _ => Err(LaunchError::Handshake("answer of the symboliser".into())),
    }
}

fn greet(worker: &Worker) -> Result<(), LaunchError> {
    let closed = |_| LaunchError::Ended(worker.ending().unwrap_or(Ending::Lost));
    let hello = ToWorker::Hello(Hello::OURS);
    lock(&worker.mux).post(&hello, 0).map_err(closed)
}

async fn ask(worker: &Worker, message: &ToWorker<'_>) -> Result<Reply, LaunchError> {
    let ended = || LaunchError::Ended(worker.ending().unwrap_or(Ending::Lost));
    let (_, answer) = worker.request(message, None).map_err(|_| ended())?;
    answer.await.ok().and_then(Result::ok).ok_or_else(ended)
}
