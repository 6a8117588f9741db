//! What a symboliser is asked, and what it answers: a worker that loads no plugin, and reads the
//! files of one. Its answer is hostile, as the debug data is that it comes from.

use serde::{Deserialize, Serialize};

use super::Top;
use crate::seccomp::Mapping;

/// The most functions of a backtrace.
pub const MAX_PLACES: usize = 64;
/// The longest name or path in it, in bytes.
pub const MAX_NAME: usize = 256;

/// A thread as it was when it couldn't move.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// Where it was.
    pub top: Top,
    /// Registers by their DWARF numbers, as far as they are known.
    pub registers: Vec<(u16, u64)>,
    /// Memory of the stack, from `stack_start` up.
    pub stack: Vec<u8>,
    /// The stack pointer, or the first address above it that has memory.
    pub stack_start: u64,
    /// What was mapped.
    pub mappings: Vec<Mapping>,
}

/// A function that was under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The instruction, or the one after the call that is under way.
    pub address: u64,
    /// The function's name.
    pub function: Option<String>,
    /// The source file.
    pub file: Option<String>,
    /// The line in it.
    pub line: Option<u32>,
    /// Whether it was inlined into the next one.
    pub inlined: bool,
    /// Whether it was guessed from the stack.
    pub guessed: bool,
}

/// Whether an address can be one that a call returns to: `code` are the bytes before it.
///
/// On x86_64 `call rel32`, or `call` through a register or memory with each length of its
/// operand (Intel SDM, volume 2, CALL); on aarch64 `bl`, or `blr` (Arm ARM, C6.2).
#[must_use]
pub fn ends_with_call(code: &[u8; LONGEST_CALL]) -> bool {
    #[cfg(target_arch = "x86_64")]
    {
        let indirect = |length: usize| {
            let at = LONGEST_CALL - length;
            code[at] == 0xff && code[at + 1] >> 3 & 7 == 2
        };
        code[LONGEST_CALL - 5] == 0xe8 || [2, 3, 4, 6, 7].into_iter().any(indirect)
    }
    #[cfg(target_arch = "aarch64")]
    {
        let [.., a, b, c, d] = *code;
        let instruction = u32::from_le_bytes([a, b, c, d]);
        instruction & 0xfc00_0000 == 0x9400_0000 || instruction & 0xffff_fc1f == 0xd63f_0000
    }
}

/// The longest call instruction that leaves a return address.
pub const LONGEST_CALL: usize = 7;

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn calls_are_told_from_other_instructions() {
        for code in [
            [0x90, 0x90, 0xe8, 1, 2, 3, 4],
            [0x90, 0x90, 0x90, 0x90, 0x90, 0xff, 0xd0],
            [0x90, 0x90, 0x90, 0x90, 0xff, 0x50, 0x08],
            [0x90, 0xff, 0x15, 1, 2, 3, 4],
            [0xff, 0x94, 0x24, 1, 2, 3, 4],
        ] {
            assert!(ends_with_call(&code), "{code:x?}");
        }
        for code in [
            [0x90; 7],
            [0x90, 0x90, 0xe9, 1, 2, 3, 4],
            [0x90, 0x90, 0x90, 0x90, 0x90, 0xff, 0xe0],
        ] {
            assert!(!ends_with_call(&code), "{code:x?}");
        }
    }
}
