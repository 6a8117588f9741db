//! Why a plugin didn't come up.

use std::io;
use std::time::Duration;

use ipc_proto::message::LoadFailure;
use sandbox::attest::AttestError;
use sandbox::files::locate::LocateError;
use sandbox::launch::Failure;
use sandbox::report::Unmet;

use crate::ending::Ending;
use crate::launcher::LauncherError;

/// Why a plugin didn't come up.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// Something that it is granted can't be found, or not safely.
    #[error("can't grant {0}")]
    Files(#[from] LocateError),
    /// The launcher couldn't make the worker.
    #[error(transparent)]
    Launcher(#[from] LauncherError),
    /// The worker couldn't lock itself down.
    #[error(transparent)]
    Lockdown(#[from] Failure),
    /// The worker isn't confined as it must be.
    #[error("attestation failed: {0}")]
    Attest(#[from] AttestError),
    /// It is confined as it can be here, and policy demands more.
    #[error(transparent)]
    Confinement(#[from] Box<Unmet>),
    /// A channel or a watch couldn't be made.
    #[error("can't set up the worker's {what}: {source}")]
    Setup {
        /// Which.
        what: &'static str,
        /// Why.
        source: io::Error,
    },
    /// The kernel doesn't let the supervisor have the filter's listener.
    #[error(
        "can't fetch the worker's listener: {0} (tracing one's own processes must be allowed: \
         where sysctl kernel.yama.ptrace_scope is 3 nobody may)"
    )]
    ListenerRefused(#[source] io::Error),
    /// The worker's first message isn't what a worker sends.
    #[error("the worker's handshake failed: {0}")]
    Handshake(String),
    /// The dynamic loader or the ABI check refused the plugin.
    #[error("{}", refusal(*.reason, *.abi, .detail))]
    Refused {
        /// What failed.
        reason: LoadFailure,
        /// ABI version of the plugin where it got that far, else 0.
        abi: u32,
        /// What the worker says, escaped.
        detail: String,
    },
    /// The plugin's `create` failed.
    #[error("the plugin refused to start (status {status}): {text}")]
    Create {
        /// Status of the plugin ABI.
        status: i32,
        /// The plugin's text, escaped.
        text: String,
    },
    /// The worker ended meanwhile.
    #[error("the plugin's worker ended while loading: {0}")]
    Ended(Ending),
    /// It took too long.
    #[error("the plugin missed its load deadline of {} ms", .0.as_millis())]
    Deadline(Duration),
}

fn refusal(reason: LoadFailure, abi: u32, detail: &str) -> String {
    let version = format!("{}.{}", abi >> 16, abi & 0xffff);
    match reason {
        LoadFailure::Dlopen => format!("the dynamic loader refused the plugin: {detail}"),
        LoadFailure::Preload => format!("the dynamic loader refused a library: {detail}"),
        LoadFailure::NoEntry => format!("it exports no cordon_plugin_entry: {detail}"),
        LoadFailure::Refused => "the plugin refuses this host's ABI version".to_owned(),
        LoadFailure::AbiMismatch => {
            format!("its ABI is {version}, which this host doesn't speak: {detail}")
        }
        LoadFailure::Feature => format!("it requires a feature that this host lacks: {detail}"),
        LoadFailure::Vtable => format!("its table can't be used: {detail}"),
    }
}

/// Names what couldn't be set up.
pub(super) fn setup<T, E: Into<io::Error>>(
    what: &'static str,
    result: Result<T, E>,
) -> Result<T, LaunchError> {
    result.map_err(|error| LaunchError::Setup {
        what,
        source: error.into(),
    })
}
