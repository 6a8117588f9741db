//! Bytes in, frames out, without I/O.

use std::marker::PhantomData;

use crate::frame::{DecodeError, Frame, Header};
use crate::limits::{CONTROL_BODY, HEADER_LEN, RETAINED_BUFFER};
use crate::message::Direction;

/// What one read asks for when no larger frame is underway: no more than the smallest limit, so
/// that the bound below holds for every kind.
const CHUNK: usize = HEADER_LEN + CONTROL_BODY;

/// Takes bytes as they arrive and gives frames of one direction.
///
/// Read into [`spare`](Self::spare), report with [`filled`](Self::filled), then take frames until
/// [`next_frame`](Self::next_frame) gives `None`. An error is final: the same one comes again.
///
/// *Invariant:* at no time does it hold more bytes than the header and the limit of the kind of
/// the frame underway (one chunk of 8 KiB and a header where that is more), and the buffer grows
/// only after a header was checked. A buffer beyond
/// [`RETAINED_BUFFER`] is given back once it is empty.
#[derive(Debug)]
pub struct Decoder<D> {
    /// Initialised throughout; `start..end` are bytes received and not yet given out.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    /// Length of the frame underway with its header, as far as it is known and checked.
    wanted: usize,
    direction: PhantomData<fn() -> D>,
}

impl<D: Direction> Decoder<D> {
    /// An empty decoder. Allocates with the first [`spare`](Self::spare).
    #[must_use]
    pub fn new() -> Self {
        Self {
            buffer: Vec::new(),
            start: 0,
            end: 0,
            wanted: HEADER_LEN,
            direction: PhantomData,
        }
    }

    /// Where the next bytes of the peer belong. Never empty once `next_frame` gave `None`.
    pub fn spare(&mut self) -> &mut [u8] {
        let held = self.buffered();
        if held == 0 {
            (self.start, self.end) = (0, 0);
            if self.buffer.len() > RETAINED_BUFFER {
                self.buffer = Vec::new();
            }
        }
        let room = self.wanted.max(CHUNK);
        if self.buffer.len() < room {
            // Fresh zeroed pages instead of a resize: a large frame costs memory only as its bytes
            // arrive, whatever its header promised.
            let mut grown = vec![0; room];
            grown[..held].copy_from_slice(&self.buffer[self.start..self.end]);
            self.buffer = grown;
            (self.start, self.end) = (0, held);
        } else if self.buffer.len() < self.start + room {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, held);
        }
        &mut self.buffer[self.end..self.start + room]
    }

    /// Says that the first `count` bytes of the last [`spare`](Self::spare) are filled.
    pub fn filled(&mut self, count: usize) {
        self.end = self.buffer.len().min(self.end + count);
    }

    /// Copies from `bytes` what there is room for and returns how much that was: all of it, if
    /// called again with the rest after every drain.
    pub fn push(&mut self, bytes: &[u8]) -> usize {
        let spare = self.spare();
        let count = spare.len().min(bytes.len());
        spare[..count].copy_from_slice(&bytes[..count]);
        self.filled(count);
        count
    }

    /// Whether a whole frame is there.
    ///
    /// # Errors
    /// [`DecodeError`] when the header is invalid, even if the body hasn't come yet.
    pub fn has_frame(&mut self) -> Result<bool, DecodeError> {
        Ok(self.header()?.is_some())
    }

    /// The next frame, or `None` when more bytes are needed.
    ///
    /// # Errors
    /// [`DecodeError`] when the bytes aren't a frame of this direction.
    pub fn next_frame(&mut self) -> Result<Option<Frame<'_, D>>, DecodeError> {
        let Some(header) = self.header()? else {
            return Ok(None);
        };
        let body = self.start + HEADER_LEN;
        let end = body + header.len;
        let frame = Frame::read(&header, &self.buffer[body..end])?;
        self.start = end;
        self.wanted = HEADER_LEN;
        Ok(Some(frame))
    }

    /// Bytes received and not yet given out. Not 0 when the peer closes: it closed within a frame.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.end - self.start
    }

    /// Bytes that the buffer occupies.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.buffer.capacity()
    }

    /// The header of the next frame if that frame is complete.
    fn header(&mut self) -> Result<Option<Header>, DecodeError> {
        let held = &self.buffer[self.start..self.end];
        let Some(bytes) = held.first_chunk() else {
            return Ok(None);
        };
        let header = Header::parse::<D>(bytes)?;
        self.wanted = HEADER_LEN + header.len;
        Ok((held.len() >= self.wanted).then_some(header))
    }
}

