//! Standard output and standard error of a worker, read as they come.

use std::sync::Arc;
use std::time::Instant;

use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;

use super::Worker;
use crate::limits::{LimitName, Quantity};
use crate::output::{Source, Splitter};
use crate::units::ByteSize;
use crate::violations::Tier;

/// Reads one stream to its end. Beyond the budget it still reads, so that the plugin
/// isn't blocked by us, and keeps nothing.
pub(super) async fn read(worker: Arc<Worker>, mut pipe: Receiver, source: Source) {
    let mut splitter = Splitter::default();
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(count @ 1..) = pipe.read(&mut buffer).await {
        if worker.charge_log(count as u64) {
            splitter.push(&buffer[..count], |text| {
                worker.plugin.record.print(source, text)
            });
        }
        tokio::task::yield_now().await;
    }
    if let Some(text) = splitter.finish() {
        worker.plugin.record.print(source, text);
    }
}

impl Worker {
    /// Takes bytes from the log budget; `false` when they may not be kept.
    pub(super) fn charge_log(&self, bytes: u64) -> bool {
        let charge = self.plugin.charge_log(bytes, Instant::now());
        if let Some(used) = charge.overstep {
            self.overstep(
                LimitName::Log,
                Tier::Declared,
                ByteSize::bytes(used).amount(),
            );
        }
        charge.allowed
    }
}
