//! What is known of a worker's death: how it came, and what was seen of it from outside.
//!
//! A crash is one JSON object, a file of its own in the folder for state,
//! `crashes/PLUGIN/ID.json`, and what `cordon crash show --format json` prints. Its fields are
//! those of [`Crash`]; addresses are strings, `0x` and hexadecimal digits, since 64 bits don't
//! fit the numbers of JSON. Texts that a plugin wrote are escaped, and all of them are evidence
//! for a person: the plugin can forge its memory, its stack and its symbols.

mod backtrace;
mod desk;
mod scene;
mod store;

use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

pub use backtrace::{Backtrace, Frame};
pub(crate) use desk::{Case, Desk};
pub use scene::{Address, Evidence, Region, Register, Signal, Thread};
pub(crate) use scene::{Scene, place};
pub use store::{CrashId, MAX_BYTES, MAX_CRASHES, Store};

use crate::ending::Ending;
use crate::manifest::PluginId;
use crate::output::Line;

/// The version of the layout.
pub const SCHEMA: u32 = 1;
/// The last lines of a plugin that are kept.
const LINES: usize = 32;
/// The longest text of a line that is kept, in characters.
const LINE: usize = 512;

/// A worker's death.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Crash {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Its name among the plugin's.
    pub id: CrashId,
    /// Whose worker it was.
    pub plugin: PluginId,
    /// The plugin's own version.
    pub version: String,
    /// SHA3-512 of the plugin's file.
    pub digest: String,
    /// When it was seen, in milliseconds since 1970.
    pub when_ms: u64,
    /// How long the worker had lived, in milliseconds.
    pub uptime_ms: u64,
    /// The worker's pid, which is another's by now.
    pub pid: u32,
    /// How it ended: what [`Ending`] serializes to, as the version that wrote it knew them.
    pub ending: serde_json::Value,
    /// The same for people.
    pub how: String,
    /// The signal that it died of, where it was seen.
    pub signal: Option<Signal>,
    /// The thread that died, where it was seen.
    pub thread: Option<Thread>,
    /// What could be seen of that thread, or why nothing.
    pub evidence: Evidence,
    /// Its registers, in the kernel's order; those of a thread that waits in the kernel are the
    /// instruction and the stack pointer.
    pub registers: Vec<Register>,
    /// Where it was, the innermost function first.
    pub backtrace: Backtrace,
    /// What was mapped: what has a name, code, or the thread's stack; 512 regions at most.
    pub maps: Vec<Region>,
    /// What the plugin said last, the oldest first.
    pub log: Vec<Line>,
    /// The calls in flight, and the last ones that were answered, the oldest first.
    pub calls: Vec<LastCall>,
}

/// A call of the plugin's last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastCall {
    /// Its number.
    pub call: u64,
    /// The method, the hook, or what else was asked of the worker.
    pub method: String,
    /// From the request to the answer, or to the end of the worker.
    pub took_us: u64,
    /// What became of it.
    pub outcome: Outcome,
}

/// What became of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It was answered, with this status of the plugin ABI (0: ok).
    Answered(i32),
    /// It was under way when the worker ended.
    InFlight,
    /// Its deadline had passed, or its caller had given it up, when the worker ended.
    Overdue,
}

/// Whether an end of this kind is a crash, rather than what somebody wanted.
pub(crate) fn is_crash(ending: &Ending) -> bool {
    !matches!(
        ending,
        Ending::Unloaded | Ending::Launch { .. } | Ending::Lost
    )
}

/// The last lines, each cut to what a person reads.
pub(crate) fn last_lines(lines: &[Line]) -> Vec<Line> {
    let first = lines.len().saturating_sub(LINES);
    let mut last = lines[first..].to_vec();
    for line in &mut last {
        if let Some((end, _)) = line.text.char_indices().nth(LINE) {
            line.text.truncate(end);
        }
    }
    last
}

pub(crate) fn millis_since_1970() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}