impl<D: Direction> Default for Decoder<D> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::encode;
    use crate::limits::{MAX_PAYLOAD, MAX_PRELOAD, PAYLOAD_BODY};
    use crate::message::{Downstream, FromWorker, ToWorker, Upstream};
    use crate::version::Hello;

    fn call(payload: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let message = ToWorker::Call {
            method: "m",
            payload,
            tenant: "",
            user: "",
        };
        encode(&message, 9, None, &mut out).unwrap();
        out
    }

    /// A frame with a body of one's own making.
    fn forged(kind: u8, body: &[u8]) -> Vec<u8> {
        let mut out = vec![0; HEADER_LEN];
        out[..4].copy_from_slice(&(body.len() as u32).to_le_bytes());
        out[4] = kind;
        out.extend_from_slice(body);
        out
    }

    fn refusal<D: Direction>(bytes: &[u8]) -> DecodeError {
        let mut decoder = Decoder::<D>::new();
        decoder.push(bytes);
        let first = decoder.next_frame().unwrap_err();
        assert_eq!(decoder.next_frame().unwrap_err(), first, "errors are final");
        first
    }

    #[test]
    fn an_incomplete_frame_is_none_and_not_an_error() {
        let frame = call(b"payload");
        let mut decoder = Decoder::<Downstream>::new();

        for &byte in &frame[..frame.len() - 1] {
            decoder.push(&[byte]);
            assert!(decoder.next_frame().unwrap().is_none());
        }
        decoder.push(&frame[frame.len() - 1..]);

        assert_eq!(decoder.next_frame().unwrap().unwrap().call, 9);
        assert_eq!(decoder.buffered(), 0);
    }

    #[test]
    fn all_frames_of_one_read_come_in_order() {
        let frames = [call(b"1"), call(b"22"), call(b"333")].concat();
        let mut decoder = Decoder::<Downstream>::new();
        decoder.push(&frames);

        for length in 1..=3 {
            let frame = decoder.next_frame().unwrap().unwrap();
            assert!(
                matches!(frame.message, ToWorker::Call { payload, .. } if payload.len() == length)
            );
        }
        assert!(decoder.next_frame().unwrap().is_none());
    }

    #[test]
    fn a_kind_of_the_other_direction_or_zero_is_unknown() {
        let mut hello = Vec::new();
        encode(&FromWorker::Hello(Hello::OURS), 0, None, &mut hello).unwrap();

        assert_eq!(
            refusal::<Downstream>(&hello),
            DecodeError::UnknownKind { kind: 0x81 }
        );
        assert_eq!(
            refusal::<Upstream>(&forged(0, b"")),
            DecodeError::UnknownKind { kind: 0 }
        );
    }

    #[test]
    fn reserved_bits_are_refused() {
        let mut flags = call(b"");
        flags[5] = 0x80;
        let mut credit = call(b"");
        credit[7] = 1;

        assert_eq!(
            refusal::<Downstream>(&flags),
            DecodeError::ReservedFlags {
                kind: 4,
                flags: 0x80
            }
        );
        assert_eq!(
            refusal::<Downstream>(&credit),
            DecodeError::ReservedCredit {
                kind: 4,
                credit: 256
            }
        );
    }

    #[test]
    fn a_length_over_the_limit_is_refused_before_anything_is_allocated_for_it() {
        let mut frame = call(b"");
        frame[..4].copy_from_slice(&(PAYLOAD_BODY as u32 + 1).to_le_bytes());
        let mut decoder = Decoder::<Downstream>::new();
        decoder.push(&frame);

        assert_eq!(
            decoder.has_frame(),
            Err(DecodeError::TooLarge {
                kind: 4,
                len: PAYLOAD_BODY + 1,
                limit: PAYLOAD_BODY
            })
        );
        assert!(decoder.spare().len() <= CHUNK);
        assert_eq!(decoder.capacity(), CHUNK);
    }

    #[test]
    fn trailing_bytes_are_refused() {
        let error = refusal::<Upstream>(&forged(0x88, &[3, 0, 0xff]));

        assert_eq!(
            error,
            DecodeError::TrailingBytes {
                kind: 0x88,
                count: 1
            }
        );
    }

    #[test]
    fn an_inner_length_of_two_to_the_sixty_is_refused() {
        let mut body = vec![0, 253];
        body.extend_from_slice(&(1_u64 << 60).to_le_bytes());

        assert_eq!(
            refusal::<Downstream>(&forged(2, &body)),
            DecodeError::FieldTooLong {
                kind: 2,
                len: 1 << 60,
                limit: MAX_PRELOAD
            }
        );
        assert_eq!(
            refusal::<Downstream>(&forged(3, &body[1..])),
            DecodeError::Malformed { kind: 3, offset: 0 }
        );
    }

    #[test]
    fn text_that_is_not_utf8_and_values_without_meaning_are_malformed() {
        assert_eq!(
            refusal::<Upstream>(&forged(0x88, &[3, 1, 0xff])),
            DecodeError::Malformed {
                kind: 0x88,
                offset: 1
            }
        );
        assert!(matches!(
            refusal::<Upstream>(&forged(0x85, &[99, 0, 0])),
            DecodeError::Malformed { kind: 0x85, .. }
        ));
        assert!(matches!(
            refusal::<Upstream>(&forged(0x89, &[1, 77])),
            DecodeError::Malformed { kind: 0x89, .. }
        ));
        assert!(matches!(
            refusal::<Downstream>(&forged(1, b"CORDONIP\x01")),
            DecodeError::Malformed { kind: 1, .. }
        ));
    }

    #[test]
    fn a_large_buffer_is_given_back_once_it_is_empty() {
        let frame = call(&vec![1; MAX_PAYLOAD]);
        let mut decoder = Decoder::<Downstream>::new();
        let mut rest = &frame[..];
        while !decoder.has_frame().unwrap() {
            let taken = decoder.push(rest);
            rest = &rest[taken..];
        }
        assert_eq!(decoder.capacity(), frame.len());

        assert!(decoder.next_frame().unwrap().is_some());
        decoder.spare();

        assert_eq!(decoder.capacity(), CHUNK);
    }

    #[test]
    fn a_detached_frame_outlives_the_buffer() {
        let mut decoder = Decoder::<Downstream>::new();
        decoder.push(&call(b"payload"));
        let detached = decoder.next_frame().unwrap().unwrap().detach(vec![1; 99]);
        decoder.push(&call(b"another"));

        assert!(matches!(
            detached.message::<Downstream>().unwrap(),
            ToWorker::Call {
                payload: b"payload",
                ..
            }
        ));
    }
}
