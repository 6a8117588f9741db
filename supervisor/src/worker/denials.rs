//! The filter's notifications: each call judged, looked at, recorded, and answered.

use std::borrow::Cow;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Instant;

use sandbox::seccomp::{Listener, Notification, Verdict};
use tokio::io::unix::AsyncFd;

use super::Worker;
use super::evidence::{Attention, Evidence};
use crate::ending::Ending;
use crate::limits::{LimitName, Quantity};
use crate::units::Count;
use crate::violations::{Answer, Kind, Tier, Violation};

/// Calls answered before the other tasks have their turn.
const BATCH: usize = 16;

/// Answers notifications until no process is left under the filter.
///
/// If this task ends early the listener closes, and the kernel then refuses every
/// further call of the kind: nothing passes unseen.
pub(super) async fn answer(worker: Arc<Worker>, listener: Listener, ready: AsyncFd<Arc<OwnedFd>>) {
    let listener = Arc::new(listener);
    let mut attention = Attention::new(Instant::now());
    while let Ok(mut ready) = ready.readable().await {
        // A bounded batch: a flood of one plugin's calls mustn't starve the others' tasks.
        for _ in 0..BATCH {
            match listener.receive() {
                Ok(Some(call)) => worker.decide(&listener, call, &mut attention),
                Ok(None) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready.clear_ready();
                    break;
                }
                Err(_) => return,
            }
        }
        // The runtime looks for other plugins' events before it comes back.
        tokio::task::yield_now().await;
    }
}

impl Worker {
    fn decide(
        self: &Arc<Self>,
        listener: &Arc<Listener>,
        call: Notification,
        attention: &mut Attention,
    ) {
        let phase = self.phase();
        let answer = match self.filter.profile.judge(&call, phase) {
            Verdict::Continue => {
                // Fails only for a thread that is gone.
                listener.respond_continue(call.id).ok();
                return;
            }
            Verdict::Refuse(errno) => Answer::Refused { errno },
            Verdict::Kill => Answer::Killed,
        };
        // Charged before anything is looked at.
        let now = Instant::now();
        let bearable = self.charge_denial(now);
        match attention.take(now).filter(|_| bearable) {
            Some(permit) => {
                let violation = self.denied(&call, answer);
                if answer == Answer::Killed {
                    // Nothing else of it goes on while this is looked at.
                    // That it can't be is told when it is isolated.
                    self.order_to_freeze().ok();
                }
                let (worker, listener) = (Arc::clone(self), Arc::clone(listener));
                tokio::spawn(async move {
                    let (package, held) = (Arc::clone(&worker.package), Arc::clone(&listener));
                    let evidence = Evidence::gather(call, answer, held, package, permit).await;
                    let violation = evidence.add_to(violation, &call, phase, answer);
                    if answer == Answer::Killed {
                        worker.look_at_waiting(call.tid).await;
                    }
                    worker.settle(&listener, &call, answer, |worker| {
                        worker.violate(violation);
                    });
                });
            }
            None => self.settle(listener, &call, answer, |worker| {
                worker.violate_again(kind(&call, answer));
            }),
        }
    }

    /// Takes a denial from the budget; beyond it the worker is killed, and that is told by
    /// `false`.
    fn charge_denial(&self, now: Instant) -> bool {
        let charge = self.plugin.charge_denial(now);
        let used = Count::new(charge.used).amount();
        if !charge.allowed {
            let used_up = Ending::DenialFlood { used: charge.used };
            let flood = Kind::Limit {
                resource: LimitName::Denials,
                tier: Tier::Hard,
            };
            if self.end_for(&flood, used_up) {
                self.overstep(LimitName::Denials, Tier::Hard, used);
            }
        } else if let Some((tier, _)) = charge.overstep {
            self.overstep(LimitName::Denials, tier, used);
        }
        charge.allowed
    }

    fn denied(&self, call: &Notification, answer: Answer) -> Violation {
        // What it answered before this call lies in the socket already.
        self.catch_up();
        self.violation(kind(call, answer))
    }

    /// Records a denial, then answers it. What ends the worker is never answered.
    fn settle(
        &self,
        listener: &Listener,
        call: &Notification,
        answer: Answer,
        record: impl FnOnce(&Self),
    ) {
        if answer == Answer::Killed {
            let syscall = name(call).into_owned();
            self.end_for(&kind(call, answer), Ending::Denied { syscall });
        }
        record(self);
        if let (Answer::Refused { errno }, None) = (answer, self.cause()) {
            listener.respond_errno(call.id, errno).ok();
        }
    }
}

fn kind(call: &Notification, answer: Answer) -> Kind {
    Kind::DeniedSyscall {
        syscall: name(call),
        dangerous: answer == Answer::Killed,
    }
}

fn name(call: &Notification) -> Cow<'static, str> {
    match call.name() {
        Some(name) => name.into(),
        None => format!("number {}", call.nr).into(),
    }
}
