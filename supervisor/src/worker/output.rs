//! Standard output and standard error of a worker, read as they come.

use std::sync::Arc;
use std::time::Instant;

use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;

use super::Worker;
use crate::limits::{LimitName, Quantity};
use crate::output::{Charge, Source, Splitter, escape_line};
use crate::units::ByteSize;

/// Reads one stream to its end. Beyond the budget it rests until the next minute: the
/// plugin then waits at a full pipe, at its own cost.
pub(super) async fn read(worker: Arc<Worker>, mut pipe: Receiver, source: Source) {
    let mut splitter = Splitter::default();
    let mut buffer = vec![0; TURN];
    while let Ok(count @ 1..) = pipe.read(&mut buffer).await {
        let charge = worker.charge_log(count as u64 + ENTRY);
        if charge.allowed {
            splitter.push(&buffer[..count], |text| {
                worker.plugin.record.print(source, text);
            });
            tokio::task::yield_now().await;
        } else {
            tokio::time::sleep_until(charge.renewed.into()).await;
        }
    }
    if let Some(text) = splitter.finish() {
        worker.plugin.record.print(source, text);
    }
}

/// Bytes read before the other tasks have their turn: lines of a few bytes each take longest.
const TURN: usize = 2048;
/// What an entry of the log costs beside its text: empty ones aren't free.
const ENTRY: u64 = 32;

impl Worker {
    /// Takes a log record, if the budget allows it.
    pub(super) fn log(&self, text: &str) {
        if self.charge_log(text.len() as u64 + ENTRY).allowed {
            let text = escape_line(text.as_bytes());
            self.plugin.record.print(Source::Log, text);
        }
    }

    fn charge_log(&self, bytes: u64) -> Charge {
        let charge = self.plugin.charge_log(bytes, Instant::now());
        if let Some((tier, used)) = charge.overstep {
            self.overstep(LimitName::Log, tier, ByteSize::bytes(used).amount());
        }
        charge
    }
}
