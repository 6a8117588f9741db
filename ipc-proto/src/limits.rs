//! What a frame, and each field that needs a bound of its own, may weigh. All in bytes unless the
//! name says otherwise.

/// Length of the fixed header that starts every frame.
pub const HEADER_LEN: usize = 24;

/// Largest payload carried inside a frame.
pub const MAX_PAYLOAD: usize = 16 << 20;

/// Largest body of a frame that carries a payload: the payload and its names.
pub const PAYLOAD_BODY: usize = MAX_PAYLOAD + (4 << 10);

/// Largest body of a log record.
pub const LOG_BODY: usize = 64 << 10;

/// Largest text of a log record: the body less its level and length prefix.
pub const MAX_LOG_TEXT: usize = LOG_BODY - 16;

/// Most that a worker says of its own confinement.
pub const MAX_MEASURED: usize = 64;

/// Largest body of every other frame.
pub const CONTROL_BODY: usize = 8 << 10;

/// Most libraries (a count) that a load may name besides the plugin.
pub const MAX_PRELOAD: usize = 128;

/// Longest explanation of a failed load. Hostile text: escape it before a person sees it.
pub const MAX_DETAIL: usize = 4 << 10;

/// Most requests (a count) that a worker holds back while it runs another one. A supervisor that
/// has more in flight with one worker gets the excess refused.
pub const MAX_QUEUED_REQUESTS: usize = 1024;

/// Buffers that grew beyond this are given back once they are empty.
pub const RETAINED_BUFFER: usize = 256 << 10;
