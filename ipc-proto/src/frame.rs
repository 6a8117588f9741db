//! The frame: a fixed header and a body.
//!
//! ```text
//!  0      4    5     6      8       16            24
//! ├ len u32 ┼ kind ┼ flags ┼ credit ┼ call u64 ┼ deadline_us u64 ┼ body (len bytes) ┤   little-endian
//! ```
//!
//! `credit` (flow control) and every bit of `flags` (streams, shared payloads) are reserved: 0, or
//! the frame is refused. `call` 0 means no call; `deadline_us` is relative, 0 means none.

mod header;

use std::fmt;
use std::time::Duration;

use thiserror::Error;

use crate::codec::{ReadError, Reader, WriteError, Writer};
use crate::limits::HEADER_LEN;
use crate::message::{Direction, Message};

pub(crate) use header::Header;

/// Appends one frame to `out`. A payload is copied once, from where it is borrowed into `out`.
///
/// `call` names the request that the frame opens, answers or concerns; 0 is none. `deadline` is
/// relative to the moment of sending, in whole microseconds, rounded up.
///
/// # Errors
/// [`EncodeError`] when the message passes a limit of [`limits`](crate::limits). `out` is then as
/// it was before.
pub fn encode<M: Message>(
    message: &M,
    call: u64,
    deadline: Option<Duration>,
    out: &mut Vec<u8>,
) -> Result<(), EncodeError> {
    let start = out.len();
    let (kind, limit) = (message.kind(), message.body_limit());
    out.extend_from_slice(&[0; HEADER_LEN]);
    if let Err(error) = message.write(&mut Writer::new(out, limit)) {
        out.truncate(start);
        return Err(match error {
            WriteError::Full => EncodeError::TooLarge { kind, limit },
            WriteError::Field { len, limit } => EncodeError::FieldTooLong { kind, len, limit },
        });
    }
    let header = Header {
        len: out.len() - start - HEADER_LEN,
        kind,
        call,
        deadline,
    };
    out[start..start + HEADER_LEN].copy_from_slice(&header.to_bytes());
    Ok(())
}

/// A message could not be put on the wire: the caller's fault, never the peer's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum EncodeError {
    /// The body passes the limit of its kind.
    #[error("a frame of kind {kind:#04x} may carry {limit} bytes: send a smaller payload")]
    TooLarge {
        /// Kind byte of the header.
        kind: u8,
        /// Most bytes that a body of this kind may have.
        limit: usize,
    },
    /// One field passes a limit of its own.
    #[error("a field of a frame of kind {kind:#04x} has {len} bytes or elements, allowed {limit}")]
    FieldTooLong {
        /// Kind byte of the header.
        kind: u8,
        /// Bytes of a text, or elements of a list.
        len: usize,
        /// Most allowed.
        limit: usize,
    },
}

/// One decoded frame, borrowed from the decoder's buffer.
pub struct Frame<'a, D: Direction> {
    /// The request that the frame opens, answers or concerns; 0 is none.
    pub call: u64,
    /// Time left for it when it was sent.
    pub deadline: Option<Duration>,
    /// What it says.
    pub message: D::Message<'a>,
    kind: u8,
    body: &'a [u8],
}

impl<'a, D: Direction> Frame<'a, D> {
    pub(crate) fn read(header: &Header, body: &'a [u8]) -> Result<Self, DecodeError> {
        Ok(Self {
            call: header.call,
            deadline: header.deadline,
            message: read_message::<D>(header.kind, body)?,
            kind: header.kind,
            body,
        })
    }

    /// Copies the body into `buffer` (cleared first; reuse one to save the allocation), for a
    /// frame that must outlive the decoder's next read.
    #[must_use]
    pub fn detach(&self, mut buffer: Vec<u8>) -> Detached {
        buffer.clear();
        buffer.extend_from_slice(self.body);
        Detached {
            kind: self.kind,
            body: buffer,
        }
    }
}

impl<D: Direction> fmt::Debug for Frame<'_, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frame")
            .field("call", &self.call)
            .field("deadline", &self.deadline)
            .field("message", &self.message)
            .finish_non_exhaustive()
    }
}

/// A frame's kind and body, owned.
#[derive(Debug)]
pub struct Detached {
    kind: u8,
    body: Vec<u8>,
}

impl Detached {
    /// Decodes the message again, borrowed from this copy.
    ///
    /// # Errors
    /// None for the direction that the frame came from.
    pub fn message<D: Direction>(&self) -> Result<D::Message<'_>, DecodeError> {
        read_message::<D>(self.kind, &self.body)
    }

    /// The buffer, to be used again.
    #[must_use]
    pub fn into_buffer(self) -> Vec<u8> {
        self.body
    }
}

