//! What the serve loop knows of a plugin: how to get one, and what one can do.
//!
//! The real one is [`Dlopen`](super::Dlopen); the loop's tests script theirs.

use ipc_proto::message::LoadFailure;
use plugin_sdk::abi::host::Caller;
use plugin_sdk::abi::{MAJOR, MINOR, Status};
use thiserror::Error;

/// Brings the one plugin of this process to life.
pub(crate) trait Loader {
    /// What loading gives.
    type Plugin: Plugin;

    /// Opens `preload` in order, then `plugin`, and checks what the plugin says of itself.
    fn load(&mut self, plugin: &str, preload: &[&str]) -> Result<Self::Plugin, LoadError>;
}

/// A loaded plugin.
pub(crate) trait Plugin {
    /// What `create` makes.
    type Instance: Instance;

    /// The plugin's ABI version and the optional features it can use.
    fn about(&self) -> About;

    /// Makes an instance; the text of a refusal goes to `error`.
    fn create(
        &self,
        caller: &Caller<'_>,
        config: &[u8],
        error: &mut Vec<u8>,
    ) -> Result<Self::Instance, Status>;
}

/// An instance of a plugin. Dropping it runs no code of the plugin; [`destroy`](Self::destroy) does.
///
/// Functions that the plugin lacks give [`Status::UNSUPPORTED`], but for `shutdown`, which then has
/// nothing to do. What a function writes is appended to the buffer it is given, up to the limit on
/// payloads.
pub(crate) trait Instance {
    /// Runs a method.
    fn call(
        &mut self,
        caller: &Caller<'_>,
        method: &str,
        payload: &[u8],
        reply: &mut Vec<u8>,
    ) -> Status;

    /// Shows an event to a hook and gives its verdict.
    fn hook(
        &mut self,
        caller: &Caller<'_>,
        name: &str,
        payload: &[u8],
        reply: &mut Vec<u8>,
    ) -> Result<u32, Status>;

    /// Saves the instance's state and gives the number of its format.
    fn snapshot(&mut self, caller: &Caller<'_>, state: &mut Vec<u8>) -> Result<u32, Status>;

    /// Gives the instance a saved state.
    fn restore(&mut self, caller: &Caller<'_>, schema: u32, state: &[u8]) -> Status;

    /// Asks whether the instance is fit to serve.
    fn health(&mut self, caller: &Caller<'_>, detail: &mut Vec<u8>) -> Status;

    /// Tells the instance that it ends.
    fn shutdown(&mut self, caller: &Caller<'_>) -> Status;

    /// Releases the instance.
    fn destroy(self);
}

/// What an accepted plugin says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct About {
    /// ABI version: major in the upper 16 bits.
    pub(crate) abi: u32,
    /// Features it can use if the host has them.
    pub(crate) optional_features: u64,
}

/// Why a plugin couldn't be loaded. Texts of the dynamic loader name what the plugin chose: hostile.
#[derive(Debug, PartialEq, Eq, Error)]
pub(crate) enum LoadError {
    /// A library that the plugin needs.
    #[error("cannot open the library {path}: {text}")]
    Preload {
        /// As the supervisor named it.
        path: String,
        /// What `dlerror` says.
        text: String,
    },
    /// The plugin itself.
    #[error("cannot open the plugin: {text}")]
    Open {
        /// What `dlerror` says.
        text: String,
    },
    /// No export.
    #[error("not a Cordon plugin: it does not export cordon_plugin_entry")]
    NoEntry,
    /// The entry returned null.
    #[error("the plugin refuses a host of ABI {MAJOR}.{MINOR}")]
    Refused,
    /// Another major version.
    #[error("the plugin has ABI {}.{}, this host {MAJOR}.{MINOR}: build it for the host's", abi >> 16, abi & 0xffff)]
    AbiMismatch {
        /// The plugin's version.
        abi: u32,
    },
    /// Features that this host doesn't have.
    #[error(
        "the plugin (ABI {}.{}) requires the features {missing:#x}, which this host (ABI {MAJOR}.{MINOR}) lacks",
        abi >> 16, abi & 0xffff
    )]
    Feature {
        /// The plugin's version.
        abi: u32,
        /// Required bits that the host lacks.
        missing: u64,
    },
    /// Misaligned or shorter than any version is.
    #[error("the plugin's table is misaligned or too short")]
    Vtable,
}

impl LoadError {
    /// As it crosses the wire.
    pub(crate) fn reason(&self) -> LoadFailure {
        match self {
            Self::Preload { .. } => LoadFailure::Preload,
            Self::Open { .. } => LoadFailure::Dlopen,
            Self::NoEntry => LoadFailure::NoEntry,
            Self::Refused => LoadFailure::Refused,
            Self::AbiMismatch { .. } => LoadFailure::AbiMismatch,
            Self::Feature { .. } => LoadFailure::Feature,
            Self::Vtable => LoadFailure::Vtable,
        }
    }

    /// The plugin's ABI version where it is known, else 0.
    pub(crate) fn plugin_abi(&self) -> u32 {
        match *self {
            Self::AbiMismatch { abi } | Self::Feature { abi, .. } => abi,
            _ => 0,
        }
    }
}
