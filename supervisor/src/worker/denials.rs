//! The filter's notifications: each call judged, answered, and recorded.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use sandbox::seccomp::{Listener, Notification, Verdict};
use tokio::io::unix::AsyncFd;

use super::Worker;
use crate::ending::Ending;
use crate::violations::Kind;

/// Calls answered before the other tasks have their turn.
const BATCH: usize = 64;

/// Answers notifications until no process is left under the filter.
///
/// If this task ends early the listener closes, and the kernel then refuses every
/// further call of the kind: nothing passes unseen.
pub(super) async fn answer(worker: Arc<Worker>, listener: Listener, ready: AsyncFd<OwnedFd>) {
    while let Ok(mut ready) = ready.readable().await {
        // A bounded batch: a flood of one plugin's calls mustn't starve the others' tasks.
        for _ in 0..BATCH {
            match listener.receive() {
                Ok(Some(call)) => worker.decide(&listener, &call),
                Ok(None) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready.clear_ready();
                    break;
                }
                Err(_) => return,
            }
        }
        tokio::task::yield_now().await;
    }
}

impl Worker {
    fn decide(&self, listener: &Listener, call: &Notification) {
        let phase = self.phase();
        let verdict = self.filter.profile.judge(call, phase);
        let name = || {
            call.name()
                .map_or_else(|| format!("number {}", call.nr), str::to_owned)
        };
        if verdict == Verdict::Continue {
            // Fails only for a thread that is gone.
            listener.respond_continue(call.id).ok();
            return;
        }
        let dangerous = verdict == Verdict::Kill;
        if dangerous {
            self.kill(Ending::Denied { syscall: name() });
        }
        let syscall = name().into();
        let phase = format!("{phase:?}").to_lowercase();
        let evidence = format!("{call}, thread {}, at {:#x}, {phase}", call.tid, call.ip);
        let violation = self.violation(Kind::DeniedSyscall { syscall, dangerous });
        let unmounted = self.violate(violation.seen(&evidence));
        // Recorded first, then refused. What ends the worker is never answered.
        if let (Verdict::Refuse(errno), false) = (verdict, unmounted) {
            listener.respond_errno(call.id, errno).ok();
        }
    }
}
