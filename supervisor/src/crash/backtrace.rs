//! Where a thread was, function by function.

use serde::{Deserialize, Serialize};

use super::Address;

/// A thread's functions, as far as they could be found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backtrace {
    /// The innermost first.
    pub frames: Vec<Frame>,
    /// Why there is no more of it; empty where nothing is missing.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub missing: String,
}

/// A function that was under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frame {
    /// The instruction, or the one after the call that is under way.
    pub address: Address,
    /// The file that it lies in, as the worker had it; empty where it is none.
    pub library: String,
    /// Where in the file.
    pub offset: Address,
    /// The function's name, demangled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function: Option<String>,
    /// The source file, where the plugin has debug data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The line in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// Whether the function was inlined into the next one.
    #[serde(default)]
    pub inlined: bool,
    /// Whether it was guessed from the stack, for want of a table that tells.
    #[serde(default)]
    pub guessed: bool,
}

impl Backtrace {
    /// Nothing but where the thread was.
    pub(crate) fn without_symbols(top: Option<Frame>, why: impl Into<String>) -> Backtrace {
        Backtrace {
            frames: top.into_iter().collect(),
            missing: why.into(),
        }
    }
}
