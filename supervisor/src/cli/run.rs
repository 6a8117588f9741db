//! `cordon run`: call one plugin, or serve a file or a whole folder until Ctrl-C.

mod alert;
mod calls;
mod dashboard;
mod reply;
mod serve;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use alert::OnViolation;
use cordon_supervisor::Supervisor;
use cordon_supervisor::units::TimeSpan;

use super::exit::Code;
use super::{Failure, Format, PolicyArguments, StateArguments, policy, runtime};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// A plugin, or a folder of plugins.
    path: PathBuf,
    /// A method to call; give it again for more calls, in order.
    #[arg(long, value_name = "METHOD")]
    call: Vec<String>,
    /// What the call before it is given.
    #[arg(
        long,
        value_name = "TEXT",
        requires = "call",
        allow_hyphen_values = true
    )]
    data: Vec<String>,
    /// Time for each call, such as 500ms; else the policy's.
    #[arg(long, value_name = "TIME")]
    timeout: Option<TimeSpan>,
    /// Write replies as the plugin gave them, byte for byte, and nothing between them.
    #[arg(long, requires = "call", conflicts_with = "format")]
    raw: bool,
    /// How to print.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Run this for each violation, by sh -c, with a JSON object on its standard input: at most
    /// ten at once and one a second, each for ten seconds; those left out are counted.
    #[arg(long, value_name = "COMMAND")]
    on_violation: Option<String>,
    #[command(flatten)]
    policy: PolicyArguments,
    /// Which data belongs to which call, known by their places.
    #[arg(skip)]
    paired: Vec<Request>,
}

/// A call as the command line asks for it.
#[derive(Debug, Clone)]
struct Request {
    method: String,
    data: String,
}

impl Arguments {
    /// Gives each call the data that follows it.
    ///
    /// # Errors
    /// Two `--data` for one call.
    pub(super) fn pair(&mut self, matches: &clap::ArgMatches) -> Result<(), Failure> {
        let places = |name| matches.indices_of(name).into_iter().flatten();
        let mut requests: Vec<(usize, Request)> = places("call")
            .zip(&self.call)
            .map(|(at, method)| {
                (
                    at,
                    Request {
                        method: method.clone(),
                        data: String::new(),
                    },
                )
            })
            .collect();
        let mut filled = vec![false; requests.len()];
        for (at, data) in places("data").zip(&self.data) {
            let before = requests.iter().rposition(|(call, _)| *call < at);
            match before {
                Some(call) if !filled[call] => {
                    filled[call] = true;
                    requests[call].1.data.clone_from(data);
                }
                _ => {
                    let sentence = format!("--data {data:?} follows no --call of its own");
                    return Err(Failure::new(Code::Usage, sentence));
                }
            }
        }
        self.paired = requests.into_iter().map(|(_, request)| request).collect();
        Ok(())
    }

    /// Begins to run the command for violations, if one is given.
    fn alert(&self, supervisor: &Supervisor) -> Result<Option<OnViolation>, Failure> {
        let command = self.on_violation.as_deref();
        command
            .map(|command| OnViolation::start(command, supervisor))
            .transpose()
    }

    fn timeout(&self) -> Option<Duration> {
        self.timeout.map(TimeSpan::as_duration)
    }
}

/// Runs the command.
pub(super) fn run(arguments: Arguments, state: &StateArguments) -> Result<ExitCode, Failure> {
    let policy = policy::read(&arguments.policy)?;
    let state = state.folder()?;
    let files = files(&arguments.path)?;
    if !arguments.call.is_empty() && arguments.path.is_dir() {
        return Err(Failure::new(
            Code::Usage,
            "--call needs one plugin, not a folder",
        ));
    }
    let code = runtime()?.block_on(async {
        if arguments.paired.is_empty() {
            serve::serve(&arguments, policy, state, files).await
        } else {
            calls::call(&arguments, policy, state, &files[0]).await
        }
    })?;
    Ok(code.into())
}

/// The plugin, or those of a folder by name.
fn files(path: &Path) -> Result<Vec<PathBuf>, Failure> {
    let failed = |error: std::io::Error| {
        let missing = error.kind() == std::io::ErrorKind::NotFound;
        let code = if missing { Code::NotFound } else { Code::Error };
        Failure::new(code, format!("{}: {error}", path.display()))
    };
    if !std::fs::metadata(path).map_err(failed)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(failed)? {
        let file = entry.map_err(failed)?.path();
        if file.extension() == Some(OsStr::new("so")) {
            files.push(file);
        }
    }
    files.sort();
    if files.is_empty() {
        let sentence = format!(
            "{}: no plugin in this folder, no file ends in .so",
            path.display()
        );
        return Err(Failure::new(Code::NotFound, sentence));
    }
    Ok(files)
}
