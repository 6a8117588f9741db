//! The ten bad things, and what they reach for.

use std::fs;
use std::io::{self, ErrorKind};
use std::net::TcpListener;
use std::path::PathBuf;
use std::time::Duration;

use crate::stop::Stop;

/// Shorter than the CPU time that a call has, so that the deadline comes first.
const SHORT: Duration = Duration::from_millis(500);

/// One call of the vandal.
pub(crate) struct Deed {
    /// Its method.
    pub(crate) method: &'static str,
    /// Its parameter.
    pub(crate) data: String,
    /// What it does, for the reader.
    pub(crate) tries: &'static str,
    /// What must stop it.
    pub(crate) stop: Stop,
}

/// What of the host the deeds reach for.
pub(crate) struct Scene {
    port: TcpListener,
    /// Only root can create it, and nobody has.
    file: PathBuf,
}

impl Scene {
    pub(crate) fn new() -> io::Result<Scene> {
        let port = TcpListener::bind("127.0.0.1:0")?;
        port.set_nonblocking(true)?;
        let file = format!("/etc/cordon-demo-{}", std::process::id()).into();
        Ok(Scene { port, file })
    }

    /// The deeds in order. Their violations come to ten, the default threshold, with the last.
    pub(crate) fn deeds(&self) -> io::Result<[Deed; 10]> {
        let port = self.port.local_addr()?.port().to_string();
        let file = self.file.display().to_string();
        let deed = |method, data: &str, tries, stop| Deed {
            method,
            data: data.to_owned(),
            tries,
            stop,
        };
        use Stop::*;
        Ok([
            deed("open-shadow", "", "opens /etc/shadow", Filter("openat")),
            deed(
                "see-host-as-fstat",
                "",
                "looks for /etc/hostname",
                PrivateRoot,
            ),
            deed(
                "connect-host",
                &port,
                "connects to a port of this machine",
                Filter("socket"),
            ),
            deed("execve", "", "executes a shell", Filter("execve")),
            deed("fork-bomb", "200", "forks 200 children", Filter("clone")),
            deed(
                "write-outside",
                &file,
                "creates a file in /etc",
                Filter("openat"),
            ),
            deed("allocate", "1024", "takes 1 GiB of memory", Memory),
            deed("threads", "10000", "starts 10,000 threads", Tasks),
            deed("spin", "30", "spins for half a minute", Deadline(SHORT)),
            deed(
                "own-filter",
                "",
                "installs a filter that allows everything",
                Never("prctl", "seccomp"),
            ),
        ])
    }

    /// What the deeds did to the host, whatever the vandal says of it.
    pub(crate) fn damage(&self) -> Option<&'static str> {
        let silent = |error: &io::Error| error.kind() == ErrorKind::WouldBlock;
        if !self.port.accept().is_err_and(|error| silent(&error)) {
            return Some("connected to the host");
        }
        self.file.exists().then_some("created a file in /etc")
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        // There is one only after a breach.
        fs::remove_file(&self.file).ok();
    }
}
