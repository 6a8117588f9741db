//! An operator's own profile, in the JSON of OCI runtimes and Docker.
//!
//! Nothing in it is dropped or widened in silence: what can't be meant is an error that names
//! its field, what depends on circumstances is resolved and listed, what the never-list
//! forbids is cut and listed.
//!
//! - The rules by which a worker loads a plugin and serves, strict's own, come first, so a
//!   profile can't keep a plugin from running.
//! - All comparisons are of 64 bits, as libseccomp makes them, also where the kernel reads
//!   an int. The never-list compares what the kernel reads.
//! - Where rules of one call overlap, the most restrictive decides, whatever their order.
//! - EPERM is a denial, recorded; any other errno is answered by the kernel, unrecorded. A
//!   call that a profile kills is recorded, and ends the worker.
//! - Numbers without a name that we know are ENOSYS, x32 as well; i386 is killed.

mod compose;
mod document;
mod resolve;

use nix::errno::Errno;

use super::arch::Arch;
use super::filter::CompileError;
use super::profile::{Action, Profile};
use super::program::Program;
use super::{BuiltinError, never_list_violations};
use crate::support::Kernel;

/// An operator's profile, resolved for one host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Custom {
    /// What the filter means.
    pub profile: Profile,
    /// The filter.
    pub program: Program,
    /// What it would permit and no policy may, in the order of the never-list.
    pub cuts: Vec<Cut>,
    /// What was decided about its conditional parts, in the order of the file.
    pub resolved: Vec<Resolved>,
}

/// Calls that a profile would permit, cut from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// Which, as the never-list names them: `bpf`, `clone(CLONE_NEWUSER)`.
    pub calls: &'static str,
    /// Why no policy may permit them.
    pub why: String,
}

/// A part of a profile that depends on circumstances, and what became of it here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// The field, such as `syscalls[3].includes.caps`.
    pub field: String,
    /// What became of it.
    pub resolution: Resolution,
}

/// What became of a conditional part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resolution {
    /// The entry doesn't apply: it wants this capability, which no worker has.
    WithoutCapability(String),
    /// The entry doesn't apply: it is for other architectures.
    OtherArch,
    /// The entry doesn't apply: it wants a newer kernel.
    OlderKernel(Kernel),
    /// The entry doesn't apply: it is for older kernels.
    NewerKernel(Kernel),
    /// This architecture lacks the call: the name of another's, or of a newer kernel's.
    NoSuchCall(String),
    /// Calls of this architecture are killed or ENOSYS all the same.
    ForeignCalls(String),
    /// Killing a thread ends the whole worker.
    WholeWorker,
    /// A flag that every filter of ours has.
    FlagAnyway(String),
}

