//! The fixed header.

use std::time::Duration;

use super::DecodeError;
use crate::limits::HEADER_LEN;
use crate::message::Direction;

/// The parts of a header that mean something today.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) len: usize,
    pub(crate) kind: u8,
    pub(crate) call: u64,
    pub(crate) deadline: Option<Duration>,
}

impl Header {
    /// Reads a header and checks everything that can be known before the body came.
    pub(crate) fn parse<D: Direction>(bytes: &[u8; HEADER_LEN]) -> Result<Self, DecodeError> {
        let [l0, l1, l2, l3, kind, flags, c0, c1, rest @ ..] = *bytes;
        let [
            a0,
            a1,
            a2,
            a3,
            a4,
            a5,
            a6,
            a7,
            b0,
            b1,
            b2,
            b3,
            b4,
            b5,
            b6,
            b7,
        ] = rest;
        let len = u32::from_le_bytes([l0, l1, l2, l3]) as usize;
        let credit = u16::from_le_bytes([c0, c1]);
        let call = u64::from_le_bytes([a0, a1, a2, a3, a4, a5, a6, a7]);
        let deadline_us = u64::from_le_bytes([b0, b1, b2, b3, b4, b5, b6, b7]);

        let limit = D::body_limit(kind).ok_or(DecodeError::UnknownKind { kind })?;
        if flags != 0 {
            return Err(DecodeError::ReservedFlags { kind, flags });
        }
        if credit != 0 {
            return Err(DecodeError::ReservedCredit { kind, credit });
        }
        if len > limit {
            return Err(DecodeError::TooLarge { kind, len, limit });
        }
        Ok(Self {
            len,
            kind,
            call,
            deadline: (deadline_us != 0).then(|| Duration::from_micros(deadline_us)),
        })
    }

    /// `len` fits: no body limit reaches `u32::MAX`.
    pub(super) fn to_bytes(self) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        bytes[..4].copy_from_slice(&(self.len as u32).to_le_bytes());
        bytes[4] = self.kind;
        bytes[8..16].copy_from_slice(&self.call.to_le_bytes());
        bytes[16..].copy_from_slice(&deadline_us(self.deadline).to_le_bytes());
        bytes
    }
}

/// Rounded up, so that a deadline just about to pass doesn't turn into none.
fn deadline_us(deadline: Option<Duration>) -> u64 {
    deadline.map_or(0, |left| {
        u64::try_from(left.as_nanos().div_ceil(1000))
            .unwrap_or(u64::MAX)
            .max(1)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_under_a_microsecond_is_not_none() {
        assert_eq!(deadline_us(Some(Duration::ZERO)), 1);
        assert_eq!(deadline_us(Some(Duration::from_nanos(1001))), 2);
        assert_eq!(deadline_us(Some(Duration::MAX)), u64::MAX);
        assert_eq!(deadline_us(None), 0);
    }
}
