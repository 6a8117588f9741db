//! The supervisor's side: notifications from a filtered process, judged and answered.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use rustix::process::{PidfdGetfdFlags, pidfd_getfd};
use serde::Serialize;

use super::arch::Arch;
use super::profile::{Action, Profile};
use crate::sys::seccomp as sys;

/// A call that waits for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Notification {
    /// Names this call at its listener.
    pub id: u64,
    /// The calling thread as the reader's pid namespace numbers it; 0: not in there.
    pub tid: u32,
    /// System call number.
    pub nr: u32,
    /// `AUDIT_ARCH_*`.
    pub arch: u32,
    /// Address after the call instruction.
    pub ip: u64,
    /// Arguments, all registers. What pointers lead to can change at any time.
    pub args: [u64; 6],
}

/// How far the plugin is. The supervisor's state, never the worker's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// From the filter's installation until the plugin's `create` has returned.
    Loading,
    /// Afterwards.
    Serving,
}

/// How a notification is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The kernel runs the call.
    Continue,
    /// The call fails so.
    Refuse(Errno),
    /// The worker is killed while the call waits; the call is never answered.
    Kill,
}

impl Profile {
    /// What becomes of a call that this profile's program notified of. What it can't
    /// have notified of is refused as well.
    #[must_use]
    pub fn judge(&self, call: &Notification, phase: Phase) -> Verdict {
        if Arch::from_audit(call.arch) != Some(self.arch()) {
            return Verdict::Kill;
        }
        match (self.action(call.nr, &call.args), phase) {
            (Action::NotifyLoading, Phase::Loading) => Verdict::Continue,
            (Action::Kill, _) => Verdict::Kill,
            (Action::Errno(errno), _) => Verdict::Refuse(errno),
            (Action::NotifyLoading | Action::Refuse | Action::Allow, _) => {
                Verdict::Refuse(Errno::EPERM)
            }
        }
    }
}

/// The reading end of a filter's notifications. Readable while a call waits.
///
/// One reader at a time: between readiness and [`receive`](Listener::receive) nobody else
/// may take the call, or the receiving ioctl would block.
#[derive(Debug)]
pub struct Listener {
    fd: Arc<OwnedFd>,
}

impl Listener {
    /// Takes over a listener.
    ///
    /// # Errors
    /// `InvalidInput` where the fd is none; `Unsupported` where this kernel's notifications
    /// are larger than we know.
    pub fn new(fd: OwnedFd) -> io::Result<Listener> {
        sys::check_sizes()?;
        let listener = Listener { fd: fd.into() };
        // Whether such a call waits doesn't matter: only a listener knows the question.
        match listener.is_valid(0) {
            Ok(_) => Ok(listener),
            Err(_) => Err(io::ErrorKind::InvalidInput.into()),
        }
    }

    /// Fetches the listener that the process behind `pidfd` holds at its number `fd`. The
    /// process needs no system call for it but to tell the number.
    ///
    /// # Errors
    /// As [`Listener::new`]; `EPERM` without the right to trace the process, which an owner
    /// of its user namespace has, and nobody where `kernel.yama.ptrace_scope` is 3; `ESRCH`
    /// once it is gone; see pidfd_getfd(2).
    pub fn fetch(pidfd: BorrowedFd<'_>, fd: RawFd) -> io::Result<Listener> {
        Listener::new(pidfd_getfd(pidfd, fd, PidfdGetfdFlags::empty())?)
    }

    /// Its fd, to wait for its readiness with.
    #[must_use]
    pub fn shared_fd(&self) -> Arc<OwnedFd> {
        Arc::clone(&self.fd)
    }

