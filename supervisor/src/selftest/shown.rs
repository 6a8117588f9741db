//! How an act of a plugin ended: the one vocabulary of what deeds expect and of what is seen.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use crate::document::printable;
use crate::ending::Ending;
use crate::supervisor::{CallError, LoadError};
use crate::worker::LaunchError;

/// How an act ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    /// The plugin says that it was done.
    Done,
    /// The plugin got this errno.
    Errno(String),
    /// The worker was killed for this system call.
    Kill(String),
    /// The worker died of this signal.
    Signal(String),
    /// The worker exited with this code.
    Exit(i32),
    /// A deadline was missed, of the load or of the call.
    Deadline,
    /// The call took more CPU time than it may.
    Cpu,
    /// The kernel killed the worker for its memory.
    OutOfMemory,
    /// The load was refused.
    Refused,
    /// The worker broke the protocol.
    Protocol,
    /// The plugin was unmounted for its violations.
    Unmounted,
    /// It went on until the runner gave up: no deadline ended it.
    Endless,
    /// Something that no deed expects; the sentence about it.
    Other(String),
}

/// A word that doesn't say how a deed ends.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no way to end: it is an errno such as EPERM, a signal such as SIGSYS, \
     `kill SYSCALL`, `exit CODE`, or one of done, deadline, cpu, oom, refused, protocol, unmounted"
)]
pub struct NotShown(pub String);

impl Shown {
    /// From the reply of a deed, or why there is none.
    pub(super) fn of_call(result: &Result<Vec<u8>, CallError>) -> Shown {
        match result {
            Ok(reply) => Shown::of_reply(&String::from_utf8_lossy(reply)),
            Err(CallError::Ended { ending, .. }) => Shown::of_ending(ending),
            Err(CallError::Deadline { .. }) => Shown::Deadline,
            Err(error) => Shown::Other(error.to_string()),
        }
    }

    /// From why a plugin isn't loaded.
    pub(super) fn of_load(error: &LoadError) -> Shown {
        match error {
            LoadError::Package(_) | LoadError::Refused(_) => Shown::Refused,
            LoadError::Unmounted { .. } => Shown::Unmounted,
            LoadError::Launch { source, .. } => match source {
                LaunchError::Ended(ending) => Shown::of_ending(ending),
                LaunchError::Deadline(_) => Shown::Deadline,
                LaunchError::Refused { .. } => Shown::Refused,
                other => Shown::Other(other.to_string()),
            },
            other => Shown::Other(other.to_string()),
        }
    }

    /// `DONE: …` or `STOPPED: ERRNO …`, as deeds reply.
    fn of_reply(reply: &str) -> Shown {
        if reply.starts_with("DONE: ") {
            return Shown::Done;
        }
        let errno = reply.strip_prefix("STOPPED: ").and_then(|rest| {
            let word = rest.split(' ').next()?;
            is_errno(word).then(|| Shown::Errno(word.to_owned()))
        });
        errno.unwrap_or_else(|| Shown::Other(format!("it replied {:?}", printable(reply))))
    }

    fn of_ending(ending: &Ending) -> Shown {
        match ending {
            Ending::Signal { number } => Shown::Signal(signal_name(*number)),
            Ending::Exit { code } => Shown::Exit(*code),
            Ending::OutOfMemory => Shown::OutOfMemory,
            Ending::Deadline { .. } => Shown::Deadline,
            Ending::Cpu { .. } => Shown::Cpu,
            Ending::Denied { syscall } => Shown::Kill(syscall.clone()),
            Ending::Protocol { .. } => Shown::Protocol,
            Ending::Unmounted => Shown::Unmounted,
            other => Shown::Other(other.to_string()),
        }
    }
}

fn signal_name(number: i32) -> String {
    match nix::sys::signal::Signal::try_from(number) {
        Ok(signal) => signal.as_str().to_owned(),
        Err(_) => format!("SIG{number}"),
    }
}

fn is_errno(word: &str) -> bool {
    let rest = word.strip_prefix('E');
    rest.is_some_and(|rest| {
        !rest.is_empty()
            && rest
                .bytes()
                .all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
    })
}

impl FromStr for Shown {
    type Err = NotShown;

    fn from_str(text: &str) -> Result<Self, NotShown> {
        let unknown = || NotShown(printable(text));
        if let Some(syscall) = text.strip_prefix("kill ") {
            return Ok(Shown::Kill(syscall.to_owned()));
        }
        if let Some(code) = text.strip_prefix("exit ") {
            return code.parse().map(Shown::Exit).map_err(|_| unknown());
        }
        Ok(match text {
            "done" => Shown::Done,
            "deadline" => Shown::Deadline,
            "cpu" => Shown::Cpu,
            "oom" => Shown::OutOfMemory,
            "refused" => Shown::Refused,
            "protocol" => Shown::Protocol,
            "unmounted" => Shown::Unmounted,
            signal if signal.parse::<nix::sys::signal::Signal>().is_ok() => {
                Shown::Signal(signal.to_owned())
            }
            errno if is_errno(errno) => Shown::Errno(errno.to_owned()),
            _ => return Err(unknown()),
        })
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Shown::Done => f.pad("done"),
            Shown::Errno(name) | Shown::Signal(name) => f.pad(name),
            Shown::Kill(syscall) => write!(f, "kill {syscall}"),
            Shown::Exit(code) => write!(f, "exit {code}"),
            Shown::Deadline => f.pad("deadline"),
            Shown::Cpu => f.pad("cpu"),
            Shown::OutOfMemory => f.pad("oom"),
            Shown::Refused => f.pad("refused"),
            Shown::Protocol => f.pad("protocol"),
            Shown::Unmounted => f.pad("unmounted"),
            Shown::Endless => f.pad("endless"),
            Shown::Other(sentence) => f.pad(sentence),
        }
    }
}

impl Serialize for Shown {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_read_as_it_is_written() {
        for word in [
            "done",
            "EPERM",
            "E2BIG",
            "SIGSYS",
            "kill ptrace",
            "exit 0",
            "deadline",
            "cpu",
            "oom",
            "refused",
            "protocol",
            "unmounted",
        ] {
            assert_eq!(word.parse::<Shown>().unwrap().to_string(), word);
        }
    }

    #[test]
    fn other_words_are_refused_with_the_list() {
        for word in ["", "eperm", "E", "exit x", "SIGNOPE", "killed"] {
            let error = word.parse::<Shown>().unwrap_err().to_string();
            assert!(error.contains("errno such as EPERM"), "{error}");
        }
    }

    #[test]
    fn replies_tell_done_from_errno_from_anything_else() {
        for (reply, shown) in [
            ("DONE: x", Shown::Done),
            ("STOPPED: EPERM open", Shown::Errno("EPERM".into())),
            (
                "STOPPED: ? open",
                Shown::Other("it replied \"STOPPED: ? open\"".into()),
            ),
            ("", Shown::Other("it replied \"\"".into())),
        ] {
            assert_eq!(Shown::of_reply(reply), shown);
        }
    }
}
