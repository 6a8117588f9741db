//! What becomes of a request, and what a frame of the worker means.

use std::time::Duration;

use ipc_proto::frame::EncodeError;
use ipc_proto::limits::MAX_QUEUED_REQUESTS;
use ipc_proto::message::{HostOp, LoadFailure};
use tokio::sync::oneshot;

/// The answer to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reply {
    /// To a load: the plugin's ABI version.
    Loaded {
        /// Major in the upper 16 bits, minor in the lower.
        abi: u32,
    },
    /// To a load that failed.
    LoadFailed {
        /// What failed.
        reason: LoadFailure,
        /// ABI version of the plugin where it got that far, else 0.
        abi: u32,
        /// Hostile text for a person.
        detail: String,
    },
    /// To a create.
    Created,
    /// To everything else, and to a create that failed.
    Returned {
        /// Status of the plugin ABI.
        status: i32,
        /// Verdict of a hook.
        verdict: u8,
        /// Schema of a snapshot.
        schema: u32,
        /// The reply, or the plugin's error text.
        payload: Vec<u8>,
    },
}

/// Why a request got no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unanswered {
    /// The deadline passed.
    Deadline,
    /// The connection ended.
    Closed,
}

/// Why a request can't be sent.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    /// The payload or a name passes a limit.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// Too much is in flight already.
    #[error(
        "the plugin has {MAX_QUEUED_REQUESTS} calls in flight or doesn't read: try again later"
    )]
    Busy,
    /// The connection ended.
    #[error("the plugin's worker is gone")]
    Closed,
}

/// A frame that no honest worker sends.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ProtocolError {
    /// An answer that fits no request in flight.
    #[error("{kind} for call {call}, which isn't in flight or expects another answer")]
    Unsolicited {
        /// What came.
        kind: &'static str,
        /// For which call.
        call: u64,
    },
    /// A frame that belongs before the load.
    #[error("{0} after the handshake")]
    OutOfSequence(&'static str),
}

/// What a frame means to the supervisor.
#[derive(Debug)]
pub(crate) enum Incoming<'a> {
    /// A request was answered.
    Answered {
        /// The request.
        call: u64,
        /// How long a call took; `None` for one that was given up, and for what is no call.
        took: Option<Duration>,
        /// Whether the plugin panicked: its instance is of no use any more.
        panicked: bool,
        /// The reply, if somebody waits for it.
        delivery: Option<Delivery>,
    },
    /// A log line, hostile text.
    Log {
        /// The line.
        text: &'a str,
    },
    /// The plugin asks the host for something.
    HostCall {
        /// During this call.
        call: u64,
        /// Number of the host call.
        seq: u32,
        /// For what.
        op: HostOp<'a>,
    },
}

/// A reply on its way to its caller, who may make the next request at once: what there is to
/// account of this one is done before.
#[derive(Debug)]
pub(crate) struct Delivery {
    pub(super) to: oneshot::Sender<Result<Reply, Unanswered>>,
    pub(super) reply: Reply,
}

impl Delivery {
    pub(crate) fn deliver(self) {
        // A caller that went away just now doesn't want it.
        let _ = self.to.send(Ok(self.reply));
    }
}
