//! The worker's I/O task: frames in and out, deadlines, and the end.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ipc_proto::message::{HostOp, ToWorker};
use rustix::io::read;
use sandbox::cgroup::Events;
use sandbox::sys::pidfd::exit_status;
use sandbox::sys::socket::receive;
use sandbox::weaken::{Weakened, off};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::{Worker, lock};
use crate::ending::{Ending, from_report};
use crate::host::HostAnswer;
use crate::limits::{LimitName, Quantity};
use crate::mux::{Incoming, WorkerDecoder};
use crate::output::{Source, escape};
use crate::units::Count;
use crate::violations::{Kind, Tier};

/// What only the I/O task uses.
pub(super) struct Io {
    pub(super) socket: AsyncFd<OwnedFd>,
    pub(super) decoder: WorkerDecoder,
    pub(super) exit: AsyncFd<OwnedFd>,
    pub(super) report: OwnedFd,
    pub(super) gone: oneshot::Receiver<Option<Events>>,
    /// The readers of stdout and stderr.
    pub(super) output: Vec<JoinHandle<()>>,
}

/// How long the launcher may take to bury a worker that has ended.
const BURIAL: Duration = Duration::from_secs(5);

/// Serves the connection until the worker ends.
pub(super) async fn serve(worker: Arc<Worker>, mut io: Io) {
    loop {
        let now = Instant::now();
        let timer = worker.next_timer(now);
        let mut interest = Interest::READABLE;
        if !lock(&worker.mux).unsent().is_empty() {
            interest |= Interest::WRITABLE;
        }
        tokio::select! {
            biased;
            _ = io.exit.readable() => break,
            () = sleep_until(timer) => worker.tick(Instant::now()),
            () = worker.wake.notified() => {}
            ready = io.socket.ready(interest) => {
                let Ok(mut ready) = ready else { break };
                if ready.ready().is_writable() {
                    worker.flush();
                    if !lock(&worker.mux).unsent().is_empty() {
                        ready.clear_ready_matching(tokio::io::Ready::WRITABLE);
                    }
                }
                match worker.read(&mut io.decoder) {
                    Ok(true) => {}
                    Ok(false) => ready.clear_ready_matching(tokio::io::Ready::READABLE),
                    // Its end of the socket is closed: it ends, or it is of no use.
                    Err(End::Closed) => {
                        ready.clear_ready_matching(tokio::io::Ready::READABLE);
                        worker.kill_closed(&io).await;
                        break;
                    }
                    Err(End::Protocol(what)) => {
                        worker.protocol(what);
                        break;
                    }
                }
            }
        }
    }
    // Answers that it gave before it ended still count.
    while let Ok(true) = worker.read(&mut io.decoder) {}
    worker.bury(io).await;
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
        let audit = self.next_audit();
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
            self.kill(Ending::Deadline { call });
            self.violate(violation);
        }
        self.check_cpu();
    }

    /// Reads once and handles every complete frame; `false` when nothing was there.
    fn read(&self, decoder: &mut WorkerDecoder) -> Result<bool, End> {
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
                Ok(incoming) => self.handle(&incoming),
                Err(error) => return Err(End::Protocol(error.to_string())),
            }
        }
    }

    fn handle(&self, incoming: &Incoming<'_>) {
        match incoming {
            Incoming::Answered {
                call,
                took,
                panicked,
            } => {
                self.account_cpu(*call);
                self.schedule_audit();
                self.plugin.record.answered(*took);
                if *panicked {
                    self.kill(Ending::Panicked);
                }
            }
            Incoming::Log { text, .. } => {
                if self.charge_log(text.len() as u64) {
                    self.plugin
                        .record
                        .print(Source::Log, escape(text.as_bytes()));
                }
            }
            Incoming::HostCall { call, seq, op } => self.host_call(*call, *seq, op),
        }
    }

    fn host_call(&self, call: u64, seq: u32, op: &HostOp<'_>) {
        let charge = self.plugin.charge_message(Instant::now());
        if let Some(used) = charge.overstep {
            self.overstep(
                LimitName::Messages,
                Tier::Declared,
                Count::new(used).amount(),
            );
        }
        let answer = if charge.allowed {
            self.plugin.record.host_call(op)
        } else {
            HostAnswer::DENIED
        };
        let reply = ToWorker::HostReply {
            seq,
            status: answer.status,
            payload: &answer.payload,
        };
        let posted = lock(&self.mux).post(&reply, call);
        if posted.is_err() {
            self.protocol("it asks without reading the answers".into());
        }
        self.flush();
    }

    fn protocol(&self, what: String) {
        let what = escape(what.as_bytes());
        self.kill(Ending::Protocol { what: what.clone() });
        self.violate(self.violation(Kind::Protocol).seen(&what));
    }

    /// The socket is closed. A worker that ends by itself does so now; one that lives on
    /// without its socket is killed.
    async fn kill_closed(&self, io: &Io) {
        let patience = Duration::from_millis(100);
        if timeout(patience, io.exit.readable()).await.is_err() {
            self.protocol("it closed its socket and lives on".into());
        }
    }

    /// The worker ended, or is being killed: waits until all of it is gone, then tells.
    async fn bury(&self, io: Io) {
        lock(&self.mux).close();
        self.launcher.kill(self.launch_id);
        let events = match timeout(BURIAL, io.gone).await {
            Ok(Ok(events)) => events,
            _ => None,
        };
        if let Some(events) = events {
            self.count_events(events);
        }
        let status = exit_status(&self.pidfd).ok().flatten().or_else(|| {
            // Init ended with the worker, so its report is there, or never will be.
            let mut report = [0; 8];
            let length = read(&io.report, &mut report).unwrap_or(0);
            from_report(&report[..length])
        });
        // With every process gone both pipes end once they are read.
        for reader in io.output {
            timeout(BURIAL, reader).await.ok();
        }
        let cause = lock(&self.cause).take();
        let ending = cause.unwrap_or_else(|| Ending::classify(status, events));
        if ending == Ending::OutOfMemory {
            let limit = self.plugin.grants.limits.heap.hard().amount();
            self.violate(self.violation(Kind::OomKill).measured(limit, limit));
        }
        self.plugin.record.worker_ended(&ending);
        self.ended.send_replace(Some(ending));
    }
}
