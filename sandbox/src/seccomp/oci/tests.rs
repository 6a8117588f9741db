//! What an operator's profile means, what of it is cut, and what is no profile.

use super::*;
use crate::seccomp::{Data, Mode, Notification, Outcome, Phase, Verdict};

/// Of the kind that container engines come with.
const CONTAINER: &str = include_str!("container.json");
const KERNEL: Kernel = Kernel {
    major: 6,
    minor: 12,
};

fn parse(json: &str) -> Result<Custom, OciError> {
    Custom::parse(json, Arch::X86_64, KERNEL)
}

fn custom(default: &str, entries: &str) -> Custom {
    parse(&profile(default, entries)).unwrap()
}

fn profile(default: &str, entries: &str) -> String {
    format!("{{ \"defaultAction\": \"SCMP_ACT_{default}\", \"syscalls\": [{entries}] }}")
}

impl Custom {
    fn of(&self, call: &str, args: &[u64]) -> Action {
        let mut all = [0; 6];
        all[..args.len()].copy_from_slice(args);
        let nr = Arch::X86_64.number(call).unwrap();
        let action = self.profile.action(nr, &all);
        let arch = Arch::X86_64.audit();
        let outcome = self.program.evaluate(&Data {
            nr,
            arch,
            ip: 0,
            args: all,
        });
        assert_eq!(outcome, action.outcome(), "{call}{args:x?}");
        action
    }

    fn cuts(&self) -> Vec<&str> {
        self.cuts.iter().map(|cut| cut.calls).collect()
    }

    fn resolved(&self) -> Vec<String> {
        self.resolved.iter().map(Resolved::to_string).collect()
    }
}

#[test]
fn a_container_profile_keeps_its_meaning() {
    let custom = parse(CONTAINER).unwrap();

    for (call, args, action) in [
        ("execve", &[][..], Action::Allow),
        ("socket", &[2, 1, 0], Action::Allow),
        ("socket", &[40, 1, 0], Action::Refuse),
        ("clone", &[17], Action::Allow),
        ("clone", &[0x1000_0000 | 17], Action::Refuse),
        ("clone3", &[], Action::Errno(Errno::ENOSYS)),
        ("modify_ldt", &[], Action::Allow),
        ("reboot", &[], Action::Refuse),
        ("swapon", &[], Action::Refuse),
        ("personality", &[0xffff_ffff], Action::Allow),
    ] {
        assert_eq!(custom.of(call, args), action, "{call}{args:x?}");
    }
}

#[test]
fn what_the_never_list_forbids_is_cut_and_listed_with_its_reason() {
    let custom = parse(CONTAINER).unwrap();

    assert_eq!(
        custom.cuts(),
        [
            "ptrace",
            "process_vm_readv",
            "process_vm_writev",
            "openat2",
            "socket(AF_UNIX)",
            "socket(AF_NETLINK)",
            "socket(AF_ALG)",
            "socket(AF_VSOCK)",
            "chmod(S_ISUID)",
            "chmod(S_ISGID)",
            "clone(another exit signal than SIGCHLD)",
            "personality",
        ]
    );
    let cut = custom.cuts[0].to_string();
    assert_eq!(cut, "ptrace is cut: reads or drives another process");
    assert!(custom.cuts.iter().all(|cut| !cut.why.is_empty()));
    assert_eq!(custom.of("ptrace", &[]), Action::Kill);
    assert_eq!(custom.of("socket", &[16, 3, 0]), Action::Refuse);
    assert_eq!(custom.of("personality", &[8]), Action::Kill);
}

/// libseccomp compares 64 bits where the kernel reads 32: a high bit passes `NE 40`.
#[test]
fn a_high_bit_doesnt_slip_past_the_never_list() {
    let custom = parse(CONTAINER).unwrap();
    assert_eq!(custom.of("socket", &[1 << 32 | 40, 1, 0]), Action::Refuse);
    assert_eq!(custom.of("socket", &[1 << 32 | 2, 1, 0]), Action::Allow);
}

