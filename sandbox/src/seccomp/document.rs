//! Profile files: TOML, strict. What can't be resolved is an error with its line.

use std::collections::BTreeMap;

use nix::errno::Errno;
use serde::Deserialize;
use toml::Spanned;

use super::arch::Arch;
use super::builtin::Base;
use super::mode::{Grant, Granted};
use super::profile::{Action, Condition, Op, Profile, Rule, Width};

/// Why a profile file is refused.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// Not TOML, a field that doesn't exist, or one that is missing.
    #[error("profile {file} is malformed: {source}")]
    Syntax {
        /// The file.
        file: String,
        /// Where and what.
        source: toml::de::Error,
    },
    /// A rule that can't be meant.
    #[error("profile {file}, line {line}: {problem}")]
    Rule {
        /// The file.
        file: String,
        /// Where, from 1.
        line: usize,
        /// What is wrong with it.
        problem: RuleProblem,
    },
    /// Neither the file nor one that it stands on says what happens to all other calls.
    #[error("profile {0} has no default")]
    Default(String),
    /// A file stands on one that isn't narrower, or is for another architecture.
    #[error("profile {0} can't stand on its base")]
    Base(String),
}

/// What is wrong with a rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleProblem {
    /// A system call that the architecture doesn't have.
    #[error("{arch} has no system call {name:?}")]
    Syscall {
        /// Of the profile.
        arch: Arch,
        /// As written.
        name: String,
    },
    /// A rule without system calls does nothing.
    #[error("the rule names no system call")]
    Empty,
    /// An earlier rule of the call decides wherever this one would.
    #[error("an earlier rule for {0} leaves nothing to this one")]
    Unreachable(String),
    /// A condition that can't be meant.
    #[error(transparent)]
    Condition(#[from] ConditionProblem),
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
    /// `mask` belongs to `masked-eq` and `masked-ne`, and to them alone.
    #[error("masked-eq and masked-ne need a mask, and no other comparison takes one")]
    Mask,
    /// `values` belongs to `any-of`, `value` to all others.
    #[error("any-of needs values, every other comparison one value")]
    Values,
    /// More than a rule can need.
    #[error("a rule has at most {MAX_CONDITIONS} conditions and {MAX_ALTERNATIVES} alternatives")]
    TooMany,
}

/// Six arguments, a range each. Also keeps every jump of a compiled rule within the
/// 255 instructions that a conditional jump can skip.
const MAX_CONDITIONS: usize = 12;
/// What `any-of`, `any-bit` and `masked-ne` make of one rule.
const MAX_ALTERNATIVES: usize = 64;

/// A profile file by itself, its names resolved.
pub(super) struct File {
    name: String,
    arch: Arch,
    base: Option<Base>,
    default: Option<Action>,
    rules: Vec<(u32, Granted, Rule)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    arch: Arch,
    base: Option<Base>,
    default: Option<ActionName>,
    #[serde(default)]
    rule: Vec<RuleEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleEntry {
    syscalls: Spanned<Vec<Spanned<String>>>,
    grant: Option<Grant>,
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
    value: Option<i64>,
    values: Option<Vec<i64>>,
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
    MaskedNe,
    Within,
    AnyOf,
    AnyBit,
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
    /// Makes one profile of files, each before the one that it stands on, with those rules
    /// that wait for nothing but what was granted.
    pub(super) fn of_files(files: &[File], granted: Granted) -> Result<Profile, ProfileError> {
        let name = || {
            files
                .first()
                .map_or_else(String::new, |file| file.name.clone())
        };
        let arch = files.first().map(|file| file.arch);
        let default = files.iter().find_map(|file| file.default);
        let (Some(arch), Some(default)) = (arch, default) else {
            return Err(ProfileError::Default(name()));
        };
        let mut profile = Profile {
            arch,
            default,
            rules: BTreeMap::new(),
        };
        for file in files {
            if file.arch != arch {
                return Err(ProfileError::Base(name()));
            }
            for (number, needed, rule) in &file.rules {
                if granted.covers(*needed) {
                    profile.push(*number, rule.clone());
                }
            }
        }
        Ok(profile)
    }
}

impl File {
    /// Reads one file; `name` is named in errors.
    pub(super) fn read(name: &str, text: &str) -> Result<File, ProfileError> {
        let syntax = |source| ProfileError::Syntax {
            file: name.to_owned(),
            source,
        };
        let document: Document = toml::from_str(text).map_err(syntax)?;
        let mut file = File {
            name: name.to_owned(),
            arch: document.arch,
            base: document.base,
            default: document.default.map(ActionName::resolve),
            rules: Vec::new(),
        };
        for entry in document.rule {
            file.add(text, entry)
                .map_err(|(at, problem)| ProfileError::Rule {
                    file: name.to_owned(),
                    line: line(text, at),
                    problem,
                })?;
        }
        Ok(file)
    }

    /// What it stands on, and for which architecture.
    pub(super) fn base(&self) -> Option<(Base, Arch)> {
        self.base.map(|base| (base, self.arch))
    }

