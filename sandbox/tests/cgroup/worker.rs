//! A process to put into groups.

use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::Pid;
use sandbox::cgroup::Leaf;

use super::PATIENCE;

/// A shell that waits until it is in its groups; all that it started is killed at the end.
pub(crate) struct Worker<'leaf> {
    leaf: &'leaf Leaf,
    child: Child,
}

impl<'leaf> Worker<'leaf> {
    pub(crate) fn start(leaf: &'leaf Leaf, script: &str) -> Self {
        let mut child = Command::new("/bin/sh")
            .args(["-c", &format!("read released\n{script}")])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let release = child.stdin.take().unwrap();
        let worker = Self { leaf, child };
        leaf.attach(worker.pid()).unwrap();
        rustix::io::write(&release, b"\n").unwrap();
        worker
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for Worker<'_> {
    fn drop(&mut self) {
        self.leaf.kill().ok();
        self.child.wait().ok();
        let deadline = Instant::now() + PATIENCE;
        while self.leaf.populated().unwrap_or(false) && Instant::now() < deadline {
            sleep(Duration::from_millis(1));
        }
    }
}
