//! System call filters: profiles as data, their programs, and the listener that turns
//! denials into evidence.
//!
//! A [`Profile`] is read from `sandbox/profiles` and [compiled](Profile::compile) to a
//! [`Program`]. The launcher holds the program against the [never-list], the worker
//! installs it with its listener, the supervisor receives [`Notification`]s from the
//! [`Listener`] and answers each as [`Profile::judge`] says.
//!
//! *Invariant*: profile and program agree on every call (tested with random calls), and
//! so do interpreter and kernel.
//!
//! [never-list]: never_list_violations

mod allowance;
mod arch;
mod builtin;
mod caller;
mod describe;
mod document;
mod filter;
mod mode;
mod never;
mod notify;
pub mod oci;
mod profile;
mod program;
mod reach;
#[cfg(test)]
mod rule_tests;

use std::io;
use std::os::fd::OwnedFd;

pub use allowance::Allowance;
pub use arch::Arch;
pub use caller::{Caller, Mapping};
pub use describe::{Lookup, Registers};
pub use document::{ConditionProblem, ProfileError, RuleProblem};
pub use filter::CompileError;
pub use mode::{Grant, Granted, Mode};
pub use never::never_list_violations;
pub use notify::{Listener, Notification, Phase, Verdict};
pub use profile::{Action, Condition, Op, Profile, Rule, Width};
pub use program::{Data, Instruction, MAX_INSTRUCTIONS, Outcome, Program, ProgramError};

impl Program {
    /// Installs the program in every thread of the process and gives its listener.
    /// `no_new_privs` must be set.
    ///
    /// # Errors
    /// `EACCES` without `no_new_privs`; `EBUSY` where a filter with a listener is
    /// installed already; else see seccomp(2).
    pub fn install_with_listener(&self) -> io::Result<OwnedFd> {
        crate::sys::seccomp::install_with_listener(&self.to_kernel())
    }

    /// Installs the program in the calling thread. `no_new_privs` must be set.
    ///
    /// # Errors
    /// `EACCES` without `no_new_privs`; else see seccomp(2).
    pub fn install(&self) -> io::Result<()> {
        crate::sys::seccomp::install(&self.to_kernel())
    }
}

/// Why a built-in profile has no program.
#[derive(Debug, thiserror::Error)]
pub enum BuiltinError {
    /// Its data file is broken.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// It doesn't compile.
    #[error(transparent)]
    Compile(#[from] CompileError),
}

/// The program that leaves init with waiting, reporting and exiting.
///
/// # Errors
/// What is wrong with the file, which the tests of this crate rule out.
pub fn init_program() -> Result<Program, BuiltinError> {
    Ok(Profile::init(Arch::NATIVE)?.compile()?)
}
