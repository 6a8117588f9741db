//! The connection to the supervisor: requests in, replies out, and host calls in between.

use std::io::{self, Write};

use ipc_proto::channel::{Receiver, RecvError, Sender};
use ipc_proto::limits::{MAX_LOG_TEXT, RETAINED_BUFFER};
use ipc_proto::message::{Downstream, FromWorker, HostOp, ToWorker};
use plugin_sdk::abi::call::monotonic_ns;
use plugin_sdk::abi::{LOG_ERROR, LOG_TRACE, Status};

use super::ServeError;
use super::batch::Batch;
use super::inbox::{HostAnswer, Inbox, Refusal, Request};
use super::transport::Source;

/// The connection, shared between the loop and the plugin's calls to the host.
///
/// *Invariant:* whatever waits for the supervisor first writes all that is queued for it.
pub(super) struct Link<R, W: Write> {
    receiver: Receiver<R, Downstream>,
    sender: Sender<W>,
    inbox: Inbox,
    batch: Batch,
    /// What broke the connection during a host call; the loop ends with it after the call.
    broken: Option<ServeError>,
}

impl<R: Source, W: Write> Link<R, W> {
    pub(super) fn new(source: R, sink: W) -> Self {
        Self {
            receiver: Receiver::new(source),
            sender: Sender::new(sink),
            inbox: Inbox::default(),
            batch: Batch::default(),
            broken: None,
        }
    }

    /// Receives and checks the supervisor's hello.
    pub(super) fn expect_hello(&mut self) -> Result<(), ServeError> {
        let frame = self.receiver.recv()?.ok_or(ServeError::Closed)?;
        match frame.message {
            ToWorker::Hello(hello) => Ok(hello.check().map(drop)?),
            _ => Err(ServeError::OutOfSequence {
                message: "another message than a hello",
                stage: "connecting",
            }),
        }
    }

    /// Waits for the next request. All that one read brought is taken in first, so that a
    /// cancellation overtakes the call that it concerns.
    pub(super) fn next_request(&mut self) -> Result<Request, ServeError> {
        loop {
            self.take_in()?;
            if let Some(request) = self.inbox.start() {
                return Ok(request);
            }
            self.flush()?;
            self.batch.pause(monotonic_ns());
            if self.receiver.fill()? == 0 {
                return Err(ServeError::Closed);
            }
        }
    }

    /// The request is about to run: writes the replies that must not wait for its end.
    pub(super) fn begin(&mut self, message: &ToWorker<'_>) -> Result<(), ServeError> {
        let may_wait = self.batch.begin(message, monotonic_ns());
        if may_wait && self.sender.queued() <= RETAINED_BUFFER {
            return Ok(());
        }
        self.flush()
    }

    /// Queues the answer to a request. It may be held back while more requests are here: see
    /// [`Batch`].
    pub(super) fn answer(
        &mut self,
        request: &Request,
        answer: &FromWorker<'_>,
    ) -> Result<(), ServeError> {
        if let Some(broken) = self.broken.take() {
            return Err(broken);
        }
        Ok(self.sender.queue(answer, request.call, None)?)
    }

    /// The request is dealt with.
    pub(super) fn finish(&mut self, request: Request) {
        self.inbox.finish(request);
    }

    /// Writes all that is queued.
    pub(super) fn flush(&mut self) -> Result<(), ServeError> {
        self.batch.written();
        self.sender.flush().map_err(ServeError::Send)
    }

    /// Why the call that is about to run, or runs, should end, as far as is known without reading.
    pub(super) fn interruption(&self) -> Option<Status> {
        self.inbox.interruption()
    }

    fn take_in(&mut self) -> Result<(), ServeError> {
        while let Some(frame) = self.receiver.buffered()? {
            if let Some(Refusal { call, status, text }) = self.inbox.accept(&frame)? {
                let reply = FromWorker::Reply {
                    status: status.0,
                    verdict: 0,
                    schema: 0,
                    payload: text.as_bytes(),
                };
                self.sender.queue(&reply, call, None)?;
            }
        }
        Ok(())
    }

    /// Takes in what has come, without waiting.
    pub(super) fn poll(&mut self) -> Result<(), ServeError> {
        match self.receiver.fill_with(R::read_ready) {
            Ok(0) => return Err(ServeError::Closed),
            Ok(_) => self.take_in()?,
            Err(RecvError::Io(error)) if is_transient(&error) => {}
            Err(error) => return Err(error.into()),
        }
        self.flush()
    }

    /// Sends a log line of the current call.
    pub(super) fn log(&mut self, level: u32, text: &[u8]) -> Result<(), ServeError> {
        let text = String::from_utf8_lossy(&text[..text.len().min(MAX_LOG_TEXT)]);
        let line = FromWorker::Log {
            level: level.clamp(LOG_ERROR, LOG_TRACE) as u8,
            text: clip(&text, MAX_LOG_TEXT),
        };
        self.sender.queue(&line, self.inbox.current_call(), None)?;
        // At once: the last lines before a crash are its evidence.
        self.flush()
    }

    /// Makes a host call and waits for its answer, or until the plugin's call is interrupted.
    pub(super) fn host_call(
        &mut self,
        op: HostOp<'_>,
    ) -> Result<Result<HostAnswer, Status>, ServeError> {
        if let Some(status) = self.inbox.interruption() {
            return Ok(Err(status));
        }
        let seq = self.inbox.await_host();
        let call = self.inbox.current_call();
        if self
            .sender
            .queue(&FromWorker::HostCall { seq, op }, call, None)
            .is_err()
        {
            self.inbox.give_up_host();
            return Ok(Err(Status::TOO_LARGE));
        }
        self.flush()?;
        loop {
            self.take_in()?;
            if let Some(answer) = self.inbox.take_answer() {
                return Ok(Ok(answer));
            }
            // The supervisor cancels a call at its deadline, so the wait always ends.
            if let Some(status) = self.inbox.interruption() {
                self.inbox.give_up_host();
                return Ok(Err(status));
            }
            self.flush()?;
            if self.receiver.fill()? == 0 {
                return Err(ServeError::Closed);
            }
        }
    }

    /// Runs a step of a host call. After a failure the connection is gone: the plugin is told that
    /// its call is cancelled.
    pub(super) fn attempt<T>(
        &mut self,
        step: impl FnOnce(&mut Self) -> Result<T, ServeError>,
    ) -> Result<T, Status> {
        if self.broken.is_none() {
            match step(self) {
                Ok(value) => return Ok(value),
                Err(error) => self.broken = Some(error),
            }
        }
        Err(Status::CANCELLED)
    }
}

/// The longest start of `text` that has at most `limit` bytes.
pub(super) fn clip(text: &str, limit: usize) -> &str {
    let mut end = limit.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

fn is_transient(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}
