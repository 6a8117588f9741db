//! Init traces its worker: a thread whose death ends the process is held, reported with its
//! registers, and looked at from outside before it is gone.
//!
//! Init, not the launcher: every signal and every thread of a traced process waits for its
//! tracer, and a plugin that makes many shall keep nobody but itself waiting. Init is in the
//! worker's own group.

mod backtrace;
mod record;
mod registers;
mod thread;

pub use backtrace::{LONGEST_CALL, MAX_NAME, MAX_PLACES, Place, Question, ends_with_call};
pub use record::{Held, RECORD, Report};
pub use registers::{
    DWARF_FRAME_POINTER, DWARF_RETURN_ADDRESS, DWARF_STACK_POINTER, NAMES, Registers, Top,
};
pub use thread::thread_of;

use std::time::Duration;

use rustix::process::{Pid, WaitOptions, WaitStatus};

use crate::sys::ptrace::{self, EVENT_CLONE, EVENT_EXIT, EVENT_STOP, Siginfo};

/// How long a dying thread is held. Who looks at it ends the process when he has seen it.
pub const HOLD: Duration = Duration::from_millis(500);

/// Signals are numbered from 1 to 64.
const SIGNALS: usize = 65;

/// What init keeps of the threads that it traces.
pub(crate) struct Tracer {
    /// The last delivery of each signal, which may be what a thread dies of.
    delivered: [Option<(Pid, Siginfo)>; SIGNALS],
    /// A thread that has made another and waits for us.
    creator: Option<Pid>,
    told: bool,
}

impl Tracer {
    pub(crate) fn new() -> Tracer {
        Tracer {
            delivered: [None; SIGNALS],
            creator: None,
            told: false,
        }
    }

    /// How to wait for what comes next: not at all while a thread waits for us.
    pub(crate) fn patience(&self) -> WaitOptions {
        match self.creator {
            Some(_) => WaitOptions::NOHANG,
            None => WaitOptions::empty(),
        }
    }

    /// Nothing has come.
    pub(crate) fn idle(&mut self) {
        self.let_create(None);
    }

    /// Whoever makes threads goes on when those that have ended are reaped: the ones that it
    /// has joined would still count against its limit.
    fn let_create(&mut self, next: Option<Pid>) {
        if let Some(creator) = std::mem::replace(&mut self.creator, next) {
            let _ = ptrace::resume(creator, 0);
        }
    }

    /// Answers a stop of a thread. `tell` gets what is held first, once in all.
    pub(crate) fn stopped(&mut self, thread: Pid, status: WaitStatus, tell: impl FnOnce(&Held)) {
        let status = status.as_raw();
        let (signal, event) = (status >> 8 & 0xff, status >> 16);
        if event != EVENT_EXIT {
            // Whatever it was given, it has survived.
            self.forget(thread);
        }
        // Each fails only for a thread that is gone.
        match event {
            0 => {
                self.remember(thread, signal);
                let _ = ptrace::resume(thread, signal);
            }
            EVENT_STOP if signal != libc::SIGTRAP => {
                let _ = ptrace::listen(thread);
            }
            EVENT_CLONE => self.let_create(Some(thread)),
            EVENT_EXIT => {
                if let Some(held) = self.death(thread) {
                    self.told = true;
                    tell(&held);
                }
                self.forget(thread);
                // A traced thread would stay a zombie, and count as a task, until init has
                // its turn to reap it.
                let _ = ptrace::detach(thread);
            }
            _ => {
                let _ = ptrace::resume(thread, 0);
            }
        }
    }

    fn forget(&mut self, thread: Pid) {
        for kept in &mut self.delivered {
            kept.take_if(|(whose, _)| *whose == thread);
        }
    }

    fn remember(&mut self, thread: Pid, signal: i32) {
        let kept = self.delivered.get_mut(signal as usize);
        if let (Some(kept), Ok(info)) = (kept, ptrace::siginfo(thread)) {
            *kept = Some((thread, info));
        }
    }

    /// Of a thread on its way out, if it is what ends the process: the others go with it, and a
    /// thread may end alone.
    fn death(&self, thread: Pid) -> Option<Held> {
        if self.told {
            return None;
        }
        let status = ptrace::message(thread).ok()? as i32;
        let mut words = [0; NAMES.len()];
        let cause = match status & 0x7f {
            // Nothing survives it for long, and memory may be short.
            libc::SIGKILL => return None,
            0 => None,
            signal => {
                let delivered = self.delivered.get(signal as usize).copied().flatten();
                // One that can't be handled isn't shown: whoever comes first had it.
                if delivered.is_some_and(|(other, _)| other != thread) {
                    return None;
                }
                Some(delivered.map_or(unseen(signal), |(_, info)| info))
            }
        };
        ptrace::registers(thread, &mut words).ok()?;
        let registers = Registers { words };
        if cause.is_none() && registers.call() != libc::SYS_exit_group as u64 {
            return None;
        }
        Some(Held {
            thread: thread.as_raw_nonzero().get() as u32,
            status,
            cause,
            registers,
        })
    }
}

fn unseen(signal: i32) -> Siginfo {
    Siginfo {
        signal,
        code: libc::SI_KERNEL,
        address: 0,
    }
}
