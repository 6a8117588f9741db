//! A filter as the kernel runs it: classic BPF, narrowed to the instructions that
//! [`compile`](super::Profile::compile) emits, and an interpreter of it.

use serde::{Deserialize, Serialize};

/// The most instructions that the kernel takes (`BPF_MAXINSNS`).
pub const MAX_INSTRUCTIONS: usize = 4096;

/// A checked filter program. Every jump leads forward to an instruction of the program
/// and every path ends in a return, so running it always ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Instruction>", into = "Vec<Instruction>")]
pub struct Program(Vec<Op>);

/// `struct sock_filter` of `linux/filter.h`: code, jt, jf, k.
pub type Instruction = (u16, u8, u8, u32);

/// What a program decides about a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// `SECCOMP_RET_ALLOW`.
    Allow,
    /// `SECCOMP_RET_USER_NOTIF`: the listener answers; without one the kernel does, ENOSYS.
    Notify,
    /// `SECCOMP_RET_ERRNO`.
    Errno(u16),
    /// `SECCOMP_RET_KILL_PROCESS`.
    KillProcess,
}

/// `struct seccomp_data` of `linux/seccomp.h`: one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Data {
    /// System call number.
    pub nr: u32,
    /// `AUDIT_ARCH_*`.
    pub arch: u32,
    /// Address after the call instruction.
    pub ip: u64,
    /// Arguments, all registers.
    pub args: [u64; 6],
}

/// Why a program is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProgramError {
    /// Nothing, or more than the kernel takes.
    #[error("{0} instructions, 1 to {MAX_INSTRUCTIONS} are allowed")]
    Length(usize),
    /// An instruction outside the subset.
    #[error("instruction {0} is none that a filter of ours has")]
    Instruction(usize),
    /// A jump, or the end of the last instruction, leads out of the program.
    #[error("instruction {0} leads out of the program")]
    Target(usize),
}

/// One instruction. `A` is the accumulator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Op {
    /// `A = word`, counted in words of `seccomp_data`.
    Load(u8),
    /// `A &= k`.
    And(u32),
    /// Skips so many instructions.
    Jump(u32),
    /// Skips `then` instructions where `A compare k` holds, else `otherwise`.
    Branch {
        compare: Compare,
        k: u32,
        then: u8,
        otherwise: u8,
    },
    /// Ends.
    Return(Outcome),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compare {
    Equal,
    Greater,
    GreaterEqual,
    /// `A & k != 0`.
    AnyBit,
}

/// Words of `seccomp_data` before the arguments.
pub(super) const NR: u8 = 0;
pub(super) const ARCH: u8 = 1;
const WORDS: u8 = 16;

impl Program {
    pub(super) fn new(ops: Vec<Op>) -> Result<Program, ProgramError> {
        if !(1..=MAX_INSTRUCTIONS).contains(&ops.len()) {
            return Err(ProgramError::Length(ops.len()));
        }
        for (at, op) in ops.iter().enumerate() {
            let furthest = match *op {
                Op::Return(_) => continue,
                Op::Load(_) | Op::And(_) => 0,
                Op::Jump(skip) => skip as usize,
                Op::Branch {
                    then, otherwise, ..
                } => usize::from(then.max(otherwise)),
            };
            if furthest >= ops.len() - at - 1 {
                return Err(ProgramError::Target(at));
            }
        }
        Ok(Program(ops))
    }

    /// What the kernel would decide about a call.
    #[must_use]
    pub fn evaluate(&self, data: &Data) -> Outcome {
        let mut accumulator = 0;
        let mut at = 0;
        loop {
            match self.0[at] {
                Op::Load(word) => accumulator = data.word(word),
                Op::And(k) => accumulator &= k,
                Op::Jump(skip) => at += skip as usize,
                Op::Branch {
                    compare,
                    k,
                    then,
                    otherwise,
                } => {
                    let skip = if compare.holds(accumulator, k) {
                        then
                    } else {
                        otherwise
                    };
                    at += usize::from(skip);
                }
                Op::Return(outcome) => return outcome,
            }
            at += 1;
        }
    }

    pub(super) fn ops(&self) -> &[Op] {
        &self.0
    }

    /// As seccomp(2) takes it.
    pub(super) fn to_kernel(&self) -> Vec<libc::sock_filter> {
        let filter = |op: &Op| {
            let (code, jt, jf, k) = op.encode();
            libc::sock_filter { code, jt, jf, k }
        };
        self.0.iter().map(filter).collect()
    }
}

impl TryFrom<Vec<Instruction>> for Program {
    type Error = ProgramError;

    fn try_from(instructions: Vec<Instruction>) -> Result<Program, ProgramError> {
        let decode = |(at, instruction): (usize, &Instruction)| {
            Op::decode(*instruction).ok_or(ProgramError::Instruction(at))
        };
        Program::new(
            instructions
                .iter()
                .enumerate()
                .map(decode)
                .collect::<Result<_, _>>()?,
        )
    }
}

impl From<Program> for Vec<Instruction> {
    fn from(program: Program) -> Vec<Instruction> {
        program.0.iter().map(Op::encode).collect()
    }
}

impl Data {
    fn word(&self, word: u8) -> u32 {
        // Both architectures are little-endian: the low half of a field comes first.
        let half = |value: u64| (value >> (32 * (word % 2))) as u32;
        match word {
            NR => self.nr,
            ARCH => self.arch,
            2 | 3 => half(self.ip),
            _ => half(self.args[usize::from(word - 4) / 2]),
        }
    }
}

