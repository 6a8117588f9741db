//! Profile files: TOML, strict. What can't be resolved is an error with its line.

use std::collections::BTreeMap;

use nix::errno::Errno;
use serde::Deserialize;
use toml::Spanned;

use super::arch::Arch;
use super::profile::{Action, Condition, Op, Profile, Rule, Width};

/// Why a profile file is refused.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// Not TOML, a field that doesn't exist, or one that is missing.
    #[error("profile is malformed: {0}")]
    Syntax(#[from] toml::de::Error),
    /// A system call that the architecture doesn't have.
    #[error("profile line {line}: {arch} has no system call {name:?}")]
    Syscall {
        /// Where, from 1.
        line: usize,
        /// Of the profile.
        arch: Arch,
        /// As written.
        name: String,
    },
    /// A rule without system calls does nothing.
    #[error("profile line {line}: the rule names no system call")]
    Empty {
        /// Where, from 1.
        line: usize,
    },
    /// An earlier rule of the call decides wherever this one would.
    #[error("profile line {line}: an earlier rule for {name} leaves nothing to this one")]
    Unreachable {
        /// Where, from 1.
        line: usize,
        /// The system call.
        name: String,
    },
    /// A condition that can't be meant.
    #[error("profile line {line}: {problem}")]
    Condition {
        /// Where, from 1.
        line: usize,
        /// What is wrong with it.
        problem: ConditionProblem,
    },
}

/// What is wrong with a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ConditionProblem {
    /// System calls have six.
    #[error("arguments are numbered 0 to 5")]
    Argument,
    /// Beyond 32 bits.
    #[error("an int is compared with at most 32 bits")]
    Width,
    /// The comparison could never hold.
    #[error("the value has bits outside the mask")]
    OutsideMask,
    /// `mask` belongs to `masked-eq`, and to it alone.
    #[error("masked-eq needs a mask, and no other comparison takes one")]
    Mask,
    /// More than a rule can need.
    #[error("a rule has at most {MAX_CONDITIONS} conditions")]
    TooMany,
}

