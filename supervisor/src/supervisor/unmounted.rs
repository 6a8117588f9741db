//! Plugins that were unmounted, and the operator who undoes it.

use super::{LoadError, ManageError, Shared, Supervisor, advance};
use crate::lifecycle::{self, Event, State};
use crate::manifest::PluginId;
use crate::plugin::Record;

impl Supervisor {
    /// Allows an unmounted plugin to be loaded again, and counts its violations from zero:
    /// an operator's decision. With a folder for state this removes a file there.
    ///
    /// # Errors
    /// [`ManageError`].
    pub fn enable(&self, plugin: &PluginId) -> Result<(), ManageError> {
        // A disk is slow: not while the registry is locked. Who loads it from here on goes by
        // the file, and may be the one that takes the state on.
        let keeper = self.shared.speaker.keeper.as_ref();
        let kept = keeper.map_or(Ok(false), |keeper| keeper.enable(plugin))?;
        let plugins = self.shared.plugins();
        match plugins.get(plugin).map(|entry| &entry.record) {
            // Another supervisor unmounted it, or it is being loaded already.
            Some(record) if kept && !matches!(record.state(), State::Unmounted { .. }) => {}
            Some(record) => drop(advance(record, plugin, lifecycle::Event::Enable)?),
            None if kept => {}
            None => return Err(ManageError::Unknown(plugin.clone())),
        }
        Ok(())
    }

    /// Counts a plugin's violations from zero, and lifts what they restrict: an operator's
    /// decision. An unmounted plugin stays so.
    ///
    /// # Errors
    /// [`ManageError::Unknown`].
    pub fn reset_violations(&self, plugin: &PluginId) -> Result<(), ManageError> {
        let plugins = self.shared.plugins();
        let entry = plugins.get(plugin);
        let entry = entry.ok_or_else(|| ManageError::Unknown(plugin.clone()))?;
        entry.record.reset_violations();
        if let Some(worker) = &entry.worker {
            worker.restrained.notify_one();
        }
        Ok(())
    }
}

impl Shared {
    /// Whether the plugin isn't unmounted. Where there is a folder for state its word holds,
    /// since an operator may have enabled the plugin there, and another supervisor unmounted it.
    pub(super) async fn allowed(&self, id: &PluginId, record: &Record) -> Result<(), LoadError> {
        let kept = match self.speaker.keeper.clone() {
            None => None,
            Some(keeper) => {
                let plugin = id.clone();
                let read = tokio::task::spawn_blocking(move || keeper.unmounted(&plugin));
                let kept = read.await.map_err(|_| LoadError::Stopped)??;
                match (kept, record.state()) {
                    (None, State::Unmounted { .. }) => drop(record.advance(Event::Enable)),
                    (Some(reason), State::Available | State::Failed { .. }) => {
                        drop(record.advance(Event::ThresholdReached(reason)));
                    }
                    _ => {}
                }
                kept
            }
        };
        let known = match record.state() {
            State::Unmounted { reason } => Some(reason),
            _ => None,
        };
        match kept.or(known) {
            None => Ok(()),
            Some(reason) => Err(LoadError::Unmounted {
                plugin: id.clone(),
                reason,
            }),
        }
    }
}
