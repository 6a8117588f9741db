//! `cordon-worker`: the launcher, and each worker. The supervisor starts the one, the
//! launcher's init starts the other; nobody calls it by hand.

mod load;
mod worker;

use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitCode;

use ipc_proto::frame::encode;
use ipc_proto::message::FromWorker;
use ipc_proto::version::Hello;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use sandbox::launch::{Cause, Failure};
use sandbox::steps;

fn main() -> ExitCode {
    let result = match std::env::args().nth(1).as_deref() {
        Some(steps::LAUNCHER_ARGUMENT) => launcher(),
        Some(steps::WORKER_ARGUMENT) => worker(),
        _ => Err("cordon-worker is started by cordon, see `cordon --help`".into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cordon-worker: {error}");
            ExitCode::FAILURE
        }
    }
}

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn launcher() -> Result<()> {
    let socket = std::io::stdin().as_fd().try_clone_to_owned()?;
    Ok(steps::launcher::run(socket)?)
}

fn worker() -> Result<()> {
    let ipc = steps::worker::take_ipc()?;
    let mut ready = Vec::new();
    encode(&FromWorker::Hello(Hello::OURS), 0, None, &mut ready)?;
    let failed = ready.clone();
    encode(&FromWorker::Ready, 0, None, &mut ready)?;
    // From here to the send of the listener a call outside the profile would wait for
    // a supervisor that can't answer yet.
    match steps::worker::confine() {
        Ok(listener) => send_ready(&ipc, &ready, listener)?,
        Err(failure) => return report(&ipc, failed, &failure),
    }
    Ok(worker::serve(ipc)?)
}

fn send_ready(ipc: &OwnedFd, frames: &[u8], listener: Option<OwnedFd>) -> Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let fds = listener.as_ref().map(AsFd::as_fd);
    control.push(SendAncillaryMessage::ScmRights(fds.as_slice()));
    let sent = sendmsg(
        ipc,
        &[IoSlice::new(frames)],
        &mut control,
        SendFlags::NOSIGNAL,
    )?;
    // Two small frames on a fresh socket go out whole.
    if sent == frames.len() {
        Ok(())
    } else {
        Err("short write to the supervisor".into())
    }
}

fn report(ipc: &OwnedFd, mut frames: Vec<u8>, failure: &Failure) -> Result<()> {
    let errno = match failure.cause {
        Cause::Errno(errno) => errno,
        _ => 0,
    };
    let step = failure.step as u32;
    encode(
        &FromWorker::SetupFailed { step, errno },
        0,
        None,
        &mut frames,
    )?;
    rustix::io::write(ipc, &frames)?;
    Ok(())
}
