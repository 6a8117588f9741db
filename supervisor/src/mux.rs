//! Many calls in flight over one worker's socket, without I/O and without a task each.
//!
//! Callers [`open`](Mux::open) requests, the worker's one I/O task hands it every frame
//! that came and every tick of the clock. What the worker says is hostile: a frame that
//! answers nothing is a [`ProtocolError`].

mod history;
mod outcome;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use ipc_proto::decoder::Decoder;
use ipc_proto::frame::{Frame, encode};
use ipc_proto::limits::MAX_QUEUED_REQUESTS;
use ipc_proto::message::{FromWorker, ToWorker, Upstream};
use tokio::sync::oneshot;

use history::{History, name_of};
pub(crate) use outcome::{Delivery, Incoming, OpenError, ProtocolError, Reply, Unanswered};

/// Bytes of requests that may wait for a worker that doesn't read.
const MAX_WAITING_REQUESTS: usize = 32 << 20;
/// Bytes that may wait when an answer to a host call is added: a plugin that asks has to
/// read.
const MAX_WAITING_ANSWERS: usize = 1 << 20;

/// Status of the plugin ABI for an instance that is poisoned (`cordon_plugin.h`).
const PANIC: i32 = 4;

/// A deadline so far away is none; no clock overflows below it.
const NEVER: Duration = Duration::from_secs(365 * 24 * 3600);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expects {
    Load,
    Create,
    Return,
}

#[derive(Debug)]
struct Pending {
    expects: Expects,
    /// Whether it is a call or a hook of somebody's.
    call: bool,
    opened: Instant,
    /// What was asked for.
    name: Box<str>,
    deadline: Option<Instant>,
    /// When the worker was told to cancel it.
    cancelled: Option<Instant>,
    /// `None` once the caller was told that it takes too long, or gave up.
    reply: Option<oneshot::Sender<Result<Reply, Unanswered>>>,
}

impl Pending {
    /// The grace runs from the cancellation, not from the deadline: a supervisor that was
    /// held up owes its plugins that much.
    fn end_of_grace(&self, grace: Duration) -> Option<Instant> {
        Some(self.deadline?.max(self.cancelled?) + grace)
    }
}

/// The requests of one connection.
#[derive(Debug, Default)]
pub(crate) struct Mux {
    last: u64,
    pending: HashMap<u64, Pending>,
    out: Vec<u8>,
    written: usize,
    closed: bool,
    history: History,
}

/// What the clock asks for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Overdue {
    /// Deadlines that passed now: their callers were told.
    pub(crate) missed: Vec<u64>,
    /// A call outlived its deadline by the grace: only killing the worker ends it.
    pub(crate) stuck: Option<u64>,
}

impl Mux {
    /// Opens a request: its number, and where the answer will come.
    ///
    /// # Errors
    /// [`OpenError`]; nothing was queued then.
    pub(crate) fn open(
        &mut self,
        message: &ToWorker<'_>,
        deadline: Option<Duration>,
        now: Instant,
    ) -> Result<(u64, oneshot::Receiver<Result<Reply, Unanswered>>), OpenError> {
        if self.closed {
            return Err(OpenError::Closed);
        }
        if self.pending.len() >= MAX_QUEUED_REQUESTS || self.unsent().len() > MAX_WAITING_REQUESTS {
            return Err(OpenError::Busy);
        }
        let deadline = deadline.filter(|deadline| *deadline < NEVER);
        let call = self.last + 1;
        encode(message, call, deadline, &mut self.out)?;
        self.last = call;
        let expects = match message {
            ToWorker::Load { .. } => Expects::Load,
            ToWorker::Create { .. } => Expects::Create,
            _ => Expects::Return,
        };
        let (reply, answer) = oneshot::channel();
        let deadline = deadline.map(|deadline| now + deadline);
        self.pending.insert(
            call,
            Pending {
                expects,
                call: matches!(message, ToWorker::Call { .. } | ToWorker::Hook { .. }),
                opened: now,
                name: name_of(message),
                deadline,
                cancelled: None,
                reply: Some(reply),
            },
        );
        Ok((call, answer))
    }

    /// Queues a message that expects no answer.
    ///
    /// # Errors
    /// [`OpenError`].
    pub(crate) fn post(&mut self, message: &ToWorker<'_>, call: u64) -> Result<(), OpenError> {
        if self.closed {
            return Err(OpenError::Closed);
        }
        // A cancellation is small, and there is at most one per request.
        let answer = matches!(message, ToWorker::HostReply { .. });
        if answer && self.unsent().len() > MAX_WAITING_ANSWERS {
            return Err(OpenError::Busy);
        }
        Ok(encode(message, call, None, &mut self.out)?)
    }

    /// Gives a call up: its caller went away. A late answer is then no violation.
    pub(crate) fn cancel(&mut self, call: u64, now: Instant) {
        if let Some(pending) = self.pending.get_mut(&call) {
            pending.reply = None;
            pending.cancelled = Some(now);
            // The worker may be gone; then there is nobody to tell.
            let _ = self.post(&ToWorker::Cancel, call);
        }
    }

