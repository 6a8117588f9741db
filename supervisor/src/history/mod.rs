//! The history of violations on disk: JSON Lines, appended to, read by people through
//! `cordon violations` and by log shippers as it is.
//!
//! It is `violations.jsonl` in the folder for state, and after it `violations.jsonl.1` and so
//! on, which are older; a file beyond policy's number is removed. Each line is one JSON object in
//! ASCII, at most [`MAX_LINE`] bytes with its end: whatever a plugin says is escaped in it and
//! makes no line. Schema 1 has these fields; others may be added.
//!
//! | field | |
//! | --- | --- |
//! | `schema` | 1 |
//! | `time` | when it was seen, RFC 3339 in UTC to the millisecond |
//! | `plugin` | id |
//! | `kind` | `limit`, `denied-syscall`, `denied-connect`, `deadline`, `oom-kill`, `protocol`, `confinement` |
//! | `resource`, `tier` | of a limit: its name, and `declared` or `hard` |
//! | `syscall`, `dangerous` | of a denied call: name, and whether no honest plugin makes it |
//! | `address` | of a denied connection |
//! | `severity` | `low`, `medium`, `high`, `critical` |
//! | `used`, `limit` | where something is counted, `{"unit": "bytes", "us" or "count", "value": N}` |
//! | `when_ms` | the same moment as `time`, in milliseconds since 1970 |
//! | `calls` | numbers of the calls in flight, at most 32 |
//! | `repeated` | how many more like it came in the same moment; 0 is left out |
//! | `evidence` | what was seen, one line; may quote the plugin |
//! | `denial` | of a denied call, what was seen of it, see [`Denial`](crate::violations::Denial) |
//! | `allowed_by` | the rule that would have allowed it |
//! | `message` | all of it as a sentence |
//! | `lost` | records that couldn't be written before this one; 0 is left out |
//! | `cut` | `true` where the line would have been too long, and has no more than plugin, kind, severity, times and message |
//!
//! A line is written whole or, where the writer is killed at it, in part; the part is cut off
//! by the next writer, and passed over by readers. What was recorded more than 100 ms ago (or
//! before the disk took the last lines) is in the file when the supervisor is killed, and on
//! the disk when power fails.

mod entry;
mod journal;
mod read;

use crate::units::ByteSize;
use crate::violations::Violation;

use entry::Entry;
pub(crate) use journal::Journal;
pub use read::{Filter, ReadError, Record, Records};

/// The file that is written to; older ones have a number after it.
const FILE: &str = "violations.jsonl";
/// The longest line, in bytes.
pub const MAX_LINE: usize = 64 * 1024;

/// How much history is kept: policy's `[history]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryRules {
    /// The size at which a file is finished, from 64 KiB to 1 GiB.
    pub size: ByteSize,
    /// Files kept, with the one that is written to, from 2 to 100.
    pub files: u32,
}

impl Default for HistoryRules {
    fn default() -> Self {
        Self {
            size: ByteSize::mib(16),
            files: 8,
        }
    }
}

/// A violation as its line in the history, with its end; `lost` is how many weren't told
/// before it.
#[must_use]
pub fn line(violation: &Violation, lost: u64) -> Vec<u8> {
    Entry::new(violation, lost).line()
}

/// The name of the `n`th file, 0 being the one that is written to.
fn file_name(n: u32) -> String {
    match n {
        0 => FILE.into(),
        n => format!("{FILE}.{n}"),
    }
}

/// The number in the name of a file, if it is one of the history's.
fn file_number(name: &str) -> Option<u32> {
    match name.strip_prefix(FILE)? {
        "" => Some(0),
        rest => {
            let n = rest.strip_prefix('.')?.parse().ok()?;
            (file_name(n) == name).then_some(n)
        }
    }
}
