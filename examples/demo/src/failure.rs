//! What can go wrong with the demonstration.

use std::process::ExitCode;

use cordon_supervisor::manifest::PluginId;
use cordon_supervisor::supervisor::ManageError;
use cordon_supervisor::{CallError, LoadError, StartError};

/// Why the demonstration ended early.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error(transparent)]
    Call(#[from] CallError),
    #[error(transparent)]
    Manage(#[from] ManageError),
    /// Standard output, or what the vandal is to reach for.
    #[error("the demonstration itself: {0}")]
    Io(#[from] std::io::Error),
    /// Neither a success nor a breach.
    #[error("not as it should be: plugin {plugin} {what}")]
    Unexpected { plugin: PluginId, what: String },
    /// The vandal did what it mustn't be able to do.
    #[error("CONTAINMENT FAILED: the vandal {0}")]
    GotThrough(String),
    #[error("interrupted; nothing is left running")]
    Interrupted,
}

impl Failure {
    pub(crate) fn unexpected(plugin: &PluginId, what: impl Into<String>) -> Failure {
        Failure::Unexpected {
            plugin: plugin.clone(),
            what: what.into(),
        }
    }

    /// A breach has a code of its own.
    pub(crate) fn code(&self) -> ExitCode {
        ExitCode::from(match self {
            Failure::GotThrough(_) => 11,
            Failure::Interrupted => 130,
            _ => 1,
        })
    }
}