    /// Handles one frame of the worker.
    ///
    /// # Errors
    /// [`ProtocolError`]: the worker must be killed.
    pub(crate) fn incoming<'a>(
        &mut self,
        frame: &Frame<'a, Upstream>,
        now: Instant,
    ) -> Result<Incoming<'a>, ProtocolError> {
        let call = frame.call;
        match &frame.message {
            FromWorker::Log { text, .. } => Ok(Incoming::Log { text }),
            FromWorker::HostCall { seq, op } if self.pending.contains_key(&call) => {
                Ok(Incoming::HostCall {
                    call,
                    seq: *seq,
                    op: *op,
                })
            }
            FromWorker::HostCall { .. } => Err(ProtocolError::Unsolicited {
                kind: "host call",
                call,
            }),
            FromWorker::Hello(_) => Err(ProtocolError::OutOfSequence("hello")),
            FromWorker::Listener { .. } => Err(ProtocolError::OutOfSequence("listener")),
            FromWorker::Ready { .. } => Err(ProtocolError::OutOfSequence("ready")),
            FromWorker::SetupFailed { .. } => Err(ProtocolError::OutOfSequence("setup failure")),
            FromWorker::Loaded { abi, .. } => {
                let reply = Reply::Loaded { abi: *abi };
                self.answer(call, "loaded", Expects::Load, reply, now)
            }
            FromWorker::LoadFailed {
                reason,
                plugin_abi,
                detail,
            } => {
                let reply = Reply::LoadFailed {
                    reason: *reason,
                    abi: *plugin_abi,
                    detail: (*detail).to_owned(),
                };
                self.answer(call, "load failure", Expects::Load, reply, now)
            }
            FromWorker::Created => {
                self.answer(call, "created", Expects::Create, Reply::Created, now)
            }
            FromWorker::Reply {
                status,
                verdict,
                schema,
                payload,
            } => {
                let create = self
                    .pending
                    .get(&call)
                    .is_some_and(|pending| pending.expects == Expects::Create);
                let reply = Reply::Returned {
                    status: *status,
                    verdict: *verdict,
                    schema: *schema,
                    payload: payload.to_vec(),
                };
                // Only a create that failed is answered so.
                let expects = match create && *status != 0 {
                    true => Expects::Create,
                    false => Expects::Return,
                };
                self.answer(call, "reply", expects, reply, now)
            }
        }
    }

    /// Gives a reply to whom it belongs.
    fn answer(
        &mut self,
        call: u64,
        kind: &'static str,
        expected: Expects,
        reply: Reply,
        now: Instant,
    ) -> Result<Incoming<'static>, ProtocolError> {
        let Some(pending) = self.pending.remove(&call) else {
            return Err(ProtocolError::Unsolicited { kind, call });
        };
        if pending.expects != expected {
            return Err(ProtocolError::Unsolicited { kind, call });
        }
        let took = now.duration_since(pending.opened);
        self.history.answered(call, pending.name, took, &reply);
        let panicked = matches!(reply, Reply::Returned { status: PANIC, .. });
        let wanted = pending.reply.is_some() && pending.call;
        let delivery = pending.reply.map(|to| Delivery { to, reply });
        Ok(Incoming::Answered {
            call,
            took: wanted.then_some(took),
            panicked,
            delivery,
        })
    }

    /// When [`overdue`](Self::overdue) has something to do next.
    #[must_use]
    pub(crate) fn next_deadline(&self, grace: Duration) -> Option<Instant> {
        self.pending
            .values()
            .filter_map(|pending| match pending.reply {
                Some(_) => pending.deadline,
                None => pending.end_of_grace(grace),
            })
            .min()
    }

    /// Tells callers whose deadline passed, and finds what cancelling couldn't end.
    pub(crate) fn overdue(&mut self, now: Instant, grace: Duration) -> Overdue {
        let mut overdue = Overdue::default();
        for (call, pending) in &mut self.pending {
            let passed = pending.deadline.is_some_and(|deadline| deadline <= now);
            if pending.end_of_grace(grace).is_some_and(|end| end <= now) {
                overdue.stuck = Some(*call);
                // Told once: what follows ends the connection.
                pending.deadline = None;
            } else if passed && let Some(reply) = pending.reply.take() {
                let _ = reply.send(Err(Unanswered::Deadline));
                pending.cancelled = Some(now);
                overdue.missed.push(*call);
            }
        }
        for call in &overdue.missed {
            let _ = self.post(&ToWorker::Cancel, *call);
        }
        overdue
    }

    /// Whether no call is in flight.
    #[must_use]
    pub(crate) fn is_idle(&self) -> bool {
        self.pending.is_empty()
    }

    /// Numbers of the calls in flight, oldest first.
    #[must_use]
    pub(crate) fn in_flight(&self) -> Vec<u64> {
        let mut calls: Vec<u64> = self.pending.keys().copied().collect();
        calls.sort_unstable();
        calls
    }

    /// Bytes to write.
    #[must_use]
    pub(crate) fn unsent(&self) -> &[u8] {
        &self.out[self.written..]
    }

    /// Says that `count` of [`unsent`](Self::unsent) are written.
    pub(crate) fn sent(&mut self, count: usize) {
        self.written += count;
        if self.written >= self.out.len() {
            self.out.clear();
            self.written = 0;
            self.out.shrink_to(ipc_proto::limits::RETAINED_BUFFER);
        }
    }

    /// Ends the connection: everyone who waits is told, nothing can be opened.
    pub(crate) fn close(&mut self) {
        self.closed = true;
        for (_, pending) in self.pending.drain() {
            if let Some(reply) = pending.reply {
                let _ = reply.send(Err(Unanswered::Closed));
            }
        }
        self.out = Vec::new();
        self.written = 0;
    }
}

/// The decoder of what workers send.
pub(crate) type WorkerDecoder = Decoder<Upstream>;

#[cfg(test)]
mod tests;
