//! `cordon check`: whether a plugin would be loaded, and everything that speaks against it.

use std::path::PathBuf;
use std::process::ExitCode;

use cordon_supervisor::check::{Checkup, Verdict};
use cordon_supervisor::elf::LibraryDirs;
use cordon_supervisor::state::{StateDir, StateError, Unmounted};

use super::exit::{Code, of_package};
use super::{Failure, Format, PolicyArguments, StateArguments, policy, print, table};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The plugin's file.
    file: PathBuf,
    #[command(flatten)]
    policy: PolicyArguments,
    /// How to print.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Prints all findings; the worst of them is the exit code.
pub(super) fn check(arguments: &Arguments, state: &StateArguments) -> Result<ExitCode, Failure> {
    let policy = policy::read(&arguments.policy)?;
    let dirs = LibraryDirs::system(&policy.library_dirs)
        .map_err(|error| Failure::new(Code::Error, error))?;
    let mut checkup = Checkup::of(&arguments.file, &dirs, &policy)
        .map_err(|error| Failure::new(of_package(&error), error))?;
    let failed = |error: StateError| Failure::new(Code::Error, error);
    if let Some(folder) = StateDir::find(&state.folder()?).map_err(failed)? {
        checkup.kept(&Unmounted::of(&folder).map_err(failed)?);
    }
    match arguments.format {
        Format::Json => print::json(&checkup)?,
        Format::Table => print::text(as_table(arguments, &checkup))?,
    };
    Ok(match checkup.worst() {
        Verdict::Passed | Verdict::Warning => Code::Ok,
        Verdict::Denied => Code::Denied,
        Verdict::Unmounted => Code::Unmounted,
        Verdict::Refused => Code::NotAPlugin,
    }
    .into())
}

fn as_table(arguments: &Arguments, checkup: &Checkup) -> String {
    let rows: Vec<_> = checkup
        .findings
        .iter()
        .map(|finding| {
            let verdict = match finding.verdict {
                Verdict::Passed => "ok",
                Verdict::Warning => "WARNING",
                Verdict::Denied => "DENIED",
                Verdict::Unmounted => "UNMOUNTED",
                Verdict::Refused => "REFUSED",
            };
            let found = finding.found.clone();
            vec![finding.subject.clone(), verdict.to_owned(), found]
        })
        .collect();
    let table = table::render(&["checked", "verdict", "found"], &rows);
    let outcome = match checkup.worst() {
        Verdict::Passed => "would be loaded",
        Verdict::Warning => "would be loaded; see the warnings",
        Verdict::Denied => "would not be loaded: policy denies what it asks for",
        Verdict::Unmounted => "would not be loaded: it was unmounted for its violations",
        Verdict::Refused => "can't be loaded",
    };
    format!("{table}{}: {outcome}\n", arguments.file.display())
}
