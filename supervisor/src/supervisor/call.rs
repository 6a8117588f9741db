//! Calls and hooks.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ipc_proto::message::ToWorker;

use super::Supervisor;
use crate::ending::Ending;
use crate::lifecycle::State;
use crate::manifest::PluginId;
use crate::mux::{OpenError, Reply, Unanswered};
use crate::output::escape;
use crate::worker::Worker;

/// A call to a plugin's method.
#[derive(Debug, Clone, Copy, Default)]
pub struct Call<'a> {
    /// Which method.
    pub method: &'a str,
    /// Its argument.
    pub payload: &'a [u8],
    /// Time for it; without one policy's default.
    pub deadline: Option<Duration>,
    /// The caller's tenant, as the plugin sees it.
    pub tenant: &'a str,
    /// The caller's user, as the plugin sees it.
    pub user: &'a str,
}

/// Why a call has no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// Nothing of that id was ever loaded.
    #[error("there is no plugin {0}")]
    Unknown(PluginId),
    /// It has no worker.
    #[error("plugin {plugin} takes no calls: it is {state}")]
    NotActive {
        /// Which plugin.
        plugin: PluginId,
        /// Its state.
        state: State,
    },
    /// It has no such method.
    #[error("plugin {plugin} has no method {method:?}")]
    NoMethod {
        /// Which plugin.
        plugin: PluginId,
        /// Which method.
        method: String,
    },
    /// The plugin answered with an error.
    #[error("plugin {plugin} failed with status {status}: {text}")]
    Plugin {
        /// Which plugin.
        plugin: PluginId,
        /// Status of the plugin ABI.
        status: i32,
        /// The plugin's text, escaped.
        text: String,
    },
    /// It took too long.
    #[error("plugin {plugin} missed the call's deadline of {} ms", after.as_millis())]
    Deadline {
        /// Which plugin.
        plugin: PluginId,
        /// The deadline.
        after: Duration,
    },
    /// Its worker ended before it answered.
    #[error("plugin {plugin} has no worker any more: {ending}")]
    Ended {
        /// Which plugin.
        plugin: PluginId,
        /// How the worker ended.
        ending: Ending,
    },
    /// Too many calls are in flight.
    #[error("plugin {0} has too many calls in flight: try again later")]
    Busy(PluginId),
    /// The payload or a name is too long.
    #[error("call of plugin {plugin}: {why}")]
    TooLarge {
        /// Which plugin.
        plugin: PluginId,
        /// Which limit.
        why: String,
    },
}

/// What a hook says to what it was shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Go on.
    Continue,
    /// Go on with this instead.
    Intercept(Vec<u8>),
    /// Stop, for this reason.
    Reject(Vec<u8>),
}

/// Statuses of the plugin ABI (`cordon_plugin.h`).
const OK: i32 = 0;
const NO_METHOD: i32 = 2;
const CANCELLED: i32 = 5;
const DEADLINE: i32 = 10;

impl Supervisor {
    /// Calls a method and waits for its reply. Dropping the future gives the call up: the
    /// plugin is told to cancel it.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn call(&self, plugin: &PluginId, call: Call<'_>) -> Result<Vec<u8>, CallError> {
        let Call {
            method,
            payload,
            tenant,
            user,
            ..
        } = call;
        let message = ToWorker::Call {
            method,
            payload,
            tenant,
            user,
        };
        let (payload, _) = self
            .request(plugin, &message, call.deadline, method)
            .await?;
        Ok(payload)
    }

    /// Shows a hook what it asked to see; `call.method` is the hook's name.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn hook(&self, plugin: &PluginId, call: Call<'_>) -> Result<Verdict, CallError> {
        let Call {
            method: name,
            payload,
            tenant,
            user,
            ..
        } = call;
        let message = ToWorker::Hook {
            name,
            payload,
            tenant,
            user,
        };
        let (payload, verdict) = self.request(plugin, &message, call.deadline, name).await?;
        match verdict {
            0 => Ok(Verdict::Continue),
            1 => Ok(Verdict::Intercept(payload)),
            // Whatever it means by another number, it isn't consent.
            _ => Ok(Verdict::Reject(payload)),
        }
    }

    async fn request(
        &self,
        plugin: &PluginId,
        message: &ToWorker<'_>,
        deadline: Option<Duration>,
        method: &str,
    ) -> Result<(Vec<u8>, u8), CallError> {
        let worker = self.active(plugin)?;
        let result = self.request_of(&worker, message, deadline, method).await;
        if result.is_err() {
            worker.plugin.record.call_failed();
        }
        result
    }

    async fn request_of(
        &self,
        worker: &Worker,
        message: &ToWorker<'_>,
        deadline: Option<Duration>,
        method: &str,
    ) -> Result<(Vec<u8>, u8), CallError> {
        let plugin = worker.plugin.id();
        let after = deadline.unwrap_or(self.shared.policy.call_deadline.as_duration());
        let opened_at = Instant::now();
        let (call, answer) = match worker.request(message, Some(after)) {
            Ok(opened) => opened,
            Err(OpenError::Busy) => return Err(CallError::Busy(plugin.clone())),
            Err(OpenError::Encode(error)) => {
                return Err(CallError::TooLarge {
                    plugin: plugin.clone(),
                    why: error.to_string(),
                });
            }
            Err(OpenError::Closed) => return Err(ended(worker, plugin).await),
        };
        let mut abandoned = Abandoned {
            worker,
            call: Some(call),
        };
        let reply = answer.await.unwrap_or(Err(Unanswered::Closed));
        abandoned.call = None;
        let (plugin, late) = (plugin.clone(), opened_at.elapsed() >= after);
        match reply {
            Ok(Reply::Returned {
                status,
                verdict,
                payload,
                ..
            }) => match status {
                OK => Ok((payload, verdict)),
                // It may see its deadline pass before our clock is looked at.
                CANCELLED | DEADLINE if late => Err(CallError::Deadline { plugin, after }),
                NO_METHOD => Err(CallError::NoMethod {
                    plugin,
                    method: method.to_owned(),
                }),
                status => Err(CallError::Plugin {
                    plugin,
                    status,
                    text: escape(&payload),
                }),
            },
            Err(Unanswered::Deadline) => Err(CallError::Deadline { plugin, after }),
            // The mux lets no other answer through to a call.
            Ok(_) | Err(Unanswered::Closed) => Err(ended(worker, &plugin).await),
        }
    }

    /// The worker that takes calls of a plugin.
    fn active(&self, plugin: &PluginId) -> Result<Arc<Worker>, CallError> {
        let plugins = self.shared.plugins();
        let entry = plugins
            .get(plugin)
            .ok_or_else(|| CallError::Unknown(plugin.clone()))?;
        match (&entry.worker, entry.record.state()) {
            (Some(worker), State::Active) => Ok(Arc::clone(worker)),
            (_, state) => Err(CallError::NotActive {
                plugin: plugin.clone(),
                state,
            }),
        }
    }
}

/// How its worker ended, for a call that has no answer.
async fn ended(worker: &Worker, plugin: &PluginId) -> CallError {
    CallError::Ended {
        plugin: plugin.clone(),
        ending: worker.ended().await,
    }
}

/// Cancels the call when its future is dropped before the answer.
struct Abandoned<'a> {
    worker: &'a Worker,
    call: Option<u64>,
}

impl Drop for Abandoned<'_> {
    fn drop(&mut self) {
        if let Some(call) = self.call {
            self.worker.cancel(call);
        }
    }
}
