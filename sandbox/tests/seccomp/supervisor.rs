//! The parent: starts a child, takes its listener, answers as the profile says.

use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, ExitStatus, Stdio};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};
use sandbox::seccomp::{Arch, Granted, Listener, Mode, Phase, Profile, Verdict};

use crate::child;

/// What became of a child.
pub(crate) struct Run {
    /// One number per deed: what the call returned, errors negative.
    pub(crate) results: Vec<i64>,
    /// Every notification and its answer.
    pub(crate) calls: Vec<(String, Verdict)>,
    pub(crate) status: ExitStatus,
}

/// Runs a deed under the strict profile.
pub(crate) fn run(deed: &str, phase: Phase) -> Run {
    let (mut child, mut socket) = start(deed);
    let listener = Listener::new(fetch_fd(&child, &mut socket)).unwrap();
    let profile = Profile::builtin(Mode::Strict, Arch::NATIVE, Granted::NONE).unwrap();
    let mut calls = Vec::new();
    while wait(&listener) {
        let call = match listener.receive() {
            Ok(Some(call)) => call,
            Ok(None) => continue,
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => break,
            Err(error) => panic!("{error}"),
        };
        assert!(listener.is_valid(call.id).unwrap());
        let verdict = profile.judge(&call, phase);
        calls.push((call.to_string(), verdict));
        match verdict {
            Verdict::Continue => assert!(listener.respond_continue(call.id).unwrap()),
            Verdict::Refuse(errno) => assert!(listener.respond_errno(call.id, errno).unwrap()),
            Verdict::Kill => child.kill().unwrap(),
        }
    }
    finish(child, &mut socket, calls)
}

/// Runs a deed; its listener, if it sends one, is closed at once.
pub(crate) fn run_unsupervised(deed: &str) -> Run {
    let (child, mut socket) = start(deed);
    drop(fetch_fd(&child, &mut socket));
    finish(child, &mut socket, Vec::new())
}

fn start(deed: &str) -> (Child, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["child_entry", "--exact", "--nocapture", "--test-threads=1"])
        .env(child::VARIABLE, deed)
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    (child, ours)
}

/// `false`: nobody is left under the filter.
fn wait(listener: &Listener) -> bool {
    let mut ready = [PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
    let count = poll(&mut ready, PollTimeout::from(20_000u16)).unwrap();
    assert_eq!(count, 1, "the child makes no call and doesn't end");
    ready[0].revents().unwrap().contains(PollFlags::POLLIN)
}

fn finish(mut child: Child, socket: &mut UnixStream, calls: Vec<(String, Verdict)>) -> Run {
    let mut bytes = Vec::new();
    socket.read_to_end(&mut bytes).unwrap();
    let number = |bytes: &[u8]| i64::from_le_bytes(bytes.try_into().unwrap());
    Run {
        results: bytes.chunks(8).map(number).collect(),
        calls,
        status: child.wait().unwrap(),
    }
}

/// Fetches the listener from the child, which waits meanwhile.
fn fetch_fd(child: &Child, socket: &mut UnixStream) -> OwnedFd {
    let mut number = [0; 8];
    socket.read_exact(&mut number).unwrap();
    let pid = Pid::from_raw(child.id() as i32).unwrap();
    let pidfd = pidfd_open(pid, PidfdFlags::empty()).unwrap();
    let number = i64::from_le_bytes(number) as i32;
    let fd = pidfd_getfd(&pidfd, number, PidfdGetfdFlags::empty()).unwrap();
    socket.write_all(&[1]).unwrap();
    fd
}
