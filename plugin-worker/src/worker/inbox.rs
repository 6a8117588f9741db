//! What came from the supervisor and isn't dealt with yet. No I/O.

use std::collections::VecDeque;
use std::time::Duration;

use ipc_proto::frame::{DecodeError, Detached, Frame};
use ipc_proto::limits::{MAX_QUEUED_REQUESTS, RETAINED_BUFFER};
use ipc_proto::message::{Downstream, ToWorker};
use plugin_sdk::abi::Status;
use plugin_sdk::abi::call::monotonic_ns;

use super::ServeError;

/// Buffers kept for the bodies of later requests.
const SPARE_BUFFERS: usize = 64;

/// A request, copied off the wire since the receiver's buffer is needed while it runs.
#[derive(Debug)]
pub(super) struct Request {
    /// Whom to answer.
    pub(super) call: u64,
    /// Absolute, nanoseconds of `CLOCK_MONOTONIC`; 0 = none.
    pub(super) deadline_ns: u64,
    body: Detached,
}

impl Request {
    /// What is asked.
    pub(super) fn message(&self) -> Result<ToWorker<'_>, DecodeError> {
        self.body.message::<Downstream>()
    }
}

/// The call that runs now.
#[derive(Debug, Clone, Copy)]
struct Current {
    call: u64,
    deadline_ns: u64,
    cancelled: bool,
}

/// The answer to a host call.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct HostAnswer {
    pub(super) status: Status,
    pub(super) payload: Vec<u8>,
}

/// A request that is answered without running it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) call: u64,
    pub(super) status: Status,
    pub(super) text: &'static str,
}

/// Requests in order of arrival, the state of the call that runs, and its host call.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    waiting: VecDeque<Request>,
    spare: Vec<Vec<u8>>,
    current: Option<Current>,
    /// Number of the last host call made; they count from 1 and wrap.
    host_calls: u32,
    awaited: Option<u32>,
    answer: Option<HostAnswer>,
}

impl Inbox {
    /// Files a frame. A refusal is to be sent.
    pub(super) fn accept(
        &mut self,
        frame: &Frame<'_, Downstream>,
    ) -> Result<Option<Refusal>, ServeError> {
        match &frame.message {
            ToWorker::Hello(_) => Err(ServeError::OutOfSequence {
                message: "a second hello",
                stage: "connected",
            }),
            ToWorker::ListenerTaken => Err(ServeError::OutOfSequence {
                message: "word of a listener",
                stage: "connected",
            }),
            ToWorker::Cancel => Ok(self.cancel(frame.call)),
            ToWorker::HostReply {
                seq,
                status,
                payload,
            } => self.answer(*seq, Status(*status), payload).map(|()| None),
            _ => Ok(self.enqueue(frame)),
        }
    }

    /// The next request, which runs until [`finish`](Self::finish).
    pub(super) fn start(&mut self) -> Option<Request> {
        let request = self.waiting.pop_front()?;
        self.current = Some(Current {
            call: request.call,
            deadline_ns: request.deadline_ns,
            cancelled: false,
        });
        Some(request)
    }

    /// The request has run; its buffer is used again.
    pub(super) fn finish(&mut self, request: Request) {
        self.current = None;
        self.recycle(request);
    }

    /// The current call, 0 if none runs.
    pub(super) fn current_call(&self) -> u64 {
        self.current.map_or(0, |current| current.call)
    }

    /// Why the current call should end, if it should.
    pub(super) fn interruption(&self) -> Option<Status> {
        let current = self.current?;
        if current.deadline_ns != 0 && monotonic_ns() >= current.deadline_ns {
            return Some(Status::DEADLINE);
        }
        current.cancelled.then_some(Status::CANCELLED)
    }

    /// The number for a new host call, whose answer is now awaited.
    pub(super) fn await_host(&mut self) -> u32 {
        self.host_calls = self.host_calls.wrapping_add(1);
        self.awaited = Some(self.host_calls);
        self.host_calls
    }

    /// The awaited answer if it came.
    pub(super) fn take_answer(&mut self) -> Option<HostAnswer> {
        self.answer.take()
    }

    /// The host call was given up; its answer, if it still comes, means nothing.
    pub(super) fn give_up_host(&mut self) {
        self.awaited = None;
    }

    fn answer(&mut self, seq: u32, status: Status, payload: &[u8]) -> Result<(), ServeError> {
        if self.awaited == Some(seq) {
            self.awaited = None;
            self.answer = Some(HostAnswer {
                status,
                payload: payload.to_vec(),
            });
            return Ok(());
        }
        // Half of the circle of numbers lies behind the last one: a call that was given up.
        if self.host_calls.wrapping_sub(seq) < u32::MAX / 2 {
            return Ok(());
        }
        Err(ServeError::UnknownHostCall { seq })
    }

    fn cancel(&mut self, call: u64) -> Option<Refusal> {
        if let Some(current) = self.current.as_mut().filter(|current| current.call == call) {
            current.cancelled = true;
            return None;
        }
        // A call that isn't here was answered already: the two crossed on the wire.
        let place = self
            .waiting
            .iter()
            .position(|request| request.call == call)?;
        let request = self.waiting.remove(place)?;
        self.recycle(request);
        Some(Refusal {
            call,
            status: Status::CANCELLED,
            text: "cancelled before it ran",
        })
    }

    fn enqueue(&mut self, frame: &Frame<'_, Downstream>) -> Option<Refusal> {
        if self.waiting.len() >= MAX_QUEUED_REQUESTS {
            return Some(Refusal {
                call: frame.call,
                status: Status::ERROR,
                text: "too many requests wait for this worker",
            });
        }
        let buffer = self.spare.pop().unwrap_or_default();
        self.waiting.push_back(Request {
            call: frame.call,
            deadline_ns: frame.deadline.map_or(0, absolute_ns),
            body: frame.detach(buffer),
        });
        None
    }

    fn recycle(&mut self, request: Request) {
        let buffer = request.body.into_buffer();
        if self.spare.len() < SPARE_BUFFERS && buffer.capacity() <= RETAINED_BUFFER {
            self.spare.push(buffer);
        }
    }
}

fn absolute_ns(left: Duration) -> u64 {
    let left = u64::try_from(left.as_nanos()).unwrap_or(u64::MAX);
    monotonic_ns().saturating_add(left)
}
