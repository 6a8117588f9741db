//! What a filter means: rules per system call, conditions on arguments, actions.

use std::collections::BTreeMap;
use std::fmt;

use nix::errno::Errno;
use serde::Deserialize;

use super::arch::Arch;

/// Which system calls one process may make, and what the others get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    pub(super) arch: Arch,
    pub(super) default: Action,
    /// By number; per call the first rule that matches decides.
    pub(super) rules: BTreeMap<u32, Vec<Rule>>,
}

/// What happens to one system call where its arguments meet all conditions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// All must hold; empty: whatever the arguments are.
    pub conditions: Vec<Condition>,
    /// What happens.
    pub action: Action,
    /// Why the rule stands in the profile.
    pub reason: String,
    /// Where it stands: file and line, or field.
    pub origin: String,
}

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// The kernel runs it, nobody hears of it.
    Allow,
    /// The listener hears of it; it goes on while the plugin loads, and is refused later.
    NotifyLoading,
    /// The listener hears of it and refuses it with EPERM.
    Refuse,
    /// The listener hears of it and kills.
    Kill,
    /// The kernel refuses it so; not a denial, nobody hears of it.
    Errno(Errno),
}

/// A test of one argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Condition {
    /// Index of the argument, 0 to 5.
    pub arg: u8,
    /// How much of the register the kernel reads.
    pub width: Width,
    /// The comparison.
    pub op: Op,
    /// What the argument is compared with, unsigned.
    pub value: u64,
}

/// How much of an argument's register the kernel reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Width {
    /// The low 32 bits.
    Int,
    /// All 64.
    Long,
}

/// A comparison, unsigned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// Equal.
    Eq,
    /// Not equal.
    Ne,
    /// Less.
    Lt,
    /// Less or equal.
    Le,
    /// Greater.
    Gt,
    /// Greater or equal.
    Ge,
    /// `argument & mask == value`.
    MaskedEq(u64),
}

impl Profile {
    /// Puts a rule behind those of its call, unless one of them leaves nothing to it.
    pub(super) fn push(&mut self, number: u32, rule: Rule) {
        let rules = self.rules.entry(number).or_default();
        if !rules.iter().any(|earlier| earlier.covers(&rule)) {
            rules.push(rule);
        }
    }

    /// The architecture that the profile is for.
    #[must_use]
    pub fn arch(&self) -> Arch {
        self.arch
    }

    /// What happens to a call of this architecture.
    #[must_use]
    pub fn action(&self, number: u32, args: &[u64; 6]) -> Action {
        if self.arch.syscall(number).is_none() {
            return Action::Errno(Errno::ENOSYS);
        }
        self.rule(number, args)
            .map_or(self.default, |rule| rule.action)
    }

    /// Whether a call goes through with any arguments at all, while loading at least.
    #[must_use]
    pub fn may_pass(&self, name: &str) -> bool {
        let passes = |action| matches!(action, Action::Allow | Action::NotifyLoading);
        let Some(number) = self.arch.number(name) else {
            return false;
        };
        let rules = self.rules.get(&number).map_or(&[][..], Vec::as_slice);
        passes(self.default) || rules.iter().any(|rule| passes(rule.action))
    }

    /// The rule that decides about a call; none: the default does.
    #[must_use]
    pub fn rule(&self, number: u32, args: &[u64; 6]) -> Option<&Rule> {
        self.rules
            .get(&number)?
            .iter()
            .find(|rule| rule.matches(args))
    }

    /// Every rule with its system call's number, in the order in which they decide.
    pub fn rules(&self) -> impl Iterator<Item = (u32, &Rule)> {
        self.rules
            .iter()
            .flat_map(|(number, rules)| rules.iter().map(|rule| (*number, rule)))
    }

    /// What happens to a call that no rule names.
    #[must_use]
    pub fn default_action(&self) -> Action {
        self.default
    }
}

impl Rule {
    /// Whether every condition of this rule is also one of the later rule's, so that
    /// this one matches wherever the later would.
    pub(super) fn covers(&self, later: &Rule) -> bool {
        self.conditions
            .iter()
            .all(|condition| later.conditions.contains(condition))
    }

    pub(super) fn matches(&self, args: &[u64; 6]) -> bool {
        self.conditions
            .iter()
            .all(|condition| condition.holds(args))
    }
}