    /// Adds a rule for each of its calls and alternatives; an error tells its offset.
    fn add(&mut self, text: &str, entry: RuleEntry) -> Result<(), (usize, RuleProblem)> {
        let start = entry.syscalls.span().start;
        if entry.syscalls.get_ref().is_empty() {
            return Err((start, RuleProblem::Empty));
        }
        let needed: Granted = entry.grant.into_iter().collect();
        let alternatives = alternatives(&entry).map_err(|(at, problem)| (at, problem.into()))?;
        let origin = format!("{}:{}", self.name, line(text, start));
        for name in entry.syscalls.into_inner() {
            let at = name.span().start;
            let name = name.into_inner();
            let Some(number) = self.arch.number(&name) else {
                let arch = self.arch;
                return Err((at, RuleProblem::Syscall { arch, name }));
            };
            for conditions in &alternatives {
                let rule = Rule {
                    conditions: conditions.clone(),
                    action: entry.action.resolve(),
                    reason: entry.reason.clone(),
                    origin: origin.clone(),
                };
                let covers = |(earlier, waits, other): &(u32, Granted, Rule)| {
                    *earlier == number && needed.covers(*waits) && other.covers(&rule)
                };
                if self.rules.iter().any(covers) {
                    return Err((at, RuleProblem::Unreachable(name)));
                }
                self.rules.push((number, needed, rule));
            }
        }
        Ok(())
    }
}

fn line(text: &str, offset: usize) -> usize {
    1 + text[..offset].matches('\n').count()
}

/// The lists of conditions of which one must hold as a whole.
fn alternatives(entry: &RuleEntry) -> Result<Vec<Vec<Condition>>, (usize, ConditionProblem)> {
    let start = entry.syscalls.span().start;
    if entry.when.len() > MAX_CONDITIONS {
        return Err((start, ConditionProblem::TooMany));
    }
    let mut alternatives = vec![Vec::new()];
    for condition in &entry.when {
        let at = condition.span().start;
        let choices = condition
            .get_ref()
            .resolve()
            .map_err(|problem| (at, problem))?;
        if alternatives.len() * choices.len() > MAX_ALTERNATIVES {
            return Err((start, ConditionProblem::TooMany));
        }
        alternatives = alternatives
            .iter()
            .flat_map(|before: &Vec<Condition>| {
                let with = |choice: &Condition| before.iter().chain([choice]).copied().collect();
                choices.iter().map(with).collect::<Vec<_>>()
            })
            .collect();
    }
    Ok(alternatives)
}

impl ConditionEntry {
    /// The conditions of which one must hold.
    fn resolve(&self) -> Result<Vec<Condition>, ConditionProblem> {
        if self.arg > 5 {
            return Err(ConditionProblem::Argument);
        }
        if self.mask.is_some() != matches!(self.op, Comparison::MaskedEq | Comparison::MaskedNe) {
            return Err(ConditionProblem::Mask);
        }
        let values = match (&self.op, &self.values, self.value) {
            (Comparison::AnyOf, Some(values), None) if !values.is_empty() => values.clone(),
            (Comparison::AnyOf, ..) | (_, Some(_), _) | (_, _, None) => {
                return Err(ConditionProblem::Values);
            }
            (_, None, Some(value)) => vec![value],
        };
        let mut conditions = Vec::new();
        for value in values {
            let value = self.width.truncate(value)?;
            conditions.extend(
                self.comparisons(value)?
                    .into_iter()
                    .map(|(op, value)| Condition {
                        arg: self.arg,
                        width: self.width,
                        op,
                        value,
                    }),
            );
        }
        Ok(conditions)
    }

    fn comparisons(&self, value: u64) -> Result<Vec<(Op, u64)>, ConditionProblem> {
        let mask = self
            .mask
            .map(|mask| self.width.truncate(mask))
            .transpose()?;
        Ok(match (&self.op, mask) {
            (Comparison::MaskedEq, Some(mask)) if value & !mask == 0 => {
                vec![(Op::MaskedEq(mask), value)]
            }
            (Comparison::MaskedNe, Some(mask)) if value & !mask == 0 => bits(mask)
                .map(|bit| (Op::MaskedEq(bit), !value & bit))
                .collect(),
            (Comparison::MaskedEq | Comparison::MaskedNe, _) => {
                return Err(ConditionProblem::OutsideMask);
            }
            (Comparison::Eq | Comparison::AnyOf, _) => vec![(Op::Eq, value)],
            (Comparison::Ne, _) => vec![(Op::Ne, value)],
            (Comparison::Lt, _) => vec![(Op::Lt, value)],
            (Comparison::Le, _) => vec![(Op::Le, value)],
            (Comparison::Gt, _) => vec![(Op::Gt, value)],
            (Comparison::Ge, _) => vec![(Op::Ge, value)],
            (Comparison::Within, _) => vec![(Op::MaskedEq(self.width.all() & !value), 0)],
            (Comparison::AnyBit, _) => bits(value).map(|bit| (Op::MaskedEq(bit), bit)).collect(),
        })
    }
}

/// The ones of a number, the lowest first.
fn bits(number: u64) -> impl Iterator<Item = u64> {
    (0..u64::BITS)
        .map(move |bit| number & 1 << bit)
        .filter(|bit| *bit != 0)
}

impl Width {
    /// The bits that the kernel reads.
    fn all(self) -> u64 {
        match self {
            Width::Int => u32::MAX.into(),
            Width::Long => u64::MAX,
        }
    }

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
mod tests;
