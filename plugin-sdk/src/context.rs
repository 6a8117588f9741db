//! The call in progress, as an author sees it, and what the host does within it.

use std::fmt;
use std::time::Duration;

use crate::abi::call::Call;
use crate::abi::{self};
use crate::error::HostError;

/// The call in progress: who called, how long it may take, and the host's functions.
///
/// Every function that asks the host may block, and is checked against the plugin's grants.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    call: &'a Call<'a>,
}

impl<'a> Context<'a> {
    pub(crate) fn new(call: &'a Call<'a>) -> Self {
        Self { call }
    }

    /// Id of the call, unique within the worker; 0 when no caller is behind it.
    #[must_use]
    pub fn call_id(&self) -> u64 {
        self.call.id()
    }

    /// Time left for the call, zero if it is over; `None` if the call has no deadline.
    #[must_use]
    pub fn deadline(&self) -> Option<Duration> {
        self.call.remaining()
    }

    /// Whether the call is cancelled or past its deadline. Long loops ask now and then and return
    /// [`Error::cancelled`](crate::Error::cancelled): a call that goes on is ended with its worker.
    #[must_use]
    pub fn cancelled(&self) -> bool {
        self.call.cancelled()
    }

    /// Tenant of the caller, as the host vouches for it; may be empty.
    #[must_use]
    pub fn tenant(&self) -> &'a str {
        self.call.tenant()
    }

    /// User behind the call, as the host vouches for it; may be empty.
    #[must_use]
    pub fn user(&self) -> &'a str {
        self.call.user()
    }

    /// Logs a text. [`info!`](crate::info) and its siblings take a format string.
    pub fn log(&self, level: Level, text: impl fmt::Display) {
        self.call.log(level as u32, text.to_string().as_bytes());
    }

    /// Reads a key of the context that the plugins of a call share; `None` if it is not set.
    ///
    /// # Errors
    /// [`HostError`], with `Denied` if the plugin may not read that key.
    pub fn context_get(&self, key: &str) -> Result<Option<Vec<u8>>, HostError> {
        match self.call.context_get(key.as_bytes()) {
            Ok(value) => Ok(Some(value)),
            Err(abi::Status::NOT_FOUND) => Ok(None),
            Err(status) => Err(HostError::new("context_get", key, status, Vec::new())),
        }
    }

    /// Sets a key of the context that the plugins of a call share.
    ///
    /// # Errors
    /// [`HostError`], with `Denied` if the plugin may not write that key.
    pub fn context_set(&self, key: &str, value: impl AsRef<[u8]>) -> Result<(), HostError> {
        self.call
            .context_set(key.as_bytes(), value.as_ref())
            .map_err(|status| HostError::new("context_set", key, status, Vec::new()))
    }

    /// Emits an event to whoever subscribed to it, without waiting for them.
    ///
    /// # Errors
    /// [`HostError`], with `TooLarge` for a name above 256 bytes or a payload above 4 KiB, and
    /// with `Denied` beyond the limit on messages.
    pub fn emit(&self, name: &str, payload: impl AsRef<[u8]>) -> Result<(), HostError> {
        self.call
            .emit(name.as_bytes(), payload.as_ref())
            .map_err(|status| HostError::new("emit", name, status, Vec::new()))
    }

    /// Calls a method of a service of the host or of another plugin, within this call's deadline.
    ///
    /// # Errors
    /// [`HostError`], with `Failed` and the service's text if the service itself failed.
    pub fn call_service(
        &self,
        service: &str,
        method: &str,
        payload: impl AsRef<[u8]>,
    ) -> Result<Vec<u8>, HostError> {
        let mut reply = Vec::new();
        match self.call.call_service(
            service.as_bytes(),
            method.as_bytes(),
            payload.as_ref(),
            &mut reply,
        ) {
            Ok(()) => Ok(reply),
            Err(status) => Err(HostError::new(
                "call_service",
                &format!("{service}.{method}"),
                status,
                reply,
            )),
        }
    }
}

/// How much a line of the log matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub enum Level {
    /// Something failed.
    Error = abi::LOG_ERROR,
    /// Something is odd.
    Warn = abi::LOG_WARN,
    /// Something happened that an operator wants to know.
    Info = abi::LOG_INFO,
    /// Detail for whoever looks for a fault.
    Debug = abi::LOG_DEBUG,
    /// Everything.
    Trace = abi::LOG_TRACE,
}

/// Logs that something failed: `error!(context, "format {}", argument)`.
#[macro_export]
macro_rules! error {
    ($context:expr, $($text:tt)+) => { $context.log($crate::Level::Error, ::core::format_args!($($text)+)) };
}

/// Logs that something is odd: `warn!(context, "format {}", argument)`.
#[macro_export]
macro_rules! warn {
    ($context:expr, $($text:tt)+) => { $context.log($crate::Level::Warn, ::core::format_args!($($text)+)) };
}

/// Logs what an operator wants to know: `info!(context, "format {}", argument)`.
#[macro_export]
macro_rules! info {
    ($context:expr, $($text:tt)+) => { $context.log($crate::Level::Info, ::core::format_args!($($text)+)) };
}

/// Logs a detail for whoever looks for a fault: `debug!(context, "format {}", argument)`.
#[macro_export]
macro_rules! debug {
    ($context:expr, $($text:tt)+) => { $context.log($crate::Level::Debug, ::core::format_args!($($text)+)) };
}

/// Logs anything: `trace!(context, "format {}", argument)`.
#[macro_export]
macro_rules! trace {
    ($context:expr, $($text:tt)+) => { $context.log($crate::Level::Trace, ::core::format_args!($($text)+)) };
}