#[test]
fn what_depends_on_circumstances_is_listed() {
    let custom = parse(CONTAINER).unwrap();

    assert_eq!(
        custom.resolved(),
        [
            "archMap: SCMP_ARCH_X86: its calls stay shut",
            "archMap: SCMP_ARCH_X32: its calls stay shut",
            "archMap: SCMP_ARCH_AARCH64: its calls stay shut",
            "archMap: SCMP_ARCH_ARM: its calls stay shut",
            "syscalls[0].names: _llseek isn't a call of this architecture and kernel",
            "syscalls[0].names: socketcall isn't a call of this architecture and kernel",
            "syscalls[0].names: stat64 isn't a call of this architecture and kernel",
            "syscalls[5].includes.arches: doesn't apply to this architecture",
            "syscalls[5].names: sync_file_range2 isn't a call of this architecture and kernel",
            "syscalls[7].includes.caps: doesn't apply, no worker has CAP_SYS_ADMIN over the host",
            "syscalls[9].includes.arches: doesn't apply to this architecture",
            "syscalls[11].includes.caps: doesn't apply, no worker has CAP_SYS_BOOT over the host",
            "syscalls[12].includes.caps: doesn't apply, no worker has CAP_SYS_MODULE over the host",
        ]
    );
    let on_arm = Custom::parse(CONTAINER, Arch::Aarch64, KERNEL).unwrap();
    let shown = on_arm.resolved();
    let lacks_vfork = "syscalls[0].names: vfork isn't a call of this architecture and kernel";
    assert!(shown.iter().any(|line| line == lacks_vfork), "{shown:?}");
}

#[test]
fn a_condition_never_becomes_unconditional() {
    let entry = |circumstances: &str| {
        let names = "\"names\": [\"swapon\"], \"action\": \"SCMP_ACT_ALLOW\"";
        custom("ERRNO", &format!("{{ {names}, {circumstances} }}")).of("swapon", &[])
    };
    for (circumstances, action) in [
        (
            "\"includes\": { \"caps\": [\"CAP_CHOWN\"] }",
            Action::Refuse,
        ),
        ("\"excludes\": { \"caps\": [\"CAP_CHOWN\"] }", Action::Allow),
        ("\"includes\": { \"arches\": [\"amd64\"] }", Action::Allow),
        ("\"includes\": { \"arches\": [\"arm64\"] }", Action::Refuse),
        ("\"excludes\": { \"arches\": [\"amd64\"] }", Action::Refuse),
        ("\"excludes\": { \"arches\": [\"arm64\"] }", Action::Allow),
        ("\"includes\": { \"minKernel\": \"6.12\" }", Action::Allow),
        ("\"includes\": { \"minKernel\": \"6.13\" }", Action::Refuse),
        ("\"excludes\": { \"minKernel\": \"6.12\" }", Action::Refuse),
        ("\"excludes\": { \"minKernel\": \"6.13\" }", Action::Allow),
    ] {
        assert_eq!(entry(circumstances), action, "{circumstances}");
    }
}

#[test]
fn a_profile_that_refuses_everything_still_lets_a_worker_load_and_serve() {
    let entry = "{ \"names\": [\"read\", \"openat\", \"mmap\", \"exit_group\"], \
                 \"action\": \"SCMP_ACT_KILL_PROCESS\" }";
    let custom = custom("KILL_PROCESS", entry);
    let strict = Profile::builtin(Mode::Strict, Arch::X86_64, Default::default()).unwrap();

    for (number, rule) in strict.rules() {
        let loads = matches!(rule.action, Action::Allow | Action::NotifyLoading);
        let unconditional = rule.conditions.is_empty();
        if loads && unconditional {
            let action = custom.profile.action(number, &[0; 6]);
            assert_eq!(action, rule.action, "{:?}", Arch::X86_64.syscall(number));
        }
    }
    assert_eq!(custom.of("openat", &[0, 0, 0x80000]), Action::NotifyLoading);
    assert_eq!(custom.of("openat", &[0, 0, 0x41]), Action::Kill);
    assert_eq!(custom.of("mmap", &[0, 1, 5, 2]), Action::NotifyLoading);
    assert_eq!(custom.of("mmap", &[0, 1, 7, 2]), Action::Kill);
    assert_eq!(custom.of("socket", &[]), Action::Kill);
}

#[test]
fn what_strict_answers_without_a_denial_is_answered_so_unless_the_profile_says_otherwise() {
    let entry = |action| format!("{{ \"name\": \"sysinfo\", \"action\": \"SCMP_ACT_{action}\" }}");
    for (profile, action) in [
        (custom("ERRNO", ""), Action::Errno(Errno::ENOSYS)),
        (custom("ERRNO", &entry("ALLOW")), Action::Allow),
        (custom("ERRNO", &entry("KILL_PROCESS")), Action::Kill),
        (custom("ALLOW", ""), Action::Allow),
    ] {
        assert_eq!(profile.of("sysinfo", &[]), action);
    }
}