/// Why a profile can't be used.
#[derive(Debug, thiserror::Error)]
pub enum OciError {
    /// Not JSON, a field that doesn't exist, or a value that it can't have.
    #[error("profile is malformed: {0}")]
    Syntax(#[from] serde_json::Error),
    /// Something that can't be meant.
    #[error("profile: {field}: {problem}")]
    Field {
        /// Such as `syscalls[3].args[0].op`.
        field: String,
        /// What is wrong with it.
        problem: OciProblem,
    },
    /// More rules than a filter has room for.
    #[error("profile: {0}")]
    TooLarge(#[from] CompileError),
    /// A profile of ours, beneath it, is broken.
    #[error(transparent)]
    BuiltIn(Box<BuiltinError>),
    /// Cutting it didn't help.
    #[error("profile: it permits {0}, which no policy may grant, and can't be cut")]
    Never(&'static str),
}

/// What is wrong with a field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OciProblem {
    /// No architecture and no kernel that we know has it.
    #[error("there is no system call {0:?}, on any architecture or kernel known here")]
    Syscall(String),
    /// An entry names its calls one way.
    #[error("an entry has either names, at least one, or a name")]
    Names,
    /// Handling SIGSYS would be up to the plugin.
    #[error(
        "SCMP_ACT_TRAP leaves the answer to the plugin's own signal handler; use SCMP_ACT_ERRNO"
    )]
    Trap,
    /// Nobody traces a worker.
    #[error(
        "SCMP_ACT_TRACE needs a tracer, and a worker has none; use SCMP_ACT_ERRNO, which is recorded"
    )]
    Trace,
    /// It lets the call through.
    #[error(
        "SCMP_ACT_LOG lets the call through; use SCMP_ACT_ALLOW if that is meant, or SCMP_ACT_ERRNO, which is recorded"
    )]
    Log,
    /// The listener is the supervisor's.
    #[error(
        "the listener is the supervisor's, which records every call that is refused; use SCMP_ACT_ERRNO"
    )]
    Listener,
    /// Only one action has an errno.
    #[error("an errno belongs to SCMP_ACT_ERRNO alone")]
    ErrnoWithout,
    /// 0 would be a success that never happened.
    #[error("{0} is no errno")]
    Errno(u32),
    /// Not a name of libseccomp or Docker.
    #[error("there is no architecture {0:?}")]
    Arch(String),
    /// It lists architectures, and not this one.
    #[error("the profile isn't for {0}")]
    NotFor(Arch),
    /// One list says it all.
    #[error("architectures and archMap exclude each other")]
    TwoArchLists,
    /// Not a capability of Linux.
    #[error("there is no capability {0:?}")]
    Capability(String),
    /// Not `MAJOR.MINOR`.
    #[error("{0:?} is no kernel version such as 4.8")]
    Kernel(String),
    /// System calls have six.
    #[error("arguments are numbered 0 to 5")]
    Argument,
    /// Runtimes differ: libseccomp wants both to hold, runc takes either.
    #[error(
        "argument {0} has two conditions, and runtimes differ on whether both must hold; use two entries, or one masked comparison"
    )]
    SameArgument(u8),
    /// The comparison could never hold.
    #[error("valueTwo has bits that the mask, value, lacks")]
    OutsideMask,
    /// Only one comparison takes two values.
    #[error("valueTwo belongs to SCMP_CMP_MASKED_EQ alone")]
    SecondValue,
    /// It would switch speculation control off.
    #[error("SECCOMP_FILTER_FLAG_SPEC_ALLOW would undo the worker's speculation control")]
    SpecAllow,
    /// Denials are recorded by the supervisor.
    #[error("SECCOMP_FILTER_FLAG_LOG has no use: the supervisor records every denial")]
    LogFlag,
    /// Not a flag of seccomp(2).
    #[error("there is no flag {0:?}")]
    Flag(String),
}

impl Custom {
    /// Reads a profile, and resolves it for an architecture and a kernel.
    ///
    /// # Errors
    /// [`OciError`]: the first thing that can't be meant, with its place or field.
    pub fn parse(json: &str, arch: Arch, kernel: Kernel) -> Result<Custom, OciError> {
        let document = serde_json::from_str(json)?;
        let (rules, resolved) = resolve::resolve(document, arch, kernel)?;
        let (profile, cuts) = compose::compose(arch, rules)?;
        let program = profile.compile()?;
        if let Some(left) = never_list_violations(&program).first() {
            return Err(OciError::Never(left));
        }
        Ok(Custom {
            profile,
            program,
            cuts,
            resolved,
        })
    }
}

impl Action {
    /// Of actions that both hold for a call, the one that decides has the higher rank.
    fn rank(self) -> u8 {
        match self {
            Action::Kill => 2,
            Action::Refuse | Action::Errno(_) => 1,
            Action::Allow | Action::NotifyLoading => 0,
        }
    }

    /// EPERM is a denial, any other errno an answer.
    fn of_errno(errno: Errno) -> Action {
        match errno {
            Errno::EPERM => Action::Refuse,
            errno => Action::Errno(errno),
        }
    }
}

impl std::fmt::Display for Cut {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} is cut: {}", self.calls, self.why)
    }
}

impl std::fmt::Display for Resolved {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: ", self.field)?;
        match &self.resolution {
            Resolution::WithoutCapability(name) => {
                write!(f, "doesn't apply, no worker has {name} over the host")
            }
            Resolution::OtherArch => f.write_str("doesn't apply to this architecture"),
            Resolution::OlderKernel(wanted) => write!(f, "doesn't apply before Linux {wanted}"),
            Resolution::NewerKernel(limit) => write!(f, "doesn't apply from Linux {limit} on"),
            Resolution::NoSuchCall(name) => {
                write!(f, "{name} isn't a call of this architecture and kernel")
            }
            Resolution::ForeignCalls(arch) => write!(f, "{arch}: its calls stay shut"),
            Resolution::WholeWorker => f.write_str("ends the whole worker, not one thread"),
            Resolution::FlagAnyway(flag) => write!(f, "{flag}: every filter has it"),
        }
    }
}

#[cfg(test)]
mod tests;