impl Compare {
    pub(super) fn holds(self, accumulator: u32, k: u32) -> bool {
        match self {
            Compare::Equal => accumulator == k,
            Compare::Greater => accumulator > k,
            Compare::GreaterEqual => accumulator >= k,
            Compare::AnyBit => accumulator & k != 0,
        }
    }
}

const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
const AND: u16 = (libc::BPF_ALU | libc::BPF_AND | libc::BPF_K) as u16;
const JUMP: u16 = (libc::BPF_JMP | libc::BPF_JA) as u16;
const EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
const GREATER: u16 = (libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K) as u16;
const GREATER_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K) as u16;
const ANY_BIT: u16 = (libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K) as u16;
const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;

impl Op {
    pub(super) fn decode((code, then, otherwise, k): Instruction) -> Option<Op> {
        let branch = |compare| {
            Some(Op::Branch {
                compare,
                k,
                then,
                otherwise,
            })
        };
        match code {
            LOAD if k % 4 == 0 && k / 4 < u32::from(WORDS) => Some(Op::Load((k / 4) as u8)),
            AND => Some(Op::And(k)),
            JUMP => Some(Op::Jump(k)),
            EQUAL => branch(Compare::Equal),
            GREATER => branch(Compare::Greater),
            GREATER_EQUAL => branch(Compare::GreaterEqual),
            ANY_BIT => branch(Compare::AnyBit),
            RETURN => Outcome::decode(k).map(Op::Return),
            _ => None,
        }
    }

    fn encode(&self) -> Instruction {
        match *self {
            Op::Load(word) => (LOAD, 0, 0, u32::from(word) * 4),
            Op::And(k) => (AND, 0, 0, k),
            Op::Jump(skip) => (JUMP, 0, 0, skip),
            Op::Branch {
                compare,
                k,
                then,
                otherwise,
            } => {
                let code = match compare {
                    Compare::Equal => EQUAL,
                    Compare::Greater => GREATER,
                    Compare::GreaterEqual => GREATER_EQUAL,
                    Compare::AnyBit => ANY_BIT,
                };
                (code, then, otherwise, k)
            }
            Op::Return(outcome) => (RETURN, 0, 0, outcome.encode()),
        }
    }
}

impl Outcome {
    fn decode(value: u32) -> Option<Outcome> {
        match value {
            libc::SECCOMP_RET_ALLOW => Some(Outcome::Allow),
            libc::SECCOMP_RET_USER_NOTIF => Some(Outcome::Notify),
            libc::SECCOMP_RET_KILL_PROCESS => Some(Outcome::KillProcess),
            _ if value & libc::SECCOMP_RET_ACTION_FULL == libc::SECCOMP_RET_ERRNO => {
                Some(Outcome::Errno(value as u16))
            }
            _ => None,
        }
    }

    fn encode(self) -> u32 {
        match self {
            Outcome::Allow => libc::SECCOMP_RET_ALLOW,
            Outcome::Notify => libc::SECCOMP_RET_USER_NOTIF,
            Outcome::Errno(errno) => libc::SECCOMP_RET_ERRNO | u32::from(errno),
            Outcome::KillProcess => libc::SECCOMP_RET_KILL_PROCESS,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ALLOW: Instruction = (RETURN, 0, 0, libc::SECCOMP_RET_ALLOW);

    #[test]
    fn a_jump_out_of_the_program_is_refused() {
        for hostile in [(JUMP, 0, 0, 1), (JUMP, 0, 0, u32::MAX), (EQUAL, 0, 1, 7)] {
            assert_eq!(
                Program::try_from(vec![hostile, ALLOW]),
                Err(ProgramError::Target(0))
            );
        }
        assert_eq!(
            Program::try_from(vec![(LOAD, 0, 0, 0)]),
            Err(ProgramError::Target(0))
        );
    }

    #[test]
    fn an_instruction_outside_the_subset_is_refused() {
        for hostile in [
            (LOAD, 0, 0, 2),
            (LOAD, 0, 0, 64),
            (0x80, 0, 0, 0),
            (RETURN, 0, 0, 0),
        ] {
            let program = Program::try_from(vec![hostile, ALLOW]);
            assert_eq!(program, Err(ProgramError::Instruction(0)), "{hostile:?}");
        }
    }

    #[test]
    fn a_program_of_no_or_too_many_instructions_is_refused() {
        assert_eq!(Program::try_from(vec![]), Err(ProgramError::Length(0)));
        let most = vec![ALLOW; MAX_INSTRUCTIONS + 1];
        assert_eq!(
            Program::try_from(most),
            Err(ProgramError::Length(MAX_INSTRUCTIONS + 1))
        );
    }

    proptest! {
        #[test]
        fn whatever_is_accepted_ends_and_round_trips(
            raw in prop::collection::vec(
                (prop::sample::select(vec![LOAD, AND, JUMP, EQUAL, GREATER, ANY_BIT, RETURN]),
                 0u8..4, 0u8..4, prop::sample::select(vec![0, 4, 1, 20, 0x7fff_0000])),
                1..40,
            ),
            args: [u64; 6],
        ) {
            if let Ok(program) = Program::try_from(raw.clone()) {
                let data = Data { nr: 1, arch: 2, ip: 3, args };
                let again = Program::try_from(Vec::from(program.clone())).unwrap();
                prop_assert_eq!(again.evaluate(&data), program.evaluate(&data));
                prop_assert_eq!(again, program);
            }
        }
    }
}