    /// The next call that waits; `None` where its thread died meanwhile. Doesn't block,
    /// so it fits an edge-triggered loop that runs until `WouldBlock`.
    ///
    /// # Errors
    /// `WouldBlock` where no call waits; `BrokenPipe` where no process is left under the
    /// filter; else the kernel's errno, see seccomp_unotify(2).
    pub fn receive(&self) -> io::Result<Option<Notification>> {
        let mut ready = [PollFd::new(self.fd.as_fd(), PollFlags::POLLIN)];
        poll(&mut ready, PollTimeout::ZERO)?;
        let events = ready[0].revents().unwrap_or(PollFlags::empty());
        if !events.contains(PollFlags::POLLIN) {
            let ended = events.intersects(PollFlags::POLLHUP | PollFlags::POLLERR);
            return Err(if ended {
                io::ErrorKind::BrokenPipe.into()
            } else {
                io::ErrorKind::WouldBlock.into()
            });
        }
        match sys::receive(self.fd.as_fd()) {
            Ok(call) => Ok(Some(Notification {
                id: call.id,
                tid: call.pid,
                nr: call.data.nr as u32,
                arch: call.data.arch,
                ip: call.data.instruction_pointer,
                args: call.data.args,
            })),
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Lets the kernel run the call; `false` where its thread is gone. Whatever pointers
    /// lead to is read again, so this must not be the answer that confines.
    ///
    /// # Errors
    /// The kernel's errno, see seccomp_unotify(2).
    pub fn respond_continue(&self, id: u64) -> io::Result<bool> {
        let flags = libc::SECCOMP_USER_NOTIF_FLAG_CONTINUE as u32;
        self.respond(libc::seccomp_notif_resp {
            id,
            val: 0,
            error: 0,
            flags,
        })
    }

    /// Lets the call fail; `false` where its thread is gone.
    ///
    /// # Errors
    /// The kernel's errno, see seccomp_unotify(2).
    pub fn respond_errno(&self, id: u64, errno: Errno) -> io::Result<bool> {
        let error = -(errno as i32);
        self.respond(libc::seccomp_notif_resp {
            id,
            val: 0,
            error,
            flags: 0,
        })
    }

    /// Whether the call still waits. What was read of its process before this said
    /// `true` was that process's.
    ///
    /// # Errors
    /// The kernel's errno, see seccomp_unotify(2).
    pub fn is_valid(&self, id: u64) -> io::Result<bool> {
        present(sys::id_valid(self.fd.as_fd(), id))
    }

    fn respond(&self, response: libc::seccomp_notif_resp) -> io::Result<bool> {
        present(sys::respond(self.fd.as_fd(), response))
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl AsRawFd for Listener {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

/// ENOENT says that the call waits no more.
fn present(result: io::Result<()>) -> io::Result<bool> {
    match result {
        Ok(()) => Ok(true),
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seccomp::{Granted, Mode};

    fn judge(call: &str, args: [u64; 6], arch: Arch, phase: Phase) -> Verdict {
        let profile = Profile::builtin(Mode::Strict, Arch::X86_64, Granted::NONE).unwrap();
        let nr = Arch::X86_64.number(call).unwrap();
        let call = Notification {
            id: 1,
            tid: 2,
            nr,
            arch: arch.audit(),
            ip: 0,
            args,
        };
        profile.judge(&call, phase)
    }

    #[test]
    fn what_is_no_listener_is_not_taken_for_one() {
        let (pipe, _) = rustix::pipe::pipe().unwrap();
        let error = Listener::new(pipe).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn what_loading_needs_continues_while_loading_alone() {
        let open = |phase| judge("openat", [0; 6], Arch::X86_64, phase);
        assert_eq!(open(Phase::Loading), Verdict::Continue);
        assert_eq!(open(Phase::Serving), Verdict::Refuse(Errno::EPERM));
    }

    #[test]
    fn the_rest_gets_the_same_answer_in_both_phases() {
        for phase in [Phase::Loading, Phase::Serving] {
            let of = |call| judge(call, [0; 6], Arch::X86_64, phase);
            assert_eq!(of("socket"), Verdict::Refuse(Errno::EPERM));
            assert_eq!(of("ptrace"), Verdict::Kill);
            assert_eq!(of("clone3"), Verdict::Refuse(Errno::ENOSYS));
            assert_eq!(judge("openat", [0; 6], Arch::Aarch64, phase), Verdict::Kill);
        }
    }
}
