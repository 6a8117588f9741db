//! A host program that loads plugins and then forks, as a server with children of its own
//! does: the child holds every file descriptor that the supervisor has.
//!
//!     forking-host PLUGIN...
//!
//! Prints the child's pid when all is up, and waits to be killed.

use std::path::Path;
use std::time::Duration;

use cordon_supervisor::Supervisor;
use nix::unistd::{ForkResult, fork};

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let started = Supervisor::builder().start().await;
    let supervisor = started.unwrap_or_else(|error| panic!("{error}"));
    for plugin in std::env::args_os().skip(1) {
        let loaded = supervisor.load(Path::new(&plugin)).await;
        loaded.unwrap_or_else(|error| panic!("{error}"));
    }
    // SAFETY: the child of this threaded process calls nothing but nanosleep(2), which is
    // async-signal-safe; it neither allocates nor unwinds nor returns.
    match unsafe { fork() } {
        Ok(ForkResult::Child) => sleep_for_good(),
        Ok(ForkResult::Parent { child }) => println!("{child}"),
        Err(errno) => panic!("fork: {errno}"),
    }
    sleep_for_good();
}

fn sleep_for_good() -> ! {
    loop {
        std::thread::sleep(Duration::from_secs(1000));
    }
}
