//! How a worker ended: from outside, by its pidfd and its groups, or by our own hand.

use std::fmt;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use sandbox::cgroup::Events;
use serde::Serialize;

use crate::limits::{Amount, LimitName};
use crate::violations::Class;

/// Why a worker is no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Ending {
    /// It was unloaded.
    Unloaded,
    /// A signal that we didn't send.
    Signal {
        /// Its number.
        number: i32,
    },
    /// It exited by itself, which counts as a crash whatever the code.
    Exit {
        /// Its code.
        code: i32,
    },
    /// The kernel killed it for want of memory.
    OutOfMemory,
    /// A call outlived its deadline, and cancelling it didn't end it.
    Deadline {
        /// The call.
        call: u64,
    },
    /// A call took more CPU time than its hard limit.
    Cpu {
        /// What it took.
        #[serde(rename = "used_us", serialize_with = "micros")]
        used: Duration,
    },
    /// It was found to have more of something than its hard limit, where the kernel has no
    /// limit for it.
    Limit {
        /// Of what.
        resource: LimitName,
        /// How much.
        used: Amount,
        /// The hard limit.
        limit: Amount,
    },
    /// It made a system call that is answered by the kill.
    Denied {
        /// Name or number of the call.
        syscall: String,
    },
    /// It made more denied system calls in a minute than its hard limit.
    DenialFlood {
        /// How many.
        used: u64,
    },
    /// It sent what no honest worker sends.
    Protocol {
        /// What was wrong.
        what: String,
    },
    /// A panic or an exception left its instance poisoned; the call said so.
    Panicked,
    /// Its plugin was unmounted for its violations.
    Unmounted,
    /// Policy has it isolated for a violation.
    Isolated {
        /// Of what kind.
        violation: Class,
    },
    /// Its confinement wasn't as it must be any more.
    Confinement {
        /// What differed.
        what: String,
    },
    /// It wasn't confined as it must be, or wasn't ready in time.
    Launch {
        /// What was wrong.
        what: String,
    },
    /// Its state can't be known any more; with the launcher every worker ends.
    Lost,
}

impl Ending {
    /// Classifies an end that we didn't cause.
    #[must_use]
    pub fn classify(status: Option<ExitStatus>, events: Option<Events>) -> Ending {
        if events.is_some_and(|events| events.oom_kills > 0) {
            return Ending::OutOfMemory;
        }
        match status {
            Some(status) => match (status.signal(), status.code()) {
                (Some(number), _) => Ending::Signal { number },
                (None, Some(code)) => Ending::Exit { code },
                (None, None) => Ending::Lost,
            },
            None => Ending::Lost,
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ending::Unloaded => f.write_str("it was unloaded"),
            Ending::Signal { number } => write!(f, "it died of {}", signal_name(*number)),
            Ending::Exit { code } => write!(f, "it exited by itself, with code {code}"),
            Ending::OutOfMemory => f.write_str("it ran out of the memory it was granted"),
            Ending::Deadline { call } => {
                write!(f, "it was killed: call {call} outlived its deadline")
            }
            Ending::Cpu { used } => {
                write!(
                    f,
                    "it was killed: a call took {} ms of CPU time",
                    used.as_millis()
                )
            }
            Ending::Limit {
                resource,
                used,
                limit,
            } => write!(
                f,
                "it was killed: {used} of {resource}, at a hard limit of {limit}"
            ),
            Ending::Denied { syscall } => write!(f, "it was killed: it tried {syscall}"),
            Ending::DenialFlood { used } => {
                write!(
                    f,
                    "it was killed: {used} denied system calls within a minute"
                )
            }
            Ending::Protocol { what } => write!(f, "it was killed: protocol violation, {what}"),
            Ending::Panicked => f.write_str("it was killed: a panic poisoned its instance"),
            Ending::Unmounted => f.write_str("it was unmounted for its violations"),
            Ending::Isolated { violation } => {
                write!(f, "it was isolated and killed for a violation: {violation}")
            }
            Ending::Confinement { what } => {
                write!(f, "it was killed: its confinement has changed, {what}")
            }
            Ending::Launch { what } => f.write_str(what),
            Ending::Lost => f.write_str("it is gone, nobody knows how"),
        }
    }
}

pub(crate) fn signal_name(number: i32) -> String {
    match nix::sys::signal::Signal::try_from(number) {
        Ok(signal) => signal.as_str().to_owned(),
        Err(_) => format!("signal {number}"),
    }
}

fn micros<S: serde::Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(time.as_micros()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kill_for_memory_is_told_from_other_kills() {
        let killed = Some(ExitStatus::from_raw(9));
        let oom = Some(Events {
            oom_kills: 1,
            ..Events::default()
        });
        assert_eq!(Ending::classify(killed, oom), Ending::OutOfMemory);
        assert_eq!(
            Ending::classify(killed, Some(Events::default())),
            Ending::Signal { number: 9 }
        );
    }

    #[test]
    fn exit_zero_is_a_crash_too() {
        let status = Some(ExitStatus::from_raw(0));
        assert_eq!(Ending::classify(status, None), Ending::Exit { code: 0 });
    }
}
