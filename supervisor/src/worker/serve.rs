//! The worker's I/O task: frames in and out, deadlines, and the end.

use std::io;
use std::os::fd::OwnedFd;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ipc_proto::message::{HostOp, ToWorker};
use sandbox::cgroup::Events;
use sandbox::sys::pidfd::exit_status;
use sandbox::sys::socket::receive;
use sandbox::weaken::{Weakened, off};
use tokio::io::unix::{AsyncFd, AsyncFdReadyGuard};
use tokio::io::{Interest, Ready};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::dying::Reports;
use super::{Worker, lock};
use crate::ending::Ending;
use crate::host::HostAnswer;
use crate::lifecycle::State;
use crate::limits::{LimitName, Quantity};
use crate::mux::Incoming;
use crate::notice::Notice;
use crate::output::escape;
use crate::units::Count;
use crate::violations::Kind;

/// What only the I/O task uses.
pub(super) struct Io {
    pub(super) socket: AsyncFd<Arc<OwnedFd>>,
    pub(super) exit: AsyncFd<Arc<OwnedFd>>,
    pub(super) reports: Reports,
    pub(super) gone: oneshot::Receiver<Option<Events>>,
    /// The readers of stdout and stderr.
    pub(super) output: Vec<JoinHandle<()>>,
}

/// How long the readers of its output may take once it is gone.
const LAST_WORDS: Duration = Duration::from_millis(200);
/// Reads by which a denial catches up with the replies before it.
const READS: usize = 8;
/// How long the launcher may take to bury a worker that has ended.
const BURIAL: Duration = Duration::from_secs(5);

/// Serves the connection until the worker ends, or has to.
pub(super) async fn serve(worker: Arc<Worker>, io: Io) {
    let mut status = None;
    while worker.cause().is_none() {
        let timer = worker.next_timer(Instant::now());
        let mut interest = Interest::READABLE;
        if !lock(&worker.mux).unsent().is_empty() {
            interest |= Interest::WRITABLE;
        }
        let turn = tokio::select! {
            biased;
            _ = io.exit.readable() => break,
            report = io.reports.next() => {
                status = worker.dies(report).await;
                break;
            }
            () = sleep_until(timer) => {
                // What has come already isn't late.
                let read = worker.read();
                worker.tick(Instant::now());
                read
            }
            () = worker.wake.notified() => continue,
            ready = io.socket.ready(interest) => match ready {
                Ok(mut ready) => worker.transfer(&mut ready),
                Err(_) => break,
            },
        };
        match turn {
            // Bytes may come without end, and awaiting their readiness yields to nobody.
            Ok(_) => tokio::task::yield_now().await,
            Err(End::Closed) => worker.closed(&io).await,
            Err(End::Protocol(what)) => worker.protocol(&what),
        }
    }
    if worker.cause().is_none() {
        // Answers that it gave before it ended still count.
        while let Ok(true) = worker.read() {}
    }
    worker.finish_isolation().await;
    worker.bury(io, status).await;
}

async fn sleep_until(when: Option<Instant>) {
    match when {
        Some(when) => tokio::time::sleep_until(when.into()).await,
        None => std::future::pending().await,
    }
}

enum End {
    Closed,
    Protocol(String),
}

impl Worker {
    fn next_timer(&self, now: Instant) -> Option<Instant> {
        let audit = self.next_audit(now);
        if off(Weakened::Deadline) {
            return audit;
        }
        let deadline = lock(&self.mux).next_deadline(self.times.grace);
        let timers = [deadline, self.next_cpu_check(now), audit];
        timers.into_iter().flatten().min()
    }

    fn tick(&self, now: Instant) {
        self.audit_if_due(now);
        if off(Weakened::Deadline) {
            return;
        }
        let overdue = lock(&self.mux).overdue(now, self.times.grace);
        self.flush();
        if let Some(call) = overdue.stuck {
            let violation = self.plugin.record.violation(Kind::Deadline).during([call]);
            if self.end_for(&violation.kind, Ending::Deadline { call }) {
                self.violate(violation);
            }
        }
        self.check_cpu();
    }

    /// Writes and reads as far as the socket is ready.
    fn transfer(&self, ready: &mut AsyncFdReadyGuard<'_, Arc<OwnedFd>>) -> Result<bool, End> {
        if ready.ready().is_writable() {
            self.flush();
            if !lock(&self.mux).unsent().is_empty() {
                ready.clear_ready_matching(Ready::WRITABLE);
            }
        }
        let read = self.read();
        if !matches!(read, Ok(true)) {
            ready.clear_ready_matching(Ready::READABLE);
        }
        read
    }

    /// Handles what has come already, as far as a few reads bring it.
    pub(super) fn catch_up(&self) {
        for _ in 0..READS {
            match self.read() {
                Ok(true) => {}
                Err(End::Protocol(what)) => return self.protocol(&what),
                // The I/O task finds the end of it too.
                Ok(false) | Err(End::Closed) => return,
            }
        }
    }

