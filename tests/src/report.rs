//! What `cordon run --format json` prints.

use std::collections::BTreeMap;

use serde::Deserialize;

/// The one object that is printed.
#[derive(Debug, Deserialize)]
pub struct Report {
    /// Id of the plugin.
    pub plugin: String,
    /// Its state before it was unloaded.
    pub state: String,
    /// Why it is in that state.
    pub reason: Option<String>,
    /// The calls, in order.
    pub calls: Vec<Call>,
    /// What it did that it wasn't granted.
    pub violations: Violations,
    /// The lines that it printed or logged, escaped.
    pub output: Vec<String>,
}

/// One call.
#[derive(Debug, Deserialize)]
pub struct Call {
    /// Which method.
    pub method: String,
    /// How it ended, in a word.
    pub outcome: String,
    /// What the plugin replied.
    pub reply: Option<String>,
    /// How it ended, in a sentence.
    pub error: Option<String>,
    /// How long it took, in microseconds.
    pub micros: u64,
}

/// Violations, over all workers of the plugin.
#[derive(Debug, Deserialize)]
pub struct Violations {
    /// How many count towards the threshold.
    pub counted: u64,
    /// How many there are of each kind.
    pub by_kind: BTreeMap<String, u64>,
}

impl Report {
    /// The reply to the last call, empty if there is none.
    #[must_use]
    pub fn reply(&self) -> &str {
        self.calls
            .last()
            .and_then(|call| call.reply.as_deref())
            .unwrap_or_default()
    }

    /// Whether the last call got no reply since the worker ended, and the reason says so.
    #[must_use]
    pub fn died(&self, ending: &str) -> bool {
        self.reply().is_empty() && self.error().contains(ending)
    }

    /// Why the last call failed, or the plugin if no call was made.
    #[must_use]
    pub fn error(&self) -> &str {
        let error = match self.calls.last() {
            Some(call) => &call.error,
            None => &self.reason,
        };
        error.as_deref().unwrap_or_default()
    }
}
