//! What init writes to its report pipe: records of one size, far below `PIPE_BUF`, so that
//! none is torn.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use super::{NAMES, Registers};
use crate::sys::ptrace::Siginfo;

/// Length of a record in bytes: six words of 32 bits, the address, the registers.
pub const RECORD: usize = 24 + 8 + 8 * NAMES.len();

const HELD: u32 = 1;
const ENDED: u32 = 2;

/// A record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "init makes it, whose filter lets it take no memory any more"
)]
pub enum Report {
    /// A thread is held whose death ends the worker.
    Held(Held),
    /// The worker ended, for kernels that keep no status behind a pidfd.
    Ended(ExitStatus),
}

/// A thread that dies, and stays until its process is killed or the time is up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// Its number in the worker's pid namespace.
    pub thread: u32,
    /// The wait status to come.
    pub status: i32,
    /// The signal it dies of; nothing where it exits.
    pub cause: Option<Siginfo>,
    /// As they were when it died.
    pub registers: Registers,
}

impl Held {
    /// How the process ends.
    #[must_use]
    pub fn exit_status(&self) -> ExitStatus {
        ExitStatus::from_raw(self.status)
    }
}

impl Report {
    pub(crate) fn encode(&self) -> [u8; RECORD] {
        let mut bytes = [0; RECORD];
        let mut put = |at: usize, value: u32| {
            bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
        };
        match self {
            Report::Ended(status) => {
                put(0, ENDED);
                put(8, status.into_raw() as u32);
            }
            Report::Held(held) => {
                put(0, HELD);
                put(4, held.thread);
                put(8, held.status as u32);
                if let Some(cause) = held.cause {
                    put(12, 1);
                    put(16, cause.signal as u32);
                    put(20, cause.code as u32);
                    bytes[24..32].copy_from_slice(&cause.address.to_le_bytes());
                }
                let places = bytes[32..].chunks_exact_mut(8);
                for (place, word) in places.zip(held.registers.words) {
                    place.copy_from_slice(&word.to_le_bytes());
                }
            }
        }
        bytes
    }

    /// Reads one record.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Report> {
        let bytes: &[u8; RECORD] = bytes.try_into().ok()?;
        let number = |at: usize| {
            let four = [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
            u32::from_le_bytes(four)
        };
        let status = number(8) as i32;
        match number(0) {
            ENDED => Some(Report::Ended(ExitStatus::from_raw(status))),
            HELD => {
                let long =
                    |word: &[u8]| word.iter().rev().fold(0, |sum, b| sum << 8 | u64::from(*b));
                let mut words = [0; NAMES.len()];
                for (word, place) in words.iter_mut().zip(bytes[32..].chunks_exact(8)) {
                    *word = long(place);
                }
                let cause = (number(12) != 0).then(|| Siginfo {
                    signal: number(16) as i32,
                    code: number(20) as i32,
                    address: long(&bytes[24..32]),
                });
                Some(Report::Held(Held {
                    thread: number(4),
                    status,
                    cause,
                    registers: Registers { words },
                }))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_as_they_were_written() {
        let mut words = [0; NAMES.len()];
        for (word, place) in words.iter_mut().zip(1..) {
            *word = u64::MAX - place;
        }
        let cause = Siginfo {
            signal: 11,
            code: -6,
            address: 0xdead_0000_beef,
        };
        let held = Held {
            thread: 2,
            status: 0x8b,
            cause: Some(cause),
            registers: Registers { words },
        };
        let exits = Held {
            cause: None,
            ..held
        };
        let ended = Report::Ended(ExitStatus::from_raw(11));

        for report in [Report::Held(held), Report::Held(exits), ended] {
            assert_eq!(Report::decode(&report.encode()), Some(report));
        }
        assert_eq!(held.exit_status().signal(), Some(11));
        assert_eq!(Report::decode(&[0; RECORD]), None);
        assert_eq!(Report::decode(&ended.encode()[1..]), None);
    }
}
