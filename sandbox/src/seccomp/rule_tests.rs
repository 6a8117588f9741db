//! Every rule of every profile put to the test: calls are generated for each, and a rule or
//! a condition whose absence no generated call notices is reported.
//!
//! For each rule there is one call that it decides about and, for each of its conditions,
//! one that fails that condition alone. Profile and interpreter must agree on all of
//! them; interpreter and kernel are compared in `sandbox/tests/seccomp.rs`. A wider profile
//! may leave nothing to a rule that it stands on: one profile that needs it is enough.

use std::collections::{BTreeMap, BTreeSet};

use super::profile::{Condition, Op, Profile, Rule, Width};
use super::{Action, Arch, Data, Grant, Granted, Mode};

type Args = [u64; 6];

/// Nothing, each grant alone, all but each, and everything.
fn grants() -> Vec<Granted> {
    let all = || Grant::ALL.into_iter();
    let mut sets = vec![Granted::NONE, all().collect()];
    for grant in all() {
        sets.push([grant].into_iter().collect());
        sets.push(all().filter(|other| *other != grant).collect());
    }
    sets
}

fn profiles(arch: Arch) -> Vec<(String, Profile)> {
    let mut profiles = vec![("init".to_owned(), Profile::init(arch).unwrap())];
    for mode in Mode::ALL {
        for granted in grants() {
            let names: Vec<_> = granted.iter().map(Grant::name).collect();
            let name = format!("{mode} with {names:?} on {arch}");
            profiles.push((name, Profile::builtin(mode, arch, granted).unwrap()));
        }
    }
    profiles
}

/// Values of one argument around what the call's conditions on it compare with.
fn candidates(rules: &[Rule], arg: u8) -> BTreeSet<u64> {
    let mut values = BTreeSet::from([0, u64::MAX]);
    let conditions = rules.iter().flat_map(|rule| &rule.conditions);
    for condition in conditions.filter(|condition| condition.arg == arg) {
        let value = condition.value;
        values.extend([value, value.wrapping_add(1), value.wrapping_sub(1)]);
        values.extend([value ^ 1 << 32, value ^ 1]);
        if let Op::MaskedEq(mask) = condition.op {
            // The lowest and highest bit that must be as they are, and one that needn't.
            values.extend([value ^ mask & mask.wrapping_neg(), value | !mask]);
            values.extend([value ^ highest(mask), !mask & 0xffff]);
        }
    }
    // What no other rule's masks match: one rule's met, and each of them missed.
    let other = unmatched(rules, arg);
    for rule in rules {
        let masks = masks(rule, arg);
        let met = masks
            .iter()
            .fold(other, |met, (mask, value)| met & !mask | value);
        values.insert(met);
        values.extend(masks.iter().map(|(mask, _)| met ^ highest(*mask)));
    }
    values
}

/// The masked comparisons of a rule with one argument.
fn masks(rule: &Rule, arg: u8) -> Vec<(u64, u64)> {
    let of = |condition: &Condition| match condition.op {
        Op::MaskedEq(mask) if condition.arg == arg => Some((mask, condition.value)),
        _ => None,
    };
    rule.conditions.iter().filter_map(of).collect()
}

/// A value that none of the rules with masks matches, where it is easily found.
fn unmatched(rules: &[Rule], arg: u8) -> u64 {
    let all: Vec<_> = rules.iter().map(|rule| masks(rule, arg)).collect();
    let matches = |masks: &&Vec<(u64, u64)>, value| {
        !masks.is_empty() && masks.iter().all(|(mask, wanted)| value & mask == *wanted)
    };
    rules.iter().fold(0, |value, _| {
        let matching = all.iter().find(|masks| matches(masks, value));
        let last = matching.and_then(|masks| masks.last());
        last.map_or(value, |(mask, _)| value ^ highest(*mask))
    })
}

/// The highest bit of a mask.
fn highest(mask: u64) -> u64 {
    1 << (63 - mask.leading_zeros() % 64)
}

/// A call that this rule decides about, and about which the others would decide otherwise.
fn witness(rules: &[Rule], at: usize, default: Action) -> Option<Args> {
    let mut others = rules.to_vec();
    let rule = others.remove(at);
    search(rules, &rule.conditions, |args| {
        let reached = !rules[..at].iter().any(|rule| rule.matches(args));
        reached && action(&others, default, args) != rule.action
    })
}

/// A call that fails this condition of the rule alone, and is decided otherwise.
fn beyond(rules: &[Rule], at: usize, missed: usize, default: Action) -> Option<Args> {
    let mut others = rules[at].conditions.clone();
    let missed = others.remove(missed);
    search(rules, &others, |args| {
        let reached = !rules[..at].iter().any(|rule| rule.matches(args));
        reached && !missed.holds(args) && action(rules, default, args) != rules[at].action
    })
}

