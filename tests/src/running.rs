//! A program under way, to be read line by line and to be ended.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::command::Fresh;

/// How long it may take to print a line, or to end.
const PATIENCE: Duration = Duration::from_secs(30);

/// A child process; it is killed if the test ends before it.
#[derive(Debug)]
pub struct Running {
    child: Child,
    stdout: Receiver<String>,
    stderr: Receiver<String>,
    state: Option<Arc<Fresh>>,
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
        Self {
            stdout: lines(child.stdout.take()),
            stderr: lines(child.stderr.take()),
            child,
            state: None,
        }
    }

    /// Keeps the folder for its state for as long as it may use it.
    #[must_use]
    pub fn with(mut self, state: Arc<Fresh>) -> Self {
        self.state = Some(state);
        self
    }

    /// Its pid.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The next line that it prints, without its end.
    ///
    /// # Panics
    /// When there is none in half a minute.
    pub fn line(&mut self) -> String {
        let line = self.stdout.recv_timeout(PATIENCE);
        line.unwrap_or_else(|error| panic!("it printed no more, {error}: {:?}", self.rest()))
    }

    /// Sends a signal, waits until it has ended, and gives its status, the rest of its
    /// output, and its errors.
    ///
    /// # Panics
    /// When it has ended already, or doesn't within half a minute.
    pub fn end(mut self, signal: Signal) -> (ExitStatus, String, String) {
        let pid = Pid::from_raw(self.child.id() as i32);
        let sent = kill(pid, signal);
        assert!(sent.is_ok(), "it has ended: {sent:?}, {:?}", self.rest());
        let end = Instant::now() + PATIENCE;
        let status = loop {
            match self.child.try_wait() {
                Ok(Some(status)) => break status,
                Ok(None) if Instant::now() < end => thread::sleep(Duration::from_millis(1)),
                other => panic!("{signal} doesn't end it: {other:?}, {:?}", self.rest()),
            }
        };
        let (output, errors) = self.rest();
        (status, output, errors)
    }

    /// What it has printed since; a process that it forked may hold the other ends, so
    /// that the pipes needn't end with it.
    fn rest(&self) -> (String, String) {
        let text = |lines: &Receiver<String>| {
            let patience = Duration::from_millis(100);
            std::iter::from_fn(|| lines.recv_timeout(patience).ok())
                .map(|line| line + "\n")
                .collect()
        };
        (text(&self.stdout), text(&self.stderr))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Fails where it has ended, as it should have.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// The lines of a pipe, as they come.
fn lines(pipe: Option<impl Read + Send + 'static>) -> Receiver<String> {
    let (sender, receiver) = channel();
    if let Some(pipe) = pipe {
        thread::spawn(move || {
            let mut lines = BufReader::new(pipe).lines().map_while(Result::ok);
            lines.try_for_each(|line| sender.send(line))
        });
    }
    receiver
}