/// The bytes are not a frame of this direction: the peer's fault, a protocol violation.
///
/// A frame that is only incomplete is no error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// This direction has no such kind.
    #[error("frame of unknown kind {kind:#04x}")]
    UnknownKind {
        /// Kind byte of the header.
        kind: u8,
    },
    /// A reserved flag is set.
    #[error("frame of kind {kind:#04x} with reserved flags {flags:#010b}")]
    ReservedFlags {
        /// Kind byte of the header.
        kind: u8,
        /// Flag byte of the header.
        flags: u8,
    },
    /// The reserved credit field is not 0.
    #[error("frame of kind {kind:#04x} with credit {credit}, which is reserved")]
    ReservedCredit {
        /// Kind byte of the header.
        kind: u8,
        /// Credit field of the header.
        credit: u16,
    },
    /// The declared length passes the limit of the kind. Nothing was allocated for it.
    #[error("frame of kind {kind:#04x} declares {len} bytes, allowed {limit}")]
    TooLarge {
        /// Kind byte of the header.
        kind: u8,
        /// Length field of the header.
        len: usize,
        /// Most bytes that a body of this kind may have.
        limit: usize,
    },
    /// A field isn't what must stand there.
    #[error("frame of kind {kind:#04x} is malformed at byte {offset} of its body")]
    Malformed {
        /// Kind byte of the header.
        kind: u8,
        /// Where the field starts, or ended for a value without meaning; bytes into the body.
        offset: usize,
    },
    /// A field passes a limit of its own.
    #[error("a field of a frame of kind {kind:#04x} has {len} bytes or elements, allowed {limit}")]
    FieldTooLong {
        /// Kind byte of the header.
        kind: u8,
        /// Bytes of a text, or elements of a list, as declared.
        len: u64,
        /// Most allowed.
        limit: usize,
    },
    /// The body goes on after its last field.
    #[error("frame of kind {kind:#04x} has {count} bytes after its last field")]
    TrailingBytes {
        /// Kind byte of the header.
        kind: u8,
        /// Bytes left over.
        count: usize,
    },
}

fn read_message<D: Direction>(kind: u8, body: &[u8]) -> Result<D::Message<'_>, DecodeError> {
    let mut reader = Reader::new(body);
    let message = D::read(kind, &mut reader).map_err(|error| match error {
        ReadError::Malformed { offset } => DecodeError::Malformed { kind, offset },
        ReadError::Field { len, limit } => DecodeError::FieldTooLong { kind, len, limit },
    })?;
    match reader.remaining() {
        0 => Ok(message),
        count => Err(DecodeError::TrailingBytes { kind, count }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::{LOG_BODY, MAX_DETAIL, MAX_LOG_TEXT, MAX_PAYLOAD, MAX_PRELOAD};
    use crate::message::{FromWorker, LoadFailure, ToWorker};

    #[test]
    fn header_layout_is_little_endian_with_reserved_bits_clear() {
        let mut out = Vec::new();

        encode(
            &ToWorker::Create { config: b"abc" },
            0x0102,
            Some(Duration::from_micros(5)),
            &mut out,
        )
        .unwrap();

        assert_eq!(
            out,
            [
                4, 0, 0, 0, 3, 0, 0, 0, 2, 1, 0, 0, 0, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 3, b'a',
                b'b', b'c'
            ]
        );
    }

    #[test]
    fn the_largest_payload_fits_and_a_body_beyond_the_limit_leaves_out_untouched() {
        let payload = vec![7; MAX_PAYLOAD + 5000];
        let mut out = b"before".to_vec();
        let reply = |payload| FromWorker::Reply {
            status: 0,
            verdict: 0,
            schema: 0,
            payload,
        };

        let too_large = encode(&reply(&payload), 1, None, &mut out);

        assert!(matches!(
            too_large,
            Err(EncodeError::TooLarge { kind: 0x87, .. })
        ));
        assert_eq!(out, b"before");
        assert!(out.capacity() < 1024, "nothing of the payload was copied");
        encode(&reply(&payload[..MAX_PAYLOAD]), 1, None, &mut out).unwrap();
    }

    #[test]
    fn the_longest_log_text_fits_its_body() {
        let text = "x".repeat(MAX_LOG_TEXT);
        let mut out = Vec::new();

        encode(
            &FromWorker::Log {
                level: 5,
                text: &text,
            },
            1,
            None,
            &mut out,
        )
        .unwrap();

        assert!(out.len() <= HEADER_LEN + LOG_BODY);
    }

    #[test]
    fn fields_with_a_limit_of_their_own_are_checked_when_encoding() {
        let text = "x".repeat(MAX_DETAIL + 1);
        let mut out = Vec::new();

        let detail = encode(
            &FromWorker::LoadFailed {
                reason: LoadFailure::Dlopen,
                plugin_abi: 0,
                detail: &text,
            },
            0,
            None,
            &mut out,
        );
        let preload = encode(
            &ToWorker::Load {
                plugin: "/p.so",
                preload: vec!["a"; MAX_PRELOAD + 1],
            },
            0,
            None,
            &mut out,
        );

        assert!(matches!(detail, Err(EncodeError::FieldTooLong { .. })));
        assert!(matches!(preload, Err(EncodeError::FieldTooLong { .. })));
        assert!(out.is_empty());
    }
}
