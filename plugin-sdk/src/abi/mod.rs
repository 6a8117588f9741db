//! The Rust twin of `include/cordon_plugin.h`, and the only place of this crate with `unsafe` code.
//!
//! The types here have the header's layout (`tests/header.rs` compares the two through a C and a
//! C++ compiler); lifetimes, threads and errors are documented there, once. On top of them:
//! [`table`] reads size-prefixed tables, [`sink`] fills and offers sinks, [`call`] is the plugin's
//! safe view of a call, [`export`] makes a plugin's table, and [`host`] is the other side, for
//! whoever calls one.

pub mod call;
pub mod export;
pub mod host;
pub mod sink;
pub mod table;

use std::ffi::c_void;
use std::fmt;

/// Major version of the ABI: host and plugin must have the same.
pub const MAJOR: u16 = 1;
/// Minor version: tables grow with it, and either side may be ahead.
pub const MINOR: u16 = 0;
/// [`MAJOR`] and [`MINOR`] as they travel: major in the upper 16 bits.
pub const VERSION: u32 = ((MAJOR as u32) << 16) | MINOR as u32;
/// Name of the function that a plugin exports, with terminator for `dlsym`; its type is [`Entry`].
pub const ENTRY_SYMBOL: &std::ffi::CStr = c"cordon_plugin_entry";
/// Name of the ELF section that holds a plugin's manifest.
pub const MANIFEST_SECTION: &str = ".cordon.manifest";

/// `cordon_plugin_entry`: the plugin's table, or null if it refuses a host of this version.
pub type Entry = unsafe extern "C" fn(host_abi: u32) -> *const Plugin;

/// `cordon_status`: the outcome of a function. Values without a name are read as [`Status::ERROR`].
#[repr(transparent)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Status(pub i32);

impl Status {
    /// Done.
    pub const OK: Self = Self(0);
    /// The plugin's own failure; the text is in the sink.
    pub const ERROR: Self = Self(1);
    /// No entry point of that name.
    pub const NO_METHOD: Self = Self(2);
    /// The feature, or the snapshot's schema, is not known.
    pub const UNSUPPORTED: Self = Self(3);
    /// A panic or exception, caught at the entry; the instance is to be replaced.
    pub const PANIC: Self = Self(4);
    /// The caller gave up.
    pub const CANCELLED: Self = Self(5);
    /// Not granted.
    pub const DENIED: Self = Self(6);
    /// No such key or service.
    pub const NOT_FOUND: Self = Self(7);
    /// Beyond a limit on sizes.
    pub const TOO_LARGE: Self = Self(8);
    /// Malformed input.
    pub const INVALID: Self = Self(9);
    /// The call's time is over.
    pub const DEADLINE: Self = Self(10);
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match *self {
            Self::OK => "ok",
            Self::ERROR => "error",
            Self::NO_METHOD => "no such method",
            Self::UNSUPPORTED => "unsupported",
            Self::PANIC => "panic",
            Self::CANCELLED => "cancelled",
            Self::DENIED => "denied",
            Self::NOT_FOUND => "not found",
            Self::TOO_LARGE => "too large",
            Self::INVALID => "invalid",
            Self::DEADLINE => "deadline passed",
            Self(other) => return write!(f, "status {other}"),
        })
    }
}

/// Verdict of a hook: go on; the reply is ignored.
pub const CONTINUE: u32 = 0;
/// Verdict of a hook: stop here; the reply is the answer.
pub const INTERCEPT: u32 = 1;
/// Verdict of a hook: refuse; the reply is the reason, as text.
pub const REJECT: u32 = 2;

/// Log level: something failed.
pub const LOG_ERROR: u32 = 1;
/// Log level: something is odd.
pub const LOG_WARN: u32 = 2;
/// Log level: something happened that an operator wants to know.
pub const LOG_INFO: u32 = 3;
/// Log level: detail for whoever looks for a fault.
pub const LOG_DEBUG: u32 = 4;
/// Log level: everything.
pub const LOG_TRACE: u32 = 5;

/// `cordon_bytes`: a borrowed byte string. `data` may be null only if `len` is 0.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Bytes {
    /// First byte.
    pub data: *const u8,
    /// Number of bytes.
    pub len: usize,
}

impl Bytes {
    /// Lends a slice to the other side. The caller keeps it alive for the call it is passed to.
    #[must_use]
    pub const fn new(slice: &[u8]) -> Self {
        Self {
            data: slice.as_ptr(),
            len: slice.len(),
        }
    }

    /// The bytes as a slice; `None` if no slice can be this: a null pointer with a length, or a
    /// length beyond `isize::MAX`.
    ///
    /// # Safety
    /// If `data` is not null, `len` bytes at `data` are readable and unchanged during `'a`.
    #[must_use]
    pub unsafe fn as_slice<'a>(self) -> Option<&'a [u8]> {
        if self.len == 0 {
            return Some(&[]);
        }
        if self.data.is_null() || isize::try_from(self.len).is_err() {
            return None;
        }
        // SAFETY: not null, at most isize::MAX bytes, both checked above; u8 needs no alignment;
        // readable and unchanged for 'a by the caller's promise.
        Some(unsafe { std::slice::from_raw_parts(self.data, self.len) })
    }
}

