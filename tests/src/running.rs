//! A program under way, to be read line by line and to be ended.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A child process; it is killed if the test ends before it.
#[derive(Debug)]
pub struct Running {
    child: Child,
    stdout: BufReader<ChildStdout>,
    stderr: Option<JoinHandle<String>>,
}

impl Running {
    /// Starts it.
    ///
    /// # Panics
    /// When it can't be started.
    #[must_use]
    pub fn start(mut command: Command) -> Self {
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let (Some(stdout), Some(mut stderr)) = (child.stdout.take(), child.stderr.take()) else {
            unreachable!("both are pipes");
        };
        let stderr = std::thread::spawn(move || {
            let mut text = String::new();
            // What was read until an error is what there is to show.
            stderr.read_to_string(&mut text).ok();
            text
        });
        Self {
            child,
            stdout: BufReader::new(stdout),
            stderr: Some(stderr),
        }
    }

    /// Its pid.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The next line that it prints, without its end.
    ///
    /// # Panics
    /// When it ends before.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        let read = self.stdout.read_line(&mut line);
        assert!(matches!(read, Ok(1..)), "it printed no more: {read:?}");
        line.trim_end_matches('\n').to_owned()
    }

    /// Sends a signal, waits until it has ended, and gives its status, the rest of its
    /// output, and its errors.
    ///
    /// # Panics
    /// When it has ended already.
    pub fn end(mut self, signal: Signal) -> (ExitStatus, String, String) {
        let pid = Pid::from_raw(self.child.id() as i32);
        let ended = kill(pid, signal).map(|()| self.child.wait());
        let status = match ended {
            Ok(Ok(status)) => status,
            other => panic!("can't end it: {other:?}"),
        };
        // Not the rest after a kill: a process that it forked may hold the other ends.
        if signal == Signal::SIGKILL {
            return (status, String::new(), String::new());
        }
        let mut rest = String::new();
        self.stdout.read_to_string(&mut rest).ok();
        let errors = self.stderr.take().and_then(|thread| thread.join().ok());
        (status, rest, errors.unwrap_or_default())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Fails where it has ended, as it should have.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
