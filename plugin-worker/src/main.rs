//! `cordon-worker`: the launcher, and each worker. The supervisor starts the one, the
//! launcher's init starts the other; nobody calls it by hand.

mod load;
mod worker;

use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
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
    let (mut hello, mut ready) = (Vec::new(), Vec::new());
    encode(&FromWorker::Hello(Hello::OURS), 0, None, &mut hello)?;
    encode(&FromWorker::Ready, 0, None, &mut ready)?;
    // From here to the send of the listener a call outside the profile would wait for
    // a supervisor that can't answer yet.
    match steps::worker::confine() {
        Ok(listener) => {
            send(&ipc, &hello, listener.as_ref().map(AsFd::as_fd))?;
            // Closed before we say that we are ready: the attestation finds no second
            // holder of it.
            drop(listener);
            send(&ipc, &ready, None)?;
        }
        Err(failure) => return report(&ipc, hello, &failure),
    }
    Ok(worker::serve(ipc)?)
}

fn send(ipc: &OwnedFd, frame: &[u8], fd: Option<BorrowedFd<'_>>) -> Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if fd.is_some() {
        control.push(SendAncillaryMessage::ScmRights(fd.as_slice()));
    }
    let sent = sendmsg(
        ipc,
        &[IoSlice::new(frame)],
        &mut control,
        SendFlags::NOSIGNAL,
    )?;
    // A small frame on a fresh socket goes out whole.
    if sent == frame.len() {
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
