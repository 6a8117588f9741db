//! The library, as a host program uses it.

use std::path::Path;
use std::time::{Duration, Instant};

use cordon_supervisor::config::Policy;
use cordon_supervisor::manifest::PluginId;
use cordon_supervisor::{Builder, Call, CallError, PluginStatus, Supervisor};

/// A supervisor under the policy in this TOML text, with the worker of this build. What fails
/// stays down, so that a test sees it, unless the text has a `[restart]` of its own.
///
/// # Panics
/// When it can't be started.
pub async fn supervisor(policy: &str) -> Supervisor {
    let started = builder(policy).start().await;
    started.unwrap_or_else(|error| panic!("no supervisor: {error}"))
}

/// As [`supervisor`], to be started.
///
/// # Panics
/// When the policy is wrong, or the worker hasn't been built.
#[must_use]
pub fn builder(policy: &str) -> Builder {
    let worker = crate::build_folder().join("cordon-worker");
    let missing = worker.display();
    assert!(
        worker.is_file(),
        "{missing} is missing: cargo build -p plugin-worker"
    );
    let restarts = policy.contains("[restart]");
    let policy = Policy::parse(Path::new("test policy"), policy);
    let mut policy = policy.unwrap_or_else(|error| panic!("{error}"));
    if !restarts {
        policy.never_restart();
    }
    Supervisor::builder().policy(policy).worker_program(worker)
}

/// Loads a plugin that must come up.
///
/// # Panics
/// When it doesn't.
pub async fn load(supervisor: &Supervisor, plugin: &Path) -> PluginId {
    let loaded = supervisor.load(plugin).await;
    loaded.unwrap_or_else(|error| panic!("{error}"))
}

/// Calls a method under the policy's deadline.
///
/// # Errors
/// As [`Supervisor::call`].
pub async fn call(
    supervisor: &Supervisor,
    plugin: &PluginId,
    method: &str,
    payload: &str,
) -> Result<String, CallError> {
    let call = Call {
        method,
        payload: payload.as_bytes(),
        ..Call::default()
    };
    let reply = supervisor.call(plugin, call).await?;
    Ok(String::from_utf8_lossy(&reply).into_owned())
}

/// A plugin that was loaded.
///
/// # Panics
/// When it never was.
#[must_use]
pub fn status(supervisor: &Supervisor, plugin: &PluginId) -> PluginStatus {
    let status = supervisor.status(plugin);
    status.unwrap_or_else(|| panic!("no plugin {plugin}"))
}

/// Looks again and again until it holds; whether it did in time.
pub async fn eventually(patience: Duration, holds: impl Fn() -> bool) -> bool {
    let end = Instant::now() + patience;
    while !holds() {
        if Instant::now() > end {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    true
}
