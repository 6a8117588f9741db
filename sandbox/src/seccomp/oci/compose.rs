//! A custom profile: the never-list, what a worker needs, and the operator's rules.

use std::collections::BTreeMap;

use super::resolve::Rules;
use super::{Cut, OciError};
use crate::seccomp::BuiltinError;
use crate::seccomp::arch::Arch;
use crate::seccomp::document::ProfileError;
use crate::seccomp::never;
use crate::seccomp::profile::{Action, Profile, Rule};

/// The whole profile, and what the never-list took from it.
pub(super) fn compose(arch: Arch, custom: Rules) -> Result<(Profile, Vec<Cut>), OciError> {
    let never = Profile::never(arch).map_err(broken)?;
    let uncut = over_core(arch, custom)?;
    let cuts = never::found(&uncut.compile()?)
        .into_iter()
        .map(|found| Cut {
            calls: found.label,
            why: found
                .example(arch)
                .and_then(|(number, args)| never.rule(number, &args))
                .map_or_else(String::new, |rule| rule.reason.clone()),
        })
        .collect();
    let mut whole = Profile {
        arch,
        default: uncut.default,
        rules: BTreeMap::new(),
    };
    for (number, rule) in never.rules().chain(uncut.rules()) {
        whole.push(number, rule.clone());
    }
    Ok((whole, cuts))
}

/// The operator's rules, behind those by which a worker loads and serves.
fn over_core(arch: Arch, custom: Rules) -> Result<Profile, OciError> {
    let core = Profile::core(arch).map_err(broken)?;
    let mut profile = Profile {
        arch,
        default: custom.default,
        rules: BTreeMap::new(),
    };
    let serves = |rule: &Rule| rule.action == Action::Allow;
    for (number, rule) in core.rules().filter(|(_, rule)| serves(rule)) {
        profile.push(number, rule.clone());
    }
    let mut rules = custom.rules;
    rules.sort_by_key(|(_, rule)| std::cmp::Reverse(rule.action.rank()));
    for (number, rule) in rules {
        if rule.action != Action::Allow {
            // Of what it refuses, loading still needs some.
            let known = core.rules.get(&number).into_iter().flatten();
            for loads in known.filter(|rule| rule.action == Action::NotifyLoading) {
                profile.push(number, both(loads, &rule));
            }
        }
        profile.push(number, rule);
    }
    if custom.default != Action::Allow {
        for (number, rule) in core.rules().filter(|(_, rule)| !serves(rule)) {
            profile.push(number, rule.clone());
        }
    }
    Ok(profile)
}

/// The first rule, narrowed to what the second matches.
fn both(first: &Rule, second: &Rule) -> Rule {
    let mut rule = first.clone();
    rule.conditions.extend(&second.conditions);
    rule
}

fn broken(error: ProfileError) -> OciError {
    OciError::BuiltIn(Box::new(BuiltinError::from(error)))
}
