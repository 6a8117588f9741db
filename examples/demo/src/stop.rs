//! What stops a deed, and how that shows.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use cordon_supervisor::CallError;
use cordon_supervisor::ending::Ending;
use cordon_supervisor::limits::LimitName;
use cordon_supervisor::violations::{Kind, Tier};

/// A control, as it answers one deed.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Stop {
    /// The system call filter refuses this call.
    Filter(&'static str),
    /// The private root has no such file. Looking is no violation.
    PrivateRoot,
    /// The cgroup's limit of memory.
    Memory,
    /// The cgroup's limit of tasks.
    Tasks,
    /// The call's deadline.
    Deadline(Duration),
    /// The filter refuses the first call, and kills for the second, which no plugin needs.
    Never(&'static str, &'static str),
}

impl Stop {
    /// Whether the call came back as this control has it come back.
    pub(crate) fn shown_by(self, result: &Result<Vec<u8>, CallError>) -> bool {
        let errno = |errno: &str| {
            let said = format!("STOPPED: {errno} ");
            result
                .as_ref()
                .is_ok_and(|reply| reply.starts_with(said.as_bytes()))
        };
        match self {
            Stop::Filter(_) => errno("EPERM"),
            Stop::PrivateRoot => errno("ENOENT"),
            Stop::Tasks => errno("EAGAIN"),
            Stop::Memory => ended(result) == Some(&Ending::OutOfMemory),
            Stop::Deadline(_) => matches!(result, Err(CallError::Deadline { .. })),
            Stop::Never(_, last) => {
                matches!(ended(result), Some(Ending::Denied { syscall }) if syscall == last)
            }
        }
    }

    /// Whether the plugin's process ends with it.
    pub(crate) fn is_fatal(self) -> bool {
        matches!(self, Stop::Memory | Stop::Deadline(_) | Stop::Never(..))
    }

    /// The violations that must be recorded, and no others.
    pub(crate) fn violations(self) -> Vec<Kind> {
        match self {
            Stop::Filter(syscall) => vec![denied(syscall, false)],
            Stop::PrivateRoot => Vec::new(),
            Stop::Memory => vec![Kind::OomKill],
            Stop::Tasks => vec![Kind::Limit {
                resource: LimitName::Threads,
                tier: Tier::Hard,
            }],
            Stop::Deadline(_) => vec![Kind::Deadline],
            Stop::Never(first, last) => vec![denied(first, false), denied(last, true)],
        }
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stop::Filter(syscall) => {
                write!(f, "The system call filter refuses {syscall}, with EPERM")
            }
            Stop::PrivateRoot => {
                f.write_str("Its private root has no such file: ENOENT, no violation")
            }
            Stop::Memory => {
                f.write_str("It meets the memory limit of its cgroup: the kernel kills it")
            }
            Stop::Tasks => {
                f.write_str("The task limit of its cgroup refuses most of them, with EAGAIN")
            }
            Stop::Deadline(after) => {
                let after = after.as_millis();
                write!(
                    f,
                    "The deadline of the call passes, {after} ms: it is killed"
                )
            }
            Stop::Never(first, last) => {
                write!(f, "The filter refuses {first} and kills it for {last}")
            }
        }
    }
}

fn ended(result: &Result<Vec<u8>, CallError>) -> Option<&Ending> {
    match result {
        Err(CallError::Ended { ending, .. }) => Some(ending),
        _ => None,
    }
}

fn denied(syscall: &'static str, dangerous: bool) -> Kind {
    Kind::DeniedSyscall {
        syscall: Cow::Borrowed(syscall),
        dangerous,
    }
}