impl Condition {
    pub(super) fn holds(&self, args: &[u64; 6]) -> bool {
        let register = args[usize::from(self.arg)];
        let argument = match self.width {
            Width::Int => register & u64::from(u32::MAX),
            Width::Long => register,
        };
        match self.op {
            Op::Eq => argument == self.value,
            Op::Ne => argument != self.value,
            Op::Lt => argument < self.value,
            Op::Le => argument <= self.value,
            Op::Gt => argument > self.value,
            Op::Ge => argument >= self.value,
            Op::MaskedEq(mask) => argument & mask == self.value,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::Allow => f.write_str("allow"),
            Action::NotifyLoading => f.write_str("allow while loading"),
            Action::Refuse => f.write_str("refuse"),
            Action::Kill => f.write_str("kill"),
            Action::Errno(errno) => write!(f, "{errno:?}"),
        }
    }
}

impl fmt::Display for Condition {
    /// `argument 1 & 0xff00 = 0x2100`, arguments from 0.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "argument {}", self.arg)?;
        if self.width == Width::Int {
            f.write_str(" (int)")?;
        }
        let op = match self.op {
            Op::MaskedEq(mask) => {
                write!(f, " & {mask:#x}")?;
                "="
            }
            Op::Eq => "=",
            Op::Ne => "≠",
            Op::Lt => "<",
            Op::Le => "≤",
            Op::Gt => ">",
            Op::Ge => "≥",
        };
        write!(f, " {op} {:#x}", self.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seccomp::{Granted, Mode};

    const NO_ARGS: [u64; 6] = [0; 6];

    fn strict(call: &str, args: [u64; 6]) -> Action {
        let profile = Profile::builtin(Mode::Strict, Arch::X86_64, Granted::NONE).unwrap();
        profile.action(Arch::X86_64.number(call).unwrap(), &args)
    }

    #[test]
    fn an_unnamed_call_is_refused() {
        for call in [
            "socket", "connect", "execve", "execveat", "fork", "vfork", "kill", "open",
        ] {
            assert_eq!(strict(call, NO_ARGS), Action::Refuse, "{call}");
        }
    }

    #[test]
    fn conditions_and_actions_are_readable() {
        let profile = Profile::builtin(Mode::Strict, Arch::X86_64, Granted::NONE).unwrap();
        let ioctl = &profile.rules[&Arch::X86_64.number("ioctl").unwrap()];
        let shown = |rule: &Rule| format!("{}: {}", rule.conditions[0], rule.action);
        let lines: Vec<_> = ioctl.iter().map(shown).collect();
        assert_eq!(lines[0], "argument 1 (int) = 0x5401: ENOTTY");
        assert_eq!(lines[3], "argument 1 (int) & 0xff00 = 0x2100: kill");
    }

    #[test]
    fn an_unknown_number_is_enosys() {
        let profile = Profile::builtin(Mode::Strict, Arch::X86_64, Granted::NONE).unwrap();
        for number in [9999, 400, u32::MAX, 0x4000_0000] {
            assert_eq!(
                profile.action(number, &NO_ARGS),
                Action::Errno(Errno::ENOSYS)
            );
        }
    }

    #[test]
    fn an_int_is_compared_on_its_low_half_and_a_long_on_both() {
        let high = 1 << 32;
        assert_eq!(strict("prctl", [high | 22, 0, 0, 0, 0, 0]), Action::Kill);
        assert_eq!(
            strict("ioctl", [0, high | 0x5412, 0, 0, 0, 0]),
            Action::Refuse
        );
        assert_eq!(strict("clone", [0x3d_0f00, 0, 0, 0, 0, 0]), Action::Allow);
        assert_eq!(
            strict("clone", [high | 0x3d_0f00, 0, 0, 0, 0, 0]),
            Action::Refuse
        );
    }

    #[test]
    fn code_is_mapped_while_loading_alone_and_never_writable() {
        let mmap = |prot, flags| strict("mmap", [0, 4096, prot, flags, 3, 0]);
        assert_eq!(mmap(3, 0x22), Action::Allow);
        assert_eq!(mmap(5, 0x02), Action::NotifyLoading);
        assert_eq!(mmap(5, 0x22), Action::Refuse);
        assert_eq!(mmap(7, 0x02), Action::Refuse);
        assert_eq!(strict("mprotect", [0, 4096, 5, 0, 0, 0]), Action::Refuse);
    }
}