/// Arguments that meet the conditions and `wanted`, tried from the candidates of each.
fn search(rules: &[Rule], must: &[Condition], wanted: impl Fn(&Args) -> bool) -> Option<Args> {
    let choices: Vec<Vec<u64>> = (0..6)
        .map(|arg| {
            let holds = |value: &u64| {
                let mut args = [0; 6];
                args[usize::from(arg)] = *value;
                must.iter().filter(|c| c.arg == arg).all(|c| c.holds(&args))
            };
            candidates(rules, arg).into_iter().filter(holds).collect()
        })
        .collect();
    let constrained = |arg: &usize| {
        let named = |rule: &Rule| rule.conditions.iter().any(|c| usize::from(c.arg) == *arg);
        rules.iter().any(named)
    };
    let mut calls = vec![[0; 6]];
    for arg in (0..6).filter(constrained) {
        calls = calls
            .into_iter()
            .flat_map(|call: Args| {
                choices[arg].iter().map(move |value| {
                    let mut call = call;
                    call[arg] = *value;
                    call
                })
            })
            .collect();
        assert!(calls.len() < 1_000_000, "too many conditions on one call");
    }
    calls.into_iter().find(|call| wanted(call))
}

/// The generated calls of one system call, with what the profile says of each.
fn generate(profile: &Profile, number: u32, rules: &[Rule]) -> Vec<(Args, Action)> {
    let default = profile.default;
    let mut calls = Vec::new();
    for (at, rule) in rules.iter().enumerate() {
        calls.extend(witness(rules, at, default));
        let missed =
            (0..rule.conditions.len()).filter_map(|missed| beyond(rules, at, missed, default));
        calls.extend(missed);
    }
    calls
        .into_iter()
        .map(|args| (args, profile.action(number, &args)))
        .collect()
}

/// What rules say of a call.
fn action(rules: &[Rule], default: Action, args: &Args) -> Action {
    let decides = rules.iter().find(|rule| rule.matches(args));
    decides.map_or(default, |rule| rule.action)
}

/// A rule or a condition of it, for a person.
fn describe(arch: Arch, number: u32, rule: &Rule, condition: Option<&Condition>) -> String {
    let call = arch.syscall(number).unwrap_or("?");
    match condition {
        None => format!("{}: {call}, {:?}", rule.origin, rule.conditions),
        Some(condition) => format!("{}: {call}, condition {condition:?}", rule.origin),
    }
}

/// Adds every part of these rules to `parts`, `true` where a generated call needs it.
fn weigh(profile: &Profile, number: u32, rules: &[Rule], parts: &mut BTreeMap<String, bool>) {
    let calls = generate(profile, number, rules);
    let noticed = |changed: &[Rule]| {
        calls
            .iter()
            .any(|(args, expected)| action(changed, profile.default, args) != *expected)
    };
    for (at, rule) in rules.iter().enumerate() {
        let mut without = rules.to_vec();
        without.remove(at);
        let part = describe(profile.arch, number, rule, None);
        *parts.entry(part).or_default() |= noticed(&without);
        for (missing, condition) in rule.conditions.iter().enumerate() {
            let mut wider = rules.to_vec();
            wider[at].conditions.remove(missing);
            let part = describe(profile.arch, number, rule, Some(condition));
            *parts.entry(part).or_default() |= noticed(&wider);
        }
    }
}

#[test]
fn no_rule_and_no_condition_is_without_effect() {
    let mut parts = BTreeMap::new();
    for (_, profile) in Arch::ALL.into_iter().flat_map(profiles) {
        for (number, rules) in &profile.rules {
            weigh(&profile, *number, rules, &mut parts);
        }
    }
    assert!(parts.len() > 500, "{} parts", parts.len());
    let useless: Vec<_> = parts.iter().filter(|(_, needed)| !**needed).collect();
    assert!(useless.is_empty(), "no test needs these: {useless:#?}");
}

#[test]
fn program_and_profile_agree_on_every_generated_call() {
    for (name, profile) in Arch::ALL.into_iter().flat_map(profiles) {
        let program = profile.compile().unwrap();
        for (number, rules) in &profile.rules {
            for (args, expected) in generate(&profile, *number, rules) {
                let data = Data {
                    nr: *number,
                    arch: profile.arch.audit(),
                    ip: 0,
                    args,
                };
                let outcome = program.evaluate(&data);
                assert_eq!(outcome, expected.outcome(), "{name}: {data:x?}");
            }
        }
    }
}

/// The check itself, on a profile with a rule too many and a condition too many.
#[test]
fn a_useless_rule_and_a_useless_condition_are_found() {
    let rule = |conditions: &[Condition], action| Rule {
        conditions: conditions.to_vec(),
        action,
        reason: String::new(),
        origin: format!("{action:?}"),
    };
    let is = |arg, value| Condition {
        arg,
        width: Width::Int,
        op: Op::Eq,
        value,
    };
    let profile = Profile {
        arch: Arch::X86_64,
        default: Action::Refuse,
        rules: BTreeMap::from([
            (0, vec![rule(&[is(0, 1)], Action::Refuse)]),
            (1, vec![rule(&[is(0, 1)], Action::Allow)]),
        ]),
    };
    let mut parts = BTreeMap::new();
    for (number, rules) in &profile.rules {
        weigh(&profile, *number, rules, &mut parts);
    }
    let needed: Vec<_> = parts.values().copied().collect();
    assert_eq!(needed, [true, true, false, false], "{parts:#?}");
}
