//! Restarts of plugins that failed, when policy says.

use std::pin::Pin;
use std::sync::{Arc, Weak};

use super::Shared;
use super::load::failure;
use crate::manifest::PluginId;
use crate::plugin::{Cause, Record, Restart};

impl Shared {
    /// Has a plugin loaded again, from the bytes that were read last, if a restart of it is to
    /// come. Whatever happens to it until then (somebody loads, unloads or unmounts it) calls
    /// the restart off.
    pub(super) fn restart_when_due(self: &Arc<Self>, record: &Record) {
        if let Some(restart) = record.due() {
            tokio::spawn(again(Arc::downgrade(self), record.id().clone(), restart));
        }
    }
}

/// Boxed, since a load that fails leads here again.
fn again(
    shared: Weak<Shared>,
    id: PluginId,
    restart: Restart,
) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(async move {
        tokio::time::sleep_until(restart.at.into()).await;
        let Some(shared) = shared.upgrade() else {
            return;
        };
        let known = shared
            .plugins()
            .get(&id)
            .map(|entry| (Arc::clone(&entry.package), entry.file.clone()));
        if let Some((package, file)) = known {
            let loaded = shared.load(package, file, Cause::Due(restart)).await;
            let record = shared
                .plugins()
                .get(&id)
                .map(|entry| Arc::clone(&entry.record));
            // What came of one that began is the plugin's state.
            if let (Err(error), Some(record)) = (loaded, record)
                && record.not_restarted(restart, failure(&error))
            {
                tracing::warn!("{id} isn't restarted: {error}");
                shared.restart_when_due(&record);
            }
        }
    })
}
