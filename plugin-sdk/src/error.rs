//! What goes wrong in a plugin, and what goes wrong when it asks the host for something.

use std::fmt;

use crate::abi::Status;

/// Why a method, hook or other function of a plugin failed: a status and a text for the caller.
///
/// Every [`std::error::Error`] turns into one by `?`; a [`HostError`] that ends the call keeps its
/// status, all else is the plugin's own failure ([`Status::ERROR`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    status: Status,
    text: String,
}

impl Error {
    /// The plugin's own failure.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self {
            status: Status::ERROR,
            text: text.into(),
        }
    }

    /// The input is malformed.
    #[must_use]
    pub fn invalid(text: impl Into<String>) -> Self {
        Self {
            status: Status::INVALID,
            text: text.into(),
        }
    }

    /// A snapshot's schema, or another feature, is not known.
    #[must_use]
    pub fn unsupported(text: impl Into<String>) -> Self {
        Self {
            status: Status::UNSUPPORTED,
            text: text.into(),
        }
    }

    /// The call ended early, because [`Context::cancelled`](crate::Context::cancelled) said so.
    #[must_use]
    pub fn cancelled() -> Self {
        Self {
            status: Status::CANCELLED,
            text: "the call was cancelled".into(),
        }
    }

    /// The caller asked for a method or hook that the plugin doesn't have.
    #[must_use]
    pub fn no_method(name: &str) -> Self {
        Self {
            status: Status::NO_METHOD,
            text: format!("no entry point {name:?}"),
        }
    }

    pub(crate) fn from_status(status: Status, text: &str) -> Self {
        Self {
            status,
            text: text.into(),
        }
    }

    /// The status that the host gets.
    #[must_use]
    pub fn status(&self) -> Status {
        self.status
    }

    /// The text that the caller gets.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

// No std::error::Error for Error itself: that would collide with this conversion.
impl<E: std::error::Error + 'static> From<E> for Error {
    fn from(error: E) -> Self {
        let status = match (&error as &dyn std::error::Error)
            .downcast_ref::<HostError>()
            .map(HostError::reason)
        {
            Some(Reason::Cancelled) => Status::CANCELLED,
            Some(Reason::Deadline) => Status::DEADLINE,
            _ => Status::ERROR,
        };
        Self {
            status,
            text: error.to_string(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A request to the host failed: which, about what, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{operation} {object:?}: {reason}")]
pub struct HostError {
    operation: &'static str,
    object: String,
    reason: Reason,
}

impl HostError {
    /// Why.
    #[must_use]
    pub fn reason(&self) -> &Reason {
        &self.reason
    }

    pub(crate) fn new(
        operation: &'static str,
        object: &str,
        status: Status,
        text: Vec<u8>,
    ) -> Self {
        let reason = match status {
            Status::DENIED => Reason::Denied,
            Status::NOT_FOUND => Reason::NotFound,
            Status::NO_METHOD => Reason::NoMethod,
            Status::TOO_LARGE => Reason::TooLarge,
            Status::UNSUPPORTED => Reason::Unsupported,
            Status::CANCELLED => Reason::Cancelled,
            Status::DEADLINE => Reason::Deadline,
            Status::ERROR => Reason::Failed(String::from_utf8_lossy(&text).into_owned()),
            other => Reason::Other(other),
        };
        Self {
            operation,
            object: object.into(),
            reason,
        }
    }
}

/// Why the host refused, or could not do, what a plugin asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Reason {
    /// The plugin's grants don't cover it.
    #[error("not granted; the operator's policy has to allow it")]
    Denied,
    /// There is no such key or service.
    #[error("not found")]
    NotFound,
    /// The service has no such method.
    #[error("the service has no such method")]
    NoMethod,
    /// Key, value or payload is beyond a limit.
    #[error("too large")]
    TooLarge,
    /// This host cannot do that.
    #[error("this host does not support it")]
    Unsupported,
    /// The call at work was cancelled.
    #[error("the call was cancelled")]
    Cancelled,
    /// The call at work is past its deadline.
    #[error("the call's deadline has passed")]
    Deadline,
    /// The service itself failed, with this text.
    #[error("{0}")]
    Failed(String),
    /// Any other status.
    #[error("{0}")]
    Other(Status),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_error_that_ends_the_call_keeps_its_status() {
        let error = Error::from(HostError::new(
            "call_service",
            "clock.now",
            Status::DEADLINE,
            Vec::new(),
        ));

        assert_eq!(error.status(), Status::DEADLINE);
        assert_eq!(
            error.text(),
            "call_service \"clock.now\": the call's deadline has passed"
        );
    }

    #[test]
    fn other_errors_are_the_plugins_own() {
        let error = Error::from("x".parse::<u8>().unwrap_err());

        assert_eq!(
            (error.status(), error.text()),
            (Status::ERROR, "invalid digit found in string")
        );
    }
}
