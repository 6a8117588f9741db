//! From a profile to its program.
//!
//! The comparisons of arguments, 64 bits by two 32-bit halves, are seccompiler's. The
//! rest is ours, since a filter of seccompiler has two actions, no user notification,
//! no guard against x32, and forgets a rule without conditions beside one that has some.

use nix::errno::Errno;
use seccompiler::{BpfProgram, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompRule};

use super::arch::Arch;
use super::never::X32_BIT;
use super::profile::{self, Action, Condition, Profile, Rule, Width};
use super::program::{ARCH, Compare, NR, Op, Outcome, Program, ProgramError};

/// Why a profile has no program.
#[derive(Debug, thiserror::Error)]
pub enum CompileError {
    /// Too many rules for one filter.
    #[error("profile doesn't fit a filter: {0}")]
    Program(#[from] ProgramError),
    /// What the generator of conditions answered.
    #[error("condition can't be compiled: {0}")]
    Condition(#[from] seccompiler::BackendError),
}

impl Profile {
    /// The program that does what the profile says.
    ///
    /// # Errors
    /// [`CompileError::Program`] where it has more than 4096 instructions.
    pub fn compile(&self) -> Result<Program, CompileError> {
        let mut ops = prologue(self.arch);
        for (number, rules) in &self.rules {
            let body = self.body(rules)?;
            // A conditional jump skips 255 instructions at most, the body may be longer.
            ops.push(Op::Branch {
                compare: Compare::Equal,
                k: *number,
                then: 1,
                otherwise: 0,
            });
            ops.push(Op::Jump(body.len() as u32));
            ops.extend(body);
        }
        ops.push(Op::Return(self.default.outcome()));
        Ok(Program::new(ops)?)
    }

    /// The rules of one call, each falling through to the next.
    fn body(&self, rules: &[Rule]) -> Result<Vec<Op>, CompileError> {
        let mut ops = Vec::new();
        for rule in rules {
            ops.extend(conditions(&rule.conditions)?);
            ops.push(Op::Return(rule.action.outcome()));
        }
        if rules.last().is_none_or(|rule| !rule.conditions.is_empty()) {
            ops.push(Op::Return(self.default.outcome()));
        }
        Ok(ops)
    }
}

impl Action {
    /// What the kernel does; the listener makes the difference between the rest.
    pub(super) fn outcome(self) -> Outcome {
        match self {
            Action::Allow => Outcome::Allow,
            Action::NotifyLoading | Action::Refuse | Action::Kill => Outcome::Notify,
            Action::Errno(errno) => Outcome::Errno(errno as u16),
        }
    }
}

/// Foreign architectures are killed; x32 calls and numbers that no kernel known to us has
/// are ENOSYS. The number is left in the accumulator.
fn prologue(arch: Arch) -> Vec<Op> {
    let enosys = Op::Return(Outcome::Errno(Errno::ENOSYS as u16));
    let branch = |compare, k, then, otherwise| Op::Branch {
        compare,
        k,
        then,
        otherwise,
    };
    let mut ops = vec![
        Op::Load(ARCH),
        branch(Compare::Equal, arch.audit(), 1, 0),
        Op::Return(Outcome::KillProcess),
        Op::Load(NR),
    ];
    if arch == Arch::X86_64 {
        ops.extend([branch(Compare::AnyBit, X32_BIT, 0, 1), enosys]);
    }
    for (first, last) in gaps(arch) {
        ops.extend([
            branch(Compare::GreaterEqual, first, 0, 2),
            branch(Compare::Greater, last, 1, 0),
            enosys,
        ]);
    }
    ops
}

/// Ranges of numbers without a system call, both ends included.
fn gaps(arch: Arch) -> Vec<(u32, u32)> {
    let mut gaps = Vec::new();
    let mut next = 0;
    for (number, _) in arch.table() {
        if *number > next {
            gaps.push((next, number - 1));
        }
        next = number + 1;
    }
    gaps.push((next, u32::MAX));
    gaps
}

/// Falls through where all conditions hold, else skips one instruction beyond its end.
fn conditions(conditions: &[Condition]) -> Result<Vec<Op>, CompileError> {
    if conditions.is_empty() {
        return Ok(Vec::new());
    }
    let conditions = conditions.iter().map(condition).collect::<Result<_, _>>()?;
    let generated = BpfProgram::from(SeccompRule::new(conditions)?);
    // The first two are jumps that only seccompiler's own chain of rules needs.
    let decode = |(at, op): (usize, &seccompiler::sock_filter)| {
        Op::decode((op.code, op.jt, op.jf, op.k)).ok_or(ProgramError::Instruction(at))
    };
    Ok(generated
        .iter()
        .enumerate()
        .skip(2)
        .map(decode)
        .collect::<Result<_, _>>()?)
}

fn condition(condition: &Condition) -> Result<SeccompCondition, seccompiler::BackendError> {
    let width = match condition.width {
        Width::Int => SeccompCmpArgLen::Dword,
        Width::Long => SeccompCmpArgLen::Qword,
    };
    let op = match condition.op {
        profile::Op::Eq => SeccompCmpOp::Eq,
        profile::Op::Ne => SeccompCmpOp::Ne,
        profile::Op::Lt => SeccompCmpOp::Lt,
        profile::Op::Le => SeccompCmpOp::Le,
        profile::Op::Gt => SeccompCmpOp::Gt,
        profile::Op::Ge => SeccompCmpOp::Ge,
        profile::Op::MaskedEq(mask) => SeccompCmpOp::MaskedEq(mask),
    };
    SeccompCondition::new(condition.arg, width, op, condition.value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seccomp::{Data, Granted, Mode};
    use proptest::prelude::*;

    fn agrees(profile: &Profile, program: &Program, nr: u32, args: [u64; 6]) {
        let data = Data {
            nr,
            arch: profile.arch().audit(),
            ip: 0,
            args,
        };
        assert_eq!(
            program.evaluate(&data),
            profile.action(nr, &args).outcome(),
            "{data:x?}"
        );
    }

    #[test]
    fn a_foreign_architecture_is_killed() {
        let program = Profile::builtin(Mode::Strict, Arch::X86_64, Granted::NONE)
            .unwrap()
            .compile()
            .unwrap();
        let i386 = Data {
            nr: 20,
            arch: 0x4000_0003,
            ip: 0,
            args: [0; 6],
        };
        assert_eq!(program.evaluate(&i386), Outcome::KillProcess);
    }

    #[test]
    fn program_and_profile_agree_on_every_number() {
        for arch in Arch::ALL {
            let profile = Profile::builtin(Mode::Strict, arch, Granted::NONE).unwrap();
            let program = profile.compile().unwrap();
            for nr in (0..1024).chain([0x4000_0000, 0x4000_0001, u32::MAX]) {
                agrees(&profile, &program, nr, [0; 6]);
                agrees(&profile, &program, nr, [u64::MAX; 6]);
            }
        }
    }

    /// Every condition of a profile met exactly, missed by one, and off by the high half.
    #[test]
    fn program_and_profile_agree_around_every_value_of_a_condition() {
        for arch in Arch::ALL {
            let profile = Profile::builtin(Mode::Strict, arch, Granted::NONE).unwrap();
            let program = profile.compile().unwrap();
            for (nr, rules) in &profile.rules {
                for condition in rules.iter().flat_map(|rule| &rule.conditions) {
                    let value = condition.value;
                    for near in [
                        value,
                        value.wrapping_add(1),
                        value.wrapping_sub(1),
                        value ^ 1 << 32,
                        !value,
                    ] {
                        let mut args = [0; 6];
                        args[usize::from(condition.arg)] = near;
                        agrees(&profile, &program, *nr, args);
                    }
                }
            }
        }
    }

    fn any_condition() -> impl Strategy<Value = Condition> {
        let value = prop_oneof![0u64..4, any::<u64>(), Just(0x1_0000_0000), Just(u64::MAX)];
        (0u8..3, any::<bool>(), 0usize..7, value, any::<u64>()).prop_map(
            |(arg, int, op, value, mask)| {
                let limit = if int { u64::from(u32::MAX) } else { u64::MAX };
                let (mask, value) = (mask & limit, value & limit);
                use profile::Op::{Eq, Ge, Gt, Le, Lt, MaskedEq, Ne};
                let op = [Eq, Ne, Lt, Le, Gt, Ge, MaskedEq(mask)][op];
                let value = if op == MaskedEq(mask) {
                    value & mask
                } else {
                    value
                };
                let width = if int { Width::Int } else { Width::Long };
                Condition {
                    arg,
                    width,
                    op,
                    value,
                }
            },
        )
    }

    proptest! {
        #[test]
        fn program_and_profile_agree_on_any_rules(
            rules in prop::collection::vec(prop::collection::vec(any_condition(), 0..12), 1..6),
            args in prop::array::uniform6(prop_oneof![0u64..5, any::<u64>(), 0xffff_fffe_u64..0x1_0000_0004]),
        ) {
            let actions = [Action::Allow, Action::Kill, Action::Errno(Errno::EINVAL)];
            let rules = rules.into_iter().zip(actions.into_iter().cycle());
            let rules: Vec<Rule> = rules
                .map(|(conditions, action)| Rule { conditions, action, reason: String::new(), origin: String::new() })
                .collect();
            let profile = Profile {
                arch: Arch::X86_64,
                default: Action::Errno(Errno::EPERM),
                rules: [(1, rules.clone()), (7, rules)].into(),
            };
            let program = profile.compile().unwrap();
            for nr in [0, 1, 7, 8] {
                agrees(&profile, &program, nr, args);
            }
        }
    }
}