/// `cordon_sink`: where a function puts its result.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Sink {
    /// Size of this struct as its maker knows it.
    pub size: usize,
    /// The host's.
    pub opaque: *mut c_void,
    /// Appends a copy of the bytes, or nothing and says [`Status::TOO_LARGE`].
    pub write: Option<unsafe extern "C" fn(sink: *mut Sink, bytes: Bytes) -> Status>,
}

/// `cordon_context`: one call, as its callee sees it; valid until that function returns.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Context {
    /// Size of this struct as its maker knows it.
    pub size: usize,
    /// Unique within the worker; 0 when no caller is behind it.
    pub call_id: u64,
    /// Absolute, nanoseconds of `CLOCK_MONOTONIC`; 0 = none.
    pub deadline_ns: u64,
    /// Tenant of the caller, as the host vouches for it: UTF-8, may be empty.
    pub tenant: Bytes,
    /// User behind the call, likewise.
    pub user: Bytes,
    /// The host's table, valid as long as the plugin is loaded.
    pub host: *const Host,
    /// The host's.
    pub opaque: *mut c_void,
}

/// `cordon_host`: what the host does for a plugin, within the call of the context passed first.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Host {
    /// Size of this table as its maker knows it.
    pub size: usize,
    /// The host's [`VERSION`].
    pub abi: u32,
    /// 0.
    pub reserved: u32,
    /// Optional features that this host has; none are defined yet.
    pub features: u64,
    /// A line of UTF-8 text for the log.
    pub log: Option<unsafe extern "C" fn(context: *const Context, level: u32, text: Bytes)>,
    /// Appends the value of a key of the shared context to a sink.
    pub context_get: Option<
        unsafe extern "C" fn(context: *const Context, key: Bytes, value: *mut Sink) -> Status,
    >,
    /// Sets a key of the shared context.
    pub context_set:
        Option<unsafe extern "C" fn(context: *const Context, key: Bytes, value: Bytes) -> Status>,
    /// Emits an event.
    pub emit: Option<
        unsafe extern "C" fn(context: *const Context, name: Bytes, payload: Bytes) -> Status,
    >,
    /// Calls a method of a service and appends its reply, or the text of its error, to a sink.
    pub call_service: Option<
        unsafe extern "C" fn(
            context: *const Context,
            service: Bytes,
            method: Bytes,
            payload: Bytes,
            reply: *mut Sink,
        ) -> Status,
    >,
    /// 1 once the call is cancelled or past its deadline, else 0.
    pub cancelled: Option<unsafe extern "C" fn(context: *const Context) -> i32>,
}

/// `cordon_plugin`: what the plugin does. An absent function is `None`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Plugin {
    /// Size of this table as its maker knows it.
    pub size: usize,
    /// The plugin's [`VERSION`].
    pub abi: u32,
    /// 0.
    pub reserved: u32,
    /// A bit that the host lacks refuses the load.
    pub required_features: u64,
    /// Bits that the host does not know are ignored.
    pub optional_features: u64,
    /// Makes an instance from its configuration.
    pub create: Option<
        unsafe extern "C" fn(
            context: *const Context,
            config: Bytes,
            instance: *mut *mut c_void,
            error: *mut Sink,
        ) -> Status,
    >,
    /// Runs a method.
    pub call: Option<
        unsafe extern "C" fn(
            instance: *mut c_void,
            context: *const Context,
            method: Bytes,
            payload: Bytes,
            reply: *mut Sink,
        ) -> Status,
    >,
    /// Looks at an event; the verdict is [`CONTINUE`], [`INTERCEPT`] or [`REJECT`].
    pub hook: Option<
        unsafe extern "C" fn(
            instance: *mut c_void,
            context: *const Context,
            name: Bytes,
            payload: Bytes,
            verdict: *mut u32,
            reply: *mut Sink,
        ) -> Status,
    >,
    /// Writes the instance's state, and the number of its format.
    pub snapshot: Option<
        unsafe extern "C" fn(
            instance: *mut c_void,
            context: *const Context,
            schema: *mut u32,
            state: *mut Sink,
        ) -> Status,
    >,
    /// Takes over a state.
    pub restore: Option<
        unsafe extern "C" fn(
            instance: *mut c_void,
            context: *const Context,
            schema: u32,
            state: Bytes,
        ) -> Status,
    >,
    /// Whether the instance is fit to serve.
    pub health: Option<
        unsafe extern "C" fn(
            instance: *mut c_void,
            context: *const Context,
            detail: *mut Sink,
        ) -> Status,
    >,
    /// Last call of an instance, to be done by the context's deadline.
    pub shutdown:
        Option<unsafe extern "C" fn(instance: *mut c_void, context: *const Context) -> Status>,
    /// Releases the instance.
    pub destroy: Option<unsafe extern "C" fn(instance: *mut c_void)>,
}
