//! What is told to the host, and how.

use std::sync::Arc;

use tokio::sync::broadcast;

use crate::alerts::Alerts;
use crate::crash::Crash;
use crate::keeper::Keeper;
use crate::lifecycle::State;
use crate::manifest::PluginId;
use crate::notice::Notice;
use crate::output::Line;
use crate::violations::Violation;

/// Events kept for a slow listener; beyond them it misses the oldest.
const EVENTS: usize = 4096;
/// Lines and plugins' own events kept for a slow listener. Each takes 24 KiB at most, when
/// every byte of a line has to be escaped.
const OUTPUT: usize = 1024;

/// Something that happened to a plugin, for the host. What plugins say is [`Output`]: one
/// that says much must not push these out.
#[derive(Debug, Clone)]
pub enum Event {
    /// A plugin is in another state now.
    State {
        /// Which plugin.
        plugin: PluginId,
        /// Its state.
        state: State,
    },
    /// A plugin did what it may not.
    Violation(Arc<Violation>),
    /// The kernel told something else of a plugin's worker.
    Notice {
        /// Which plugin.
        plugin: PluginId,
        /// What.
        notice: Notice,
    },
    /// A plugin's worker crashed; told when its backtrace is worked out.
    Crash(Arc<Crash>),
}

/// Something that a plugin says.
#[derive(Debug, Clone)]
pub enum Output {
    /// A plugin printed or logged a line.
    Line {
        /// Which plugin.
        plugin: PluginId,
        /// The line, escaped.
        line: Line,
    },
    /// A plugin emitted an event of its own; name (at most 256 bytes) and payload (at most
    /// 4 KiB) are hostile.
    Emitted {
        /// Which plugin.
        plugin: PluginId,
        /// Its name.
        name: String,
        /// What it carries.
        payload: Vec<u8>,
    },
}

/// To all who listen to a supervisor.
#[derive(Debug, Clone)]
pub(crate) struct Speaker {
    pub(crate) events: broadcast::Sender<Event>,
    pub(crate) output: broadcast::Sender<Output>,
    /// Nothing where the host wants nothing on disk.
    pub(crate) keeper: Option<Arc<Keeper>>,
    /// Nothing where the host has no function for them.
    pub(crate) alerts: Option<Arc<Alerts>>,
}

impl Speaker {
    /// Waits until what was said is kept and told.
    pub(crate) fn close(&self) {
        self.keeper.iter().for_each(|keeper| keeper.close());
        self.alerts.iter().for_each(|alerts| alerts.close());
    }
}

impl Default for Speaker {
    fn default() -> Speaker {
        Speaker {
            events: broadcast::Sender::new(EVENTS),
            output: broadcast::Sender::new(OUTPUT),
            keeper: None,
            alerts: None,
        }
    }
}
