//! Exit codes, documented in the help and in README.

use std::process::ExitCode;

use cordon_supervisor::ending::Ending;
use cordon_supervisor::filters::FilterError;
use cordon_supervisor::launcher::LauncherError;
use cordon_supervisor::package::PackageError;
use cordon_supervisor::program::ProgramError;
use cordon_supervisor::supervisor::StartError;
use cordon_supervisor::worker::LaunchError;
use cordon_supervisor::{CallError, LoadError};
use sandbox::files::open::OpenError;
use sandbox::launch::{self, Cause};

/// What `--help` says of exit codes.
pub(crate) const HELP: &str = "\
Exit codes: 0 ok, 1 error, 2 usage, 3 not found, 4 untrusted (once there are
signatures), 5 denied by policy, 6 not a plugin or incompatible ABI, 7 unmounted for
violations, 8 deadline, 9 crashed, 10 the sandbox can't be built here,
11 a hostile deed got through (selftest), 130 interrupted.
A command with several calls or plugins exits with the highest of theirs, or with 7.";

/// An exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Code {
    Ok = 0,
    Error = 1,
    Usage = 2,
    NotFound = 3,
    Denied = 5,
    NotAPlugin = 6,
    Unmounted = 7,
    Deadline = 8,
    Crashed = 9,
    NoSandbox = 10,
    GotThrough = 11,
    Interrupted = 130,
}

impl From<Code> for ExitCode {
    fn from(code: Code) -> ExitCode {
        ExitCode::from(code as u8)
    }
}

/// A command that failed: what to say, and how to exit.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: Code,
    pub(crate) sentence: String,
}

impl Failure {
    pub(crate) fn new(code: Code, error: impl ToString) -> Failure {
        Failure {
            code,
            sentence: error.to_string(),
        }
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Failure {
        let code = match &error {
            StartError::Launcher(_) | StartError::Uids(_) => Code::NoSandbox,
            StartError::Program(ProgramError::Seal(_)) => Code::NoSandbox,
            StartError::Program(_) => Code::NotFound,
            _ => Code::Error,
        };
        Failure::new(code, error)
    }
}

impl From<LoadError> for Failure {
    fn from(error: LoadError) -> Failure {
        Failure::new(of_load(&error), error)
    }
}

/// The code for a plugin that isn't loaded.
pub(crate) fn of_load(error: &LoadError) -> Code {
    match error {
        LoadError::Package(error) => of_package(error),
        LoadError::Refused(_)
        | LoadError::Taken { .. }
        | LoadError::Filter {
            source: FilterError::TooNarrow { .. },
            ..
        } => Code::Denied,
        LoadError::Unmounted { .. } => Code::Unmounted,
        LoadError::Unknown(_) => Code::NotFound,
        LoadError::Launch { source, .. } => match source {
            LaunchError::Files(_) => Code::Denied,
            LaunchError::Launcher(LauncherError::Failed(failure)) => of_failure(failure),
            LaunchError::Refused { .. } => Code::NotAPlugin,
            LaunchError::Create { .. } => Code::Error,
            LaunchError::Ended(ending) => of_ending(ending),
            LaunchError::Deadline(_) => Code::Deadline,
            LaunchError::Launcher(_)
            | LaunchError::Lockdown(_)
            | LaunchError::Attest(_)
            | LaunchError::Confinement(_)
            | LaunchError::Setup { .. }
            | LaunchError::ListenerRefused(_)
            | LaunchError::Handshake(_) => Code::NoSandbox,
        },
        LoadError::State { .. }
        | LoadError::Kept(_)
        | LoadError::Filter { .. }
        | LoadError::NoUid(_)
        | LoadError::Fds { .. }
        | LoadError::Stopped => Code::Error,
    }
}

/// The code for a worker that the launcher didn't make.
fn of_failure(failure: &launch::Failure) -> Code {
    match &failure.cause {
        Cause::File(OpenError::IdMap { .. }) => Code::NoSandbox,
        Cause::File(_) | Cause::Ceiling(_) => Code::Denied,
        _ => Code::NoSandbox,
    }
}

/// The code for a file that isn't a loadable plugin.
pub(crate) fn of_package(error: &PackageError) -> Code {
    use std::io::ErrorKind::NotFound;
    match error {
        PackageError::Seal(cordon_supervisor::trust::SealError::Unreadable { source, .. })
            if source.kind() == NotFound =>
        {
            Code::NotFound
        }
        PackageError::Seal(_) | PackageError::ReadBack { .. } => Code::Error,
        PackageError::Elf(_)
        | PackageError::Manifest(_)
        | PackageError::Abi { .. }
        | PackageError::Closure(_) => Code::NotAPlugin,
    }
}

/// The code for a call without a result.
pub(crate) fn of_call(error: &CallError) -> Code {
    use cordon_supervisor::lifecycle::State;
    match error {
        CallError::Unknown(_) | CallError::NoMethod { .. } => Code::NotFound,
        CallError::NotActive {
            state: State::Unmounted { .. },
            ..
        } => Code::Unmounted,
        CallError::NotActive {
            state: State::Failed { .. },
            ..
        } => Code::Crashed,
        CallError::Deadline { .. } => Code::Deadline,
        CallError::Ended { ending, .. } => of_ending(ending),
        CallError::NotActive { .. }
        | CallError::Plugin { .. }
        | CallError::Busy(_)
        | CallError::TooLarge { .. } => Code::Error,
    }
}

fn of_ending(ending: &Ending) -> Code {
    match ending {
        Ending::Deadline { .. } | Ending::Cpu { .. } => Code::Deadline,
        Ending::Unmounted => Code::Unmounted,
        _ => Code::Crashed,
    }
}
