//! `cordon-worker`: the launcher, and each worker. The supervisor starts the one, the
//! launcher's init starts the other; nobody calls it by hand.

mod load;
mod symbolise;
mod worker;

use std::os::fd::AsFd;
use std::process::ExitCode;

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
    match steps::worker::confine() {
        Ok(confined) => worker::greet(&ipc, Ok(confined))?,
        Err(failure) => return Ok(worker::greet(&ipc, Err(&failure))?),
    }
    Ok(worker::serve(ipc)?)
}