#[test]
fn what_loading_needs_is_no_more_than_that_unless_the_profile_allows_it() {
    let entry = "{ \"name\": \"openat\", \"action\": \"SCMP_ACT_ALLOW\" }";
    assert_eq!(custom("ERRNO", entry).of("openat", &[]), Action::Allow);
    assert_eq!(custom("ALLOW", "").of("openat", &[]), Action::Allow);
    let refusing = custom("ERRNO", "");
    let nr = Arch::X86_64.number("openat").unwrap();
    let call = Notification {
        id: 1,
        tid: 1,
        nr,
        arch: Arch::X86_64.audit(),
        ip: 0,
        args: [0; 6],
    };
    let judge = |phase| refusing.profile.judge(&call, phase);
    assert_eq!(judge(Phase::Loading), Verdict::Continue);
    assert_eq!(judge(Phase::Serving), Verdict::Refuse(Errno::EPERM));
}

#[test]
fn the_most_restrictive_of_rules_that_overlap_decides() {
    let allow = "{ \"names\": [\"swapon\"], \"action\": \"SCMP_ACT_ALLOW\" }";
    let refuse = "{ \"names\": [\"swapon\"], \"action\": \"SCMP_ACT_ERRNO\", \"errnoRet\": 22, \
                  \"args\": [{ \"index\": 1, \"value\": 3, \"op\": \"SCMP_CMP_GE\" }] }";
    let kill = "{ \"names\": [\"swapon\"], \"action\": \"SCMP_ACT_KILL\", \
                \"args\": [{ \"index\": 1, \"value\": 5, \"op\": \"SCMP_CMP_EQ\" }] }";
    let custom = custom("ERRNO", &[allow, refuse, kill].join(","));
    let with = |arg| custom.of("swapon", &[0, arg]);
    assert_eq!(with(2), Action::Allow);
    assert_eq!(with(3), Action::Errno(Errno::EINVAL));
    assert_eq!(with(5), Action::Kill);
}

#[test]
fn allowing_by_default_is_cut_to_the_never_list_as_permissive_is() {
    let custom = custom("ALLOW", "");
    let permissive = Profile::builtin(Mode::Permissive, Arch::X86_64, Default::default()).unwrap();
    assert!(custom.cuts.len() > 40, "{:?}", custom.cuts());
    for (number, name) in Arch::X86_64.table() {
        let here = custom.profile.action(*number, &[0; 6]);
        assert_eq!(here, permissive.action(*number, &[0; 6]), "{name}");
    }
}

#[test]
fn foreign_abis_and_unknown_numbers_stay_shut() {
    let custom = custom("ALLOW", "");
    let outcome = |nr, arch| {
        let args = [0; 6];
        custom.program.evaluate(&Data {
            nr,
            arch,
            ip: 0,
            args,
        })
    };
    let ours = Arch::X86_64.audit();
    let enosys = Outcome::Errno(Errno::ENOSYS as u16);
    assert_eq!(outcome(20, 0x4000_0003), Outcome::KillProcess);
    assert_eq!(outcome(0x4000_0000, ours), enosys);
    assert_eq!(outcome(9999, ours), enosys);
}

fn error(json: &str) -> String {
    parse(json).unwrap_err().to_string()
}