/// Six arguments, a range each. Also keeps every jump of a compiled rule within the
/// 255 instructions that a conditional jump can skip.
const MAX_CONDITIONS: usize = 12;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    arch: Arch,
    default: ActionName,
    #[serde(default)]
    rule: Vec<RuleEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleEntry {
    syscalls: Spanned<Vec<Spanned<String>>>,
    #[serde(default)]
    when: Vec<Spanned<ConditionEntry>>,
    action: ActionName,
    reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ConditionEntry {
    arg: u8,
    width: Width,
    op: Comparison,
    value: i64,
    mask: Option<i64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Comparison {
    Eq,
    Ne,
    Lt,
    Le,
    Gt,
    Ge,
    MaskedEq,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum ActionName {
    Allow,
    NotifyLoading,
    Refuse,
    Kill,
    Errno(ErrnoName),
}

/// The errors that a filter may answer with.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
enum ErrnoName {
    Eperm,
    Eacces,
    Einval,
    Enotty,
    Enosys,
}

impl Profile {
    /// Reads a profile file.
    ///
    /// # Errors
    /// The first thing that can't be resolved, with its line.
    pub fn parse(text: &str) -> Result<Profile, ProfileError> {
        let document: Document = toml::from_str(text)?;
        let line_of = |start: usize| 1 + text[..start].matches('\n').count();
        let mut rules: BTreeMap<u32, Vec<Rule>> = BTreeMap::new();
        for entry in document.rule {
            let start = line_of(entry.syscalls.span().start);
            if entry.syscalls.get_ref().is_empty() {
                return Err(ProfileError::Empty { line: start });
            }
            if entry.when.len() > MAX_CONDITIONS {
                let problem = ConditionProblem::TooMany;
                return Err(ProfileError::Condition {
                    line: start,
                    problem,
                });
            }
            let condition = |entry: &Spanned<ConditionEntry>| {
                entry.get_ref().resolve().map_err(|problem| {
                    let line = line_of(entry.span().start);
                    ProfileError::Condition { line, problem }
                })
            };
            let rule = Rule {
                conditions: entry.when.iter().map(condition).collect::<Result<_, _>>()?,
                action: entry.action.resolve(),
                reason: entry.reason,
            };
            for name in entry.syscalls.into_inner() {
                let line = line_of(name.span().start);
                let name = name.into_inner();
                let arch = document.arch;
                let Some(number) = arch.number(&name) else {
                    return Err(ProfileError::Syscall { line, arch, name });
                };
                let earlier = rules.entry(number).or_default();
                if earlier.iter().any(|earlier| earlier.covers(&rule)) {
                    return Err(ProfileError::Unreachable { line, name });
                }
                earlier.push(rule.clone());
            }
        }
        Ok(Profile {
            arch: document.arch,
            default: document.default.resolve(),
            rules,
        })
    }
}

impl Rule {
    /// Whether every condition of this rule is also one of the later rule's, so that
    /// this one matches wherever the later would.
    fn covers(&self, later: &Rule) -> bool {
        self.conditions
            .iter()
            .all(|condition| later.conditions.contains(condition))
    }
}

impl ConditionEntry {
    fn resolve(&self) -> Result<Condition, ConditionProblem> {
        if self.arg > 5 {
            return Err(ConditionProblem::Argument);
        }
        let value = self.width.truncate(self.value)?;
        let mask = self
            .mask
            .map(|mask| self.width.truncate(mask))
            .transpose()?;
        let op = match (&self.op, mask) {
            (Comparison::MaskedEq, Some(mask)) if value & !mask == 0 => Op::MaskedEq(mask),
            (Comparison::MaskedEq, Some(_)) => return Err(ConditionProblem::OutsideMask),
            (Comparison::MaskedEq, None) | (_, Some(_)) => return Err(ConditionProblem::Mask),
            (Comparison::Eq, None) => Op::Eq,
            (Comparison::Ne, None) => Op::Ne,
            (Comparison::Lt, None) => Op::Lt,
            (Comparison::Le, None) => Op::Le,
            (Comparison::Gt, None) => Op::Gt,
            (Comparison::Ge, None) => Op::Ge,
        };
        Ok(Condition {
            arg: self.arg,
            width: self.width,
            op,
            value,
        })
    }
}

impl Width {
    /// The register's bits for a number as written; negative ones in two's complement.
    fn truncate(self, value: i64) -> Result<u64, ConditionProblem> {
        match self {
            Width::Long => Ok(value as u64),
            Width::Int => u32::try_from(value)
                .or_else(|_| i32::try_from(value).map(|value| value as u32))
                .map(u64::from)
                .map_err(|_| ConditionProblem::Width),
        }
    }
}

impl ActionName {
    fn resolve(self) -> Action {
        match self {
            ActionName::Allow => Action::Allow,
            ActionName::NotifyLoading => Action::NotifyLoading,
            ActionName::Refuse => Action::Refuse,
            ActionName::Kill => Action::Kill,
            ActionName::Errno(name) => Action::Errno(match name {
                ErrnoName::Eperm => Errno::EPERM,
                ErrnoName::Eacces => Errno::EACCES,
                ErrnoName::Einval => Errno::EINVAL,
                ErrnoName::Enotty => Errno::ENOTTY,
                ErrnoName::Enosys => Errno::ENOSYS,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seccomp::Mode;

    fn error_of(rules: &str) -> String {
        let text = format!("arch = \"x86_64\"\ndefault = \"refuse\"\n{rules}");
        Profile::parse(&text).unwrap_err().to_string()
    }

    #[test]
    fn every_builtin_profile_is_read() {
        for arch in Arch::ALL {
            assert_eq!(Profile::builtin(Mode::Strict, arch).unwrap().arch(), arch);
            assert_eq!(Profile::init(arch).unwrap().arch(), arch);
        }
    }

    #[test]
    fn an_unknown_system_call_is_named_with_its_line() {
        let rule = "[[rule]]\nsyscalls = [\n  \"read\",\n  \"raed\",\n]\naction = \"allow\"\nreason = \"\"";
        assert_eq!(
            error_of(rule),
            "profile line 6: x86_64 has no system call \"raed\""
        );
    }

    #[test]
    fn an_unknown_field_is_named_with_its_line() {
        let rule = "[[rule]]\nsyscalls = [\"read\"]\naction = \"allow\"\nreason = \"\"\nunless = 1";
        let error = error_of(rule);
        assert!(
            error.contains("line 7") && error.contains("`unless`"),
            "{error}"
        );
    }

    #[test]
    fn a_rule_without_a_reason_is_refused() {
        let error = error_of("[[rule]]\nsyscalls = [\"read\"]\naction = \"allow\"");
        assert!(error.contains("`reason`"), "{error}");
    }

    #[test]
    fn a_rule_that_an_earlier_one_covers_is_refused() {
        let rule = "[[rule]]\nsyscalls = [\"read\"]\naction = \"allow\"\nreason = \"\"\n";
        let error = error_of(&format!("{rule}{rule}"));
        assert_eq!(
            error,
            "profile line 8: an earlier rule for read leaves nothing to this one"
        );
    }

    #[test]
    fn a_condition_that_cannot_be_meant_is_refused() {
        for (condition, problem) in [
            (
                "arg = 6, width = \"int\", op = \"eq\", value = 0",
                ConditionProblem::Argument,
            ),
            (
                "arg = 0, width = \"int\", op = \"eq\", value = 0x100000000",
                ConditionProblem::Width,
            ),
            (
                "arg = 0, width = \"int\", op = \"eq\", value = 0, mask = 1",
                ConditionProblem::Mask,
            ),
            (
                "arg = 0, width = \"int\", op = \"masked-eq\", value = 0",
                ConditionProblem::Mask,
            ),
            (
                "arg = 0, width = \"int\", op = \"masked-eq\", value = 2, mask = 1",
                ConditionProblem::OutsideMask,
            ),
        ] {
            let error = error_of(&format!(
                "[[rule]]\nsyscalls = [\"read\"]\naction = \"allow\"\nreason = \"\"\nwhen = [{{ {condition} }}]"
            ));
            assert_eq!(error, format!("profile line 7: {problem}"));
        }
    }
}
