//! What profile files may say, and what is refused.

use super::*;
use crate::seccomp::Mode;

fn error_of(rules: &str) -> String {
    let text = format!("arch = \"x86_64\"\ndefault = \"refuse\"\n{rules}");
    Profile::parse("test.toml", &text, Granted::NONE)
        .unwrap_err()
        .to_string()
}

#[test]
fn every_builtin_profile_is_read() {
    for arch in Arch::ALL {
        for mode in Mode::ALL {
            for granted in [Granted::NONE, Grant::ALL.into_iter().collect()] {
                let profile = Profile::builtin(mode, arch, granted).unwrap();
                assert_eq!(profile.arch(), arch);
            }
        }
        assert_eq!(Profile::init(arch).unwrap().arch(), arch);
    }
}

#[test]
fn an_unknown_system_call_is_named_with_its_line() {
    let rule =
        "[[rule]]\nsyscalls = [\n  \"read\",\n  \"raed\",\n]\naction = \"allow\"\nreason = \"\"";
    assert_eq!(
        error_of(rule),
        "profile test.toml, line 6: x86_64 has no system call \"raed\""
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
        "profile test.toml, line 8: an earlier rule for read leaves nothing to this one"
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
        (
            "arg = 0, width = \"int\", op = \"any-of\", value = 2",
            ConditionProblem::Values,
        ),
        (
            "arg = 0, width = \"int\", op = \"any-of\", values = []",
            ConditionProblem::Values,
        ),
        (
            "arg = 0, width = \"int\", op = \"within\", values = [2]",
            ConditionProblem::Values,
        ),
    ] {
        let error = error_of(&format!(
            "[[rule]]\nsyscalls = [\"read\"]\naction = \"allow\"\nreason = \"\"\nwhen = [{{ {condition} }}]"
        ));
        assert_eq!(error, format!("profile test.toml, line 7: {problem}"));
    }
}

fn decides(when: &str, grant: &str, granted: Granted, arg: u64) -> bool {
    let text = format!(
        "arch = \"x86_64\"\ndefault = \"refuse\"\n[[rule]]\nsyscalls = [\"read\"]\n{grant}\n\
         when = [{{ arg = 1, {when} }}]\naction = \"allow\"\nreason = \"\""
    );
    let profile = Profile::parse("test.toml", &text, granted).unwrap();
    profile.rule(0, &[0, arg, 0, 0, 0, 0]).is_some()
}

#[test]
fn within_holds_where_no_other_bit_is_set() {
    let within = |width: &str, arg| {
        let when = format!("width = \"{width}\", op = \"within\", value = 0x41");
        decides(&when, "", Granted::NONE, arg)
    };
    for arg in [0, 1, 0x40, 0x41] {
        assert!(within("int", arg) && within("long", arg));
    }
    assert!(!within("int", 2) && !within("int", 0x43));
    assert!(within("int", 1 << 32) && !within("long", 1 << 32));
}

#[test]
fn any_of_any_bit_and_masked_ne_hold_where_one_does() {
    let masked_ne = "width = \"int\", op = \"masked-ne\", mask = 0xf, value = 0xa";
    let any_of = "width = \"int\", op = \"any-of\", values = [2, 10]";
    let any_bit = "width = \"int\", op = \"any-bit\", value = 0xa";
    for (when, arg, holds) in [
        (any_of, 2, true),
        (any_of, 10, true),
        (any_of, 8, false),
        (any_bit, 8, true),
        (any_bit, 0xff, true),
        (any_bit, 5, false),
        (masked_ne, 0xb, true),
        (masked_ne, 2, true),
        (masked_ne, 0x1a, false),
    ] {
        assert_eq!(
            decides(when, "", Granted::NONE, arg),
            holds,
            "{when}, {arg}"
        );
    }
}

#[test]
fn a_rule_stands_only_where_its_grant_was_given() {
    let when = "width = \"int\", op = \"eq\", value = 1";
    let jit = [Grant::Jit].into_iter().collect();
    assert!(decides(when, "grant = \"jit\"", jit, 1));
    assert!(!decides(when, "grant = \"files\"", jit, 1));
    assert!(!decides(when, "grant = \"jit\"", Granted::NONE, 1));
}

#[test]
fn rules_of_a_file_come_before_those_that_it_stands_on() {
    let text = "arch = \"x86_64\"\nbase = \"strict\"\n[[rule]]\nsyscalls = [\"openat\"]\n\
                action = \"allow\"\nreason = \"\"";
    let profile = Profile::parse("test.toml", text, Granted::NONE).unwrap();
    let action = |call| profile.action(Arch::X86_64.number(call).unwrap(), &[0; 6]);
    assert_eq!(action("openat"), Action::Allow);
    assert_eq!(action("pread64"), Action::NotifyLoading);
    assert_eq!(action("ptrace"), Action::Kill);
    assert_eq!(action("socket"), Action::Refuse);
}

#[test]
fn a_file_without_a_default_or_for_another_architecture_than_its_base_is_refused() {
    let parse = |text| Profile::parse("test.toml", text, Granted::NONE).map(drop);
    assert!(matches!(
        parse("arch = \"x86_64\""),
        Err(ProfileError::Default(_))
    ));
    assert!(parse("arch = \"aarch64\"\nbase = \"basic\"").is_ok());
}
