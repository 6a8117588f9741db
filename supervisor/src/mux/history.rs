//! The last calls of a worker, for the evidence of its death.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use ipc_proto::message::ToWorker;

use super::{Mux, Reply};
use crate::crash::{LastCall, Outcome};
use crate::output::escape_line;

/// Answered calls that are kept.
const KEPT: usize = 16;
/// Calls in flight that are told of.
const IN_FLIGHT: usize = 32;
/// The longest name that is kept, in characters.
const NAME: usize = 64;

/// Calls that were answered, the oldest first.
#[derive(Debug, Default)]
pub(super) struct History(VecDeque<Answered>);

#[derive(Debug)]
struct Answered {
    call: u64,
    name: Box<str>,
    took: Duration,
    status: i32,
}

impl History {
    pub(super) fn answered(&mut self, call: u64, name: Box<str>, took: Duration, reply: &Reply) {
        let status = match reply {
            Reply::Returned { status, .. } => *status,
            Reply::Loaded { .. } | Reply::LoadFailed { .. } | Reply::Created => 0,
        };
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        self.0.push_back(Answered {
            call,
            name,
            took,
            status,
        });
    }
}

impl Mux {
    /// The calls that were answered last, then those in flight, the oldest first.
    pub(crate) fn last_calls(&self, now: Instant) -> Vec<LastCall> {
        let mut pending: Vec<_> = self.pending.iter().collect();
        pending.sort_unstable_by_key(|(call, _)| **call);
        let in_flight = pending.into_iter().take(IN_FLIGHT).map(|(call, pending)| {
            let outcome = match pending.reply {
                Some(_) => Outcome::InFlight,
                None => Outcome::Overdue,
            };
            let took = now.duration_since(pending.opened);
            last(*call, &pending.name, took, outcome)
        });
        let answered = self.history.0.iter().map(|answered| {
            let outcome = Outcome::Answered(answered.status);
            last(answered.call, &answered.name, answered.took, outcome)
        });
        answered.chain(in_flight).collect()
    }
}

fn last(call: u64, name: &str, took: Duration, outcome: Outcome) -> LastCall {
    LastCall {
        call,
        method: escape_line(name.as_bytes()),
        took_us: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
        outcome,
    }
}

/// What a request asks for.
pub(super) fn name_of(message: &ToWorker<'_>) -> Box<str> {
    let name = match message {
        ToWorker::Call { method, .. } => method,
        ToWorker::Hook { name, .. } => name,
        ToWorker::Load { .. } => "(load)",
        ToWorker::Create { .. } => "(create)",
        ToWorker::Symbolise { .. } => "(symbolise)",
        ToWorker::Shutdown => "(shutdown)",
        _ => "(other)",
    };
    match name.char_indices().nth(NAME) {
        Some((end, _)) => name[..end].into(),
        None => name.into(),
    }
}
