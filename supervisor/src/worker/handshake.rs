//! The first words on a worker's socket: locked down, then loaded and created.

use std::os::fd::OwnedFd;

use ipc_proto::message::{FromWorker, ToWorker};
use ipc_proto::version::Hello;
use sandbox::launch::{Cause, Failure, Step};
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
    pub(super) listener: Option<OwnedFd>,
    pub(super) pidfd: OwnedFd,
}

/// The worker's first two frames, with its listener and its pidfd.
pub(super) async fn ready(
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

/// Go: from here plugin code runs.
pub(super) async fn load_and_create(
    worker: &Worker,
    plugin: &str,
    preload: &[String],
    timeline: &mut Timeline,
) -> Result<(), LaunchError> {
    let closed = |_| LaunchError::Ended(worker.ending().unwrap_or(Ending::Lost));
    {
        let mut mux = lock(&worker.mux);
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
