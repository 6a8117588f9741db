//! The general registers of a thread, by their names.

use serde::{Deserialize, Serialize};

/// Their names in the order of `NT_PRSTATUS` (`user_regs_struct`).
#[cfg(target_arch = "x86_64")]
pub const NAMES: [&str; 27] = [
    "r15", "r14", "r13", "r12", "rbp", "rbx", "r11", "r10", "r9", "r8", "rax", "rcx", "rdx", "rsi",
    "rdi", "orig_rax", "rip", "cs", "eflags", "rsp", "ss", "fs_base", "gs_base", "ds", "es", "fs",
    "gs",
];
/// Their names in the order of `NT_PRSTATUS` (`user_pt_regs`).
#[cfg(target_arch = "aarch64")]
pub const NAMES: [&str; 34] = [
    "x0", "x1", "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14",
    "x15", "x16", "x17", "x18", "x19", "x20", "x21", "x22", "x23", "x24", "x25", "x26", "x27",
    "x28", "x29", "x30", "sp", "pc", "pstate",
];

/// Places of instruction pointer, stack pointer and number of the call.
#[cfg(target_arch = "x86_64")]
const ROLES: [usize; 3] = [16, 19, 15];
#[cfg(target_arch = "aarch64")]
const ROLES: [usize; 3] = [32, 31, 8];

/// Places of the registers that DWARF numbers from 0 (System V ABI, x86-64, figure 3.36).
#[cfg(target_arch = "x86_64")]
const DWARF: [usize; 16] = [10, 12, 11, 5, 13, 14, 4, 19, 9, 8, 7, 6, 3, 2, 1, 0];
/// Places of the registers that DWARF numbers from 0 (DWARF for the Arm 64-bit Architecture, 4.1).
#[cfg(target_arch = "aarch64")]
const DWARF: [usize; 32] = [
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25,
    26, 27, 28, 29, 30, 31,
];

/// The frame pointer's DWARF number.
pub const DWARF_FRAME_POINTER: u16 = if cfg!(target_arch = "x86_64") { 6 } else { 29 };
/// The stack pointer's DWARF number.
pub const DWARF_STACK_POINTER: u16 = if cfg!(target_arch = "x86_64") { 7 } else { 31 };
/// The DWARF number by which tables tell where a call returns to.
pub const DWARF_RETURN_ADDRESS: u16 = if cfg!(target_arch = "x86_64") { 16 } else { 30 };

/// What a stopped thread's registers hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Registers {
    /// In the order of [`NAMES`].
    pub words: [u64; NAMES.len()],
}

/// The registers that a backtrace begins with; of a thread that waits in the kernel no more
/// may be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Top {
    /// Address of the instruction.
    pub ip: u64,
    /// The stack pointer.
    pub sp: u64,
}

impl Registers {
    /// Where it is.
    #[must_use]
    pub fn top(&self) -> Top {
        Top {
            ip: self.words[ROLES[0]],
            sp: self.words[ROLES[1]],
        }
    }

    /// Those that a debugger's tables name, by their DWARF numbers.
    pub fn dwarf(&self) -> impl Iterator<Item = (u16, u64)> {
        (0..).zip(DWARF.map(|place| self.words[place]))
    }

    /// The number of the system call that it is in, if it is in one.
    #[must_use]
    pub fn call(&self) -> u64 {
        self.words[ROLES[2]]
    }

    /// Name and value of each.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, u64)> {
        NAMES.into_iter().zip(self.words)
    }
}
