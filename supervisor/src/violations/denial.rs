//! A denied system call as evidence.

use std::fmt;

use nix::errno::Errno;
use sandbox::seccomp::Phase;
use serde::{Serialize, Serializer};

/// What was seen of a denied call while its thread waited for the answer.
///
/// Registers, thread, phase and answer are facts. What was read of the worker's memory
/// (texts behind pointers, the stack) the plugin could have changed meanwhile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Denial {
    /// The arguments by their meaning, in the manner of strace(1); each escaped and cut.
    pub args: Vec<String>,
    /// The thread, as the supervisor's pid namespace numbers it.
    pub thread: u32,
    /// Whether the plugin was being loaded.
    pub phase: Phase,
    /// What the call got.
    #[serde(flatten)]
    pub answer: Answer,
    /// Where in the plugin it came from.
    pub frame: Frame,
    /// The address behind the call instruction.
    #[serde(serialize_with = "hex")]
    pub ip: u64,
}

/// What a denied call gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict", rename_all = "lowercase")]
pub enum Answer {
    /// It failed.
    Refused {
        /// With this error.
        #[serde(serialize_with = "name")]
        errno: Errno,
    },
    /// The worker was killed while the call waited.
    Killed,
}

/// The innermost function of the plugin, or of a library that came with it, behind a call.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Frame {
    /// The call instruction, or a return address on the thread's stack, lies there.
    Found {
        /// The plugin's file name, or the library's soname.
        library: String,
        /// The function, where the file names it.
        #[serde(skip_serializing_if = "Option::is_none")]
        symbol: Option<String>,
        /// Bytes from the function's beginning, or where it has no name from the file's.
        offset: u64,
    },
    /// None was found.
    Unknown {
        /// Why not.
        unknown: String,
    },
}

impl Frame {
    /// No frame, and why.
    pub fn unknown(why: impl Into<String>) -> Self {
        Self::Unknown {
            unknown: why.into(),
        }
    }
}

impl Denial {
    /// The call as one line of evidence.
    #[must_use]
    pub fn line(&self, syscall: &str) -> String {
        let args = self.args.join(", ");
        let phase = match self.phase {
            Phase::Loading => "loading",
            Phase::Serving => "serving",
        };
        let (frame, thread) = (&self.frame, self.thread);
        format!("{syscall}({args}), {frame}, thread {thread}, {phase}")
    }
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Found {
                library,
                symbol: Some(symbol),
                offset,
            } => write!(f, "at {library}!{symbol}+{offset:#x}"),
            Self::Found {
                library, offset, ..
            } => write!(f, "at {library}+{offset:#x}"),
            Self::Unknown { unknown } => write!(f, "from an unknown place ({unknown})"),
        }
    }
}

fn hex<S: Serializer>(value: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{value:#x}"))
}

fn name<S: Serializer>(errno: &Errno, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{errno:?}"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    fn denial(answer: Answer, frame: Frame) -> Denial {
        Denial {
            args: vec!["AT_FDCWD".into(), "\"/etc/shadow\"".into()],
            thread: 7,
            phase: Phase::Serving,
            answer,
            frame,
            ip: 0x7f01,
        }
    }

    fn found(symbol: Option<&str>) -> Frame {
        Frame::Found {
            library: "libx.so".into(),
            symbol: symbol.map(str::to_owned),
            offset: 28,
        }
    }

    #[test]
    fn as_a_line() {
        let errno = Errno::EPERM;
        for (frame, place) in [
            (found(Some("deed")), "at libx.so!deed+0x1c"),
            (found(None), "at libx.so+0x1c"),
            (Frame::unknown("gone"), "from an unknown place (gone)"),
        ] {
            assert_eq!(
                denial(Answer::Refused { errno }, frame).line("openat"),
                format!("openat(AT_FDCWD, \"/etc/shadow\"), {place}, thread 7, serving")
            );
        }
    }

    #[test]
    fn as_json() {
        let errno = Errno::EPERM;
        let json = |answer, frame| serde_json::to_value(denial(answer, frame)).unwrap();

        let refused = json(Answer::Refused { errno }, found(Some("deed")));
        let killed = json(Answer::Killed, Frame::unknown("gone"));

        assert_eq!(
            refused,
            serde_json::json!({
                "args": ["AT_FDCWD", "\"/etc/shadow\""], "thread": 7, "phase": "serving",
                "verdict": "refused", "errno": "EPERM", "ip": "0x7f01",
                "frame": {"library": "libx.so", "symbol": "deed", "offset": 28},
            })
        );
        assert_eq!(killed["verdict"], "killed");
        assert_eq!(killed["frame"], serde_json::json!({"unknown": "gone"}));
    }
}
