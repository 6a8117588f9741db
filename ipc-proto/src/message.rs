//! What is said, as one enum for each direction: a side can't even decode what it must not receive.
//!
//! Messages borrow their payloads, both when they are encoded and when they are decoded.

mod body;

use crate::version::Hello;

use body::sealed;

/// Supervisor to worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToWorker<'a> {
    /// First frame; a second one is the receiver's to refuse.
    Hello(Hello),
    /// The listener was fetched: the worker closes its own, and answers `Ready`.
    ListenerTaken,
    /// Map the plugin and run its constructors. Answered by `Loaded` or `LoadFailed`.
    Load {
        /// Path of the plugin inside the worker's root.
        plugin: &'a str,
        /// Libraries to open before it, dependencies first; at most [`MAX_PRELOAD`](crate::limits::MAX_PRELOAD).
        preload: Vec<&'a str>,
    },
    /// Map nothing, and tell which functions a thread was in that died elsewhere. In the place of a
    /// load; no plugin comes into this worker. Answered by `Reply`.
    Symbolise {
        /// Its registers and stack, opaque here.
        question: &'a [u8],
    },
    /// Make the instance. Answered by `Created`, or by `Reply` with the plugin's error.
    Create {
        /// The plugin's configuration, opaque to Cordon.
        config: &'a [u8],
    },
    /// Call a method. Answered by `Reply`, as are all the following requests.
    Call {
        /// Entry point.
        method: &'a str,
        /// Argument.
        payload: &'a [u8],
        /// Caller's tenant as the host gives it; may be empty.
        tenant: &'a str,
        /// Caller's user as the host gives it; may be empty.
        user: &'a str,
    },
    /// Run a hook.
    Hook {
        /// Name of the hook.
        name: &'a str,
        /// What the hook looks at.
        payload: &'a [u8],
        /// Caller's tenant as the host gives it; may be empty.
        tenant: &'a str,
        /// Caller's user as the host gives it; may be empty.
        user: &'a str,
    },
    /// Save the instance's state.
    Snapshot,
    /// Give the instance a saved state.
    Restore {
        /// Version of the state's layout, the plugin's own.
        schema: u32,
        /// The state.
        state: &'a [u8],
    },
    /// Ask the instance how it is.
    Health,
    /// Give up the call that the header names. Has no answer of its own.
    Cancel,
    /// End the instance within the header's deadline; the worker exits after its reply.
    Shutdown,
    /// Answer to a `HostCall`.
    HostReply {
        /// Number of the host call.
        seq: u32,
        /// Status of the plugin ABI.
        status: i32,
        /// The answer; empty unless the status is OK.
        payload: &'a [u8],
    },
}

/// Worker to supervisor. Hostile from `Loaded` on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FromWorker<'a> {
    /// First frame.
    Hello(Hello),
    /// The seccomp filter is installed, and the supervisor is to fetch its listener from the worker
    /// (pidfd_getfd(2)). Answered by `ListenerTaken`.
    Listener {
        /// The listener's number in the worker.
        fd: i32,
    },
    /// The worker is locked down and waits to be attested.
    Ready {
        /// What only it can tell of its confinement, opaque here; at most
        /// [`MAX_MEASURED`](crate::limits::MAX_MEASURED) bytes.
        measured: &'a [u8],
    },
    /// The worker could not lock itself down.
    SetupFailed {
        /// Step of the launch.
        step: u32,
        /// What the kernel said.
        errno: i32,
    },
    /// The plugin is mapped and its entry accepted.
    Loaded {
        /// ABI version of the plugin: major in the upper 16 bits, minor in the lower.
        abi: u32,
        /// Features that the plugin can use if the host has them.
        optional_features: u64,
    },
    /// The plugin can't be loaded.
    LoadFailed {
        /// What failed.
        reason: LoadFailure,
        /// ABI version of the plugin where it got that far, else 0.
        plugin_abi: u32,
        /// For a person; at most [`MAX_DETAIL`](crate::limits::MAX_DETAIL) bytes.
        detail: &'a str,
    },
    /// The instance exists.
    Created,
    /// Answer to the request that the header names.
    Reply {
        /// Status of the plugin ABI.
        status: i32,
        /// Verdict of a hook, else 0.
        verdict: u8,
        /// Schema of a snapshot, else 0.
        schema: u32,
        /// The answer, or the text of the plugin's error.
        payload: &'a [u8],
    },
    /// A line that the plugin logs during the call that the header names.
    Log {
        /// 1 (error) to 5 (trace).
        level: u8,
        /// The line; at most [`MAX_LOG_TEXT`](crate::limits::MAX_LOG_TEXT) bytes.
        text: &'a str,
    },
    /// The plugin asks the host for something during the call that the header names. Answered by
    /// `HostReply`.
    HostCall {
        /// Number of this host call, counted by the worker.
        seq: u32,
        /// What it asks for.
        op: HostOp<'a>,
    },
}

/// What a plugin can ask of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostOp<'a> {
    /// Read a value of the shared context.
    ContextGet {
        /// Which value.
        key: &'a str,
    },
    /// Write a value of the shared context.
    ContextSet {
        /// Which value.
        key: &'a str,
        /// The new value.
        value: &'a [u8],
    },
    /// Emit an event.
    Emit {
        /// Name of the event.
        name: &'a str,
        /// What it carries.
        payload: &'a [u8],
    },
    /// Call a service of the host or of another plugin.
    CallService {
        /// Name of the service.
        service: &'a str,
        /// Its entry point.
        method: &'a str,
        /// Argument.
        payload: &'a [u8],
    },
}

/// Why a plugin couldn't be loaded. Failures cross the process as numbers; the text is a comment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum LoadFailure {
    /// The dynamic loader refused the plugin.
    Dlopen = 1,
    /// The plugin doesn't export `cordon_plugin_entry`.
    NoEntry = 2,
    /// The plugin's entry returned null: it refuses this host.
    Refused = 3,
    /// The plugin's ABI major isn't the host's.
    AbiMismatch = 4,
    /// The plugin requires a feature that the host lacks.
    Feature = 5,
    /// The plugin's table can't be used.
    Vtable = 6,
    /// The dynamic loader refused a library that the plugin needs.
    Preload = 7,
}

impl LoadFailure {
    const ALL: [Self; 7] = [
        Self::Dlopen,
        Self::NoEntry,
        Self::Refused,
        Self::AbiMismatch,
        Self::Feature,
        Self::Vtable,
        Self::Preload,
    ];

    fn from_wire(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|&reason| reason as u8 == number)
    }
}

/// One direction of the wire: its kinds, how much each may weigh, how a body is read.
///
/// Sealed: [`Downstream`] and [`Upstream`] are all there is.
pub trait Direction: sealed::Direction {}

/// Supervisor to worker, as a type parameter of decoders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Downstream {}

/// Worker to supervisor, as a type parameter of decoders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upstream {}

impl Direction for Downstream {}
impl Direction for Upstream {}

/// A message that [`encode`](crate::frame::encode) takes. Sealed.
pub trait Message: sealed::Message {}

impl Message for ToWorker<'_> {}
impl Message for FromWorker<'_> {}
