//! `cordon enable`: an operator allows an unmounted plugin again.

use std::process::ExitCode;

use cordon_supervisor::manifest::PluginId;
use cordon_supervisor::state::{StateDir, StateError, Unmounted};

use super::exit::Code;
use super::{Failure, StateArguments};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The plugin's id.
    plugin: PluginId,
}

/// Runs the command. A supervisor that runs with the same folder sees it at the next load.
pub(super) fn enable(arguments: &Arguments, state: &StateArguments) -> Result<ExitCode, Failure> {
    let path = state.folder()?;
    let enable = || -> Result<bool, StateError> {
        match StateDir::find(&path)? {
            Some(folder) => Unmounted::of(&folder)?.enable(&arguments.plugin),
            None => Ok(false),
        }
    };
    match enable() {
        Ok(true) => Ok(Code::Ok.into()),
        Ok(false) => {
            let sentence = format!(
                "no plugin {} is unmounted, says {}",
                arguments.plugin,
                path.display()
            );
            Err(Failure::new(Code::NotFound, sentence))
        }
        Err(error) => Err(Failure::new(Code::Error, error)),
    }
}