#[test]
fn what_cant_be_meant_is_an_error_that_names_its_field() {
    let entry = |fields: &str| profile("ERRNO", &format!("{{ {fields} }}"));
    let act = "\"action\": \"SCMP_ACT_ALLOW\"";
    let args = |args: &str| entry(&format!("\"name\": \"read\", {act}, \"args\": [{args}]"));
    let root = |fields: &str| format!("{{ \"defaultAction\": \"SCMP_ACT_ALLOW\", {fields} }}");
    for (json, part) in [
        (
            entry(&format!("\"names\": [\"raed\"], {act}")),
            "syscalls[0].names: there is no system call \"raed\"",
        ),
        (
            entry(&format!("\"names\": [], {act}")),
            "syscalls[0].names: an entry has either",
        ),
        (
            entry(&format!("\"name\": \"read\", \"names\": [\"read\"], {act}")),
            "an entry has either",
        ),
        (
            entry(&format!("\"name\": \"read\", \"when\": 1, {act}")),
            "unknown field `when`",
        ),
        (
            entry("\"name\": \"read\", \"action\": \"SCMP_ACT_MAYBE\""),
            "unknown variant `SCMP_ACT_MAYBE`",
        ),
        (
            entry("\"name\": \"read\", \"action\": \"SCMP_ACT_TRAP\""),
            "syscalls[0].action: SCMP_ACT_TRAP leaves",
        ),
        (
            entry("\"name\": \"read\", \"action\": \"SCMP_ACT_TRACE\""),
            "SCMP_ACT_TRACE needs",
        ),
        (
            entry("\"name\": \"read\", \"action\": \"SCMP_ACT_LOG\""),
            "SCMP_ACT_LOG lets",
        ),
        (
            entry("\"name\": \"read\", \"action\": \"SCMP_ACT_NOTIFY\""),
            "the listener is the supervisor's",
        ),
        (
            entry(&format!("\"name\": \"read\", {act}, \"errnoRet\": 1")),
            "syscalls[0].errnoRet: an errno belongs",
        ),
        (
            entry("\"name\": \"read\", \"action\": \"SCMP_ACT_ERRNO\", \"errnoRet\": 0"),
            "0 is no errno",
        ),
        (
            entry(&format!(
                "\"name\": \"read\", {act}, \"includes\": {{ \"caps\": [\"CAP_FLY\"] }}"
            )),
            "includes.caps: there is no capability \"CAP_FLY\"",
        ),
        (
            entry(&format!(
                "\"name\": \"read\", {act}, \"excludes\": {{ \"arches\": [\"vax\"] }}"
            )),
            "excludes.arches: there is no architecture \"vax\"",
        ),
        (
            entry(&format!(
                "\"name\": \"read\", {act}, \"includes\": {{ \"minKernel\": \"new\" }}"
            )),
            "includes.minKernel: \"new\" is no kernel version",
        ),
        (
            entry(&format!(
                "\"name\": \"read\", {act}, \"includes\": {{ \"maxKernel\": \"5.0\" }}"
            )),
            "unknown field `maxKernel`",
        ),
        (
            args("{ \"index\": 6, \"value\": 0, \"op\": \"SCMP_CMP_EQ\" }"),
            "syscalls[0].args[0]: arguments are numbered",
        ),
        (
            args("{ \"index\": 0, \"value\": 0, \"op\": \"SCMP_CMP_IN\" }"),
            "unknown variant `SCMP_CMP_IN`",
        ),
        (
            args("{ \"index\": 0, \"value\": -1, \"op\": \"SCMP_CMP_EQ\" }"),
            "invalid value: integer `-1`",
        ),
        (
            args("{ \"index\": 0, \"value\": 1, \"valueTwo\": 2, \"op\": \"SCMP_CMP_MASKED_EQ\" }"),
            "valueTwo has bits",
        ),
        (
            args("{ \"index\": 0, \"value\": 1, \"valueTwo\": 2, \"op\": \"SCMP_CMP_EQ\" }"),
            "valueTwo belongs",
        ),
        (
            args(
                "{ \"index\": 2, \"value\": 1, \"op\": \"SCMP_CMP_GE\" }, { \"index\": 2, \"value\": 9, \"op\": \"SCMP_CMP_LE\" }",
            ),
            "syscalls[0].args[1]: argument 2 has two conditions",
        ),
        (
            root("\"architectures\": [\"SCMP_ARCH_ARM\"]"),
            "architectures: the profile isn't for x86_64",
        ),
        (
            root("\"architectures\": [\"SCMP_ARCH_VAX\"]"),
            "there is no architecture \"SCMP_ARCH_VAX\"",
        ),
        (
            root(
                "\"architectures\": [\"SCMP_ARCH_X86_64\"], \"archMap\": [{ \"architecture\": \"SCMP_ARCH_X86_64\" }]",
            ),
            "exclude each other",
        ),
        (
            root("\"flags\": [\"SECCOMP_FILTER_FLAG_SPEC_ALLOW\"]"),
            "speculation control",
        ),
        (
            root("\"flags\": [\"SECCOMP_FILTER_FLAG_FAST\"]"),
            "there is no flag",
        ),
        (
            root("\"listenerPath\": \"/run/x\""),
            "listenerPath: the listener is",
        ),
        (
            root("\"defaultErrnoRet\": 1"),
            "defaultErrnoRet: an errno belongs",
        ),
        (root("\"default\": 1"), "unknown field `default`"),
        ("{}".into(), "missing field `defaultAction`"),
    ] {
        let shown = error(&json);
        assert!(shown.contains(part), "{shown}\n  for {json}");
    }
}

#[test]
fn what_is_malformed_is_located() {
    let json =
        "{\n  \"defaultAction\": \"SCMP_ACT_ERRNO\",\n  \"syscalls\": [{ \"colour\": 1 }]\n}";
    assert!(
        error(json).contains("at line 3 column 25"),
        "{}",
        error(json)
    );
}

#[test]
fn a_name_of_any_architecture_and_only_such_a_name_is_known() {
    use crate::seccomp::arch::known_elsewhere;
    for name in [
        "read",
        "socketcall",
        "s390_sthyi",
        "sync_file_range2",
        "arch_prctl",
    ] {
        assert!(known_elsewhere(name), "{name}");
    }
    for name in ["", "raed", "READ", "read ", "newer"] {
        assert!(!known_elsewhere(name), "{name}");
    }
}