    /// Reads once and handles every complete frame; `false` when nothing was there.
    fn read(&self) -> Result<bool, End> {
        let decoder = &mut *lock(&self.decoder);
        let received = match receive(&self.socket, decoder.spare(), 0) {
            Ok(received) => received,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(true),
            Err(_) => return Err(End::Closed),
        };
        if received.fds_sent > 0 {
            return Err(End::Protocol("it sent file descriptors".into()));
        }
        if received.bytes == 0 {
            return Err(End::Closed);
        }
        decoder.filled(received.bytes);
        loop {
            let frame = match decoder.next_frame() {
                Ok(Some(frame)) => frame,
                Ok(None) => return Ok(true),
                Err(error) => return Err(End::Protocol(error.to_string())),
            };
            let incoming = lock(&self.mux).incoming(&frame, Instant::now());
            match incoming {
                Ok(incoming) => self.handle(incoming),
                Err(error) => return Err(End::Protocol(error.to_string())),
            }
        }
    }

    fn handle(&self, incoming: Incoming<'_>) {
        match incoming {
            Incoming::Answered {
                call,
                took,
                panicked,
                delivery,
            } => {
                self.account_cpu(call);
                self.schedule_audit();
                self.plugin.record.answered(took);
                if panicked {
                    self.kill(Ending::Panicked);
                }
                if let Some(delivery) = delivery {
                    delivery.deliver();
                }
            }
            Incoming::Log { text } => {
                if self.charge_message() {
                    self.log(text);
                }
            }
            Incoming::HostCall { call, seq, op } => self.host_call(call, seq, &op),
        }
    }

    /// Every message costs, whatever it carries; `false` beyond the hard limit.
    fn charge_message(&self) -> bool {
        let charge = self.plugin.charge_message(Instant::now());
        if let Some((tier, used)) = charge.overstep {
            self.overstep(LimitName::Messages, tier, Count::new(used).amount());
        }
        if charge.flood {
            self.protocol("it floods the supervisor with messages");
        }
        charge.allowed
    }

    fn host_call(&self, call: u64, seq: u32, op: &HostOp<'_>) {
        let answer = match self.charge_message() {
            true => self.plugin.record.host_call(op),
            false => HostAnswer::DENIED,
        };
        let reply = ToWorker::HostReply {
            seq,
            status: answer.status,
            payload: &answer.payload,
        };
        let posted = lock(&self.mux).post(&reply, call);
        if posted.is_err() {
            self.protocol("it asks without reading the answers");
        }
        self.flush();
    }

    fn protocol(&self, what: &str) {
        let what = escape(what.as_bytes());
        let cause = Ending::Protocol { what: what.clone() };
        if self.end_for(&Kind::Protocol, cause) {
            self.violate(self.violation(Kind::Protocol).seen(&what));
        }
    }

    /// Its end of the socket is closed. A worker that ends by itself does so now; one that
    /// lives on without its socket is killed.
    async fn closed(&self, io: &Io) {
        let patience = Duration::from_millis(100);
        if timeout(patience, io.exit.readable()).await.is_err() {
            self.protocol("it closed its socket and lives on");
        }
    }

    /// The worker ended, or is being killed: waits until all of it is gone, then tells.
    async fn bury(&self, io: Io, status: Option<ExitStatus>) {
        let unasked = self.plugin.record.state() != State::Unloading;
        if unasked && self.cause().is_none() {
            self.plugin.record.notice(Notice::Exited);
        }
        let calls = self.last_calls();
        lock(&self.mux).close();
        // While its groups are there: the launcher's count comes only once they are not.
        self.audit_events();
        self.launcher.kill(self.launch_id);
        let events = match timeout(BURIAL, io.gone).await {
            Ok(Ok(events)) => events,
            _ => None,
        };
        if let Some(events) = events {
            self.count_events(events);
        }
        // Init ended with the worker, so its report is there, or never will be.
        let (held, ended) = io.reports.rest();
        if let Some(held) = held {
            self.report_unseen(&held);
        }
        let status = status
            .or_else(|| exit_status(&self.pidfd).ok().flatten())
            .or(ended);
        // With every process gone both pipes end once they are read. A reader that rests
        // for want of budget has nothing to keep.
        for mut reader in io.output {
            if timeout(LAST_WORDS, &mut reader).await.is_err() {
                reader.abort();
            }
        }
        let cause = lock(&self.cause).take();
        let ending = cause.unwrap_or_else(|| Ending::classify(status, events));
        self.hand_in_crash(&ending, calls);
        self.plugin.worker_ended(&ending);
        self.ended.send_replace(Some(ending));
    }
}
