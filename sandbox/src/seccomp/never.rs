//! The never-list: calls that no policy may grant, whatever its profile says.

use super::arch::Arch;
use super::program::Program;
use super::reach::{Bits, Calls};

/// Calls that are never allowed, with whatever arguments.
const CALLS: &[&str] = &[
    "seccomp",
    "ptrace",
    "process_vm_readv",
    "process_vm_writev",
    "pidfd_getfd",
    "bpf",
    "perf_event_open",
    "userfaultfd",
    "io_uring_setup",
    "io_uring_enter",
    "io_uring_register",
    "keyctl",
    "add_key",
    "request_key",
    "mount",
    "umount2",
    "pivot_root",
    "chroot",
    "open_tree",
    "open_tree_attr",
    "move_mount",
    "fsopen",
    "fsconfig",
    "fsmount",
    "fspick",
    "mount_setattr",
    "open_by_handle_at",
    "unshare",
    "setns",
    "clone3",
    "openat2",
    "memfd_create",
    "memfd_secret",
    "io_setup",
    "kexec_load",
    "kexec_file_load",
    "create_module",
    "init_module",
    "finit_module",
    "delete_module",
];

/// Calls that are never allowed where the low half of an argument agrees with
/// `value` in the bits of `mask`.
const CASES: &[Case] = &[
    Case::exactly("prctl(PR_SET_SECCOMP)", "prctl", 0, 22),
    Case::exactly("prctl(PR_SET_DUMPABLE)", "prctl", 0, 4),
    Case::exactly("prctl(PR_SET_PTRACER)", "prctl", 0, 0x5961_6d61),
    Case::exactly("socket(AF_UNIX)", "socket", 0, 1),
    Case::exactly("socket(AF_NETLINK)", "socket", 0, 16),
    Case::exactly("socket(AF_ALG)", "socket", 0, 38),
    Case::exactly("socket(AF_VSOCK)", "socket", 0, 40),
    Case::exactly("ioctl(TIOCSTI)", "ioctl", 1, 0x5412),
    Case::exactly("ioctl(TIOCLINUX)", "ioctl", 1, 0x541c),
    Case::masked("ioctl(SECCOMP_IOCTL_NOTIF_*)", "ioctl", 1, 0xff00, 0x2100),
    Case::bit("chmod(S_ISUID)", "chmod", 1, 0o4000),
    Case::bit("chmod(S_ISGID)", "chmod", 1, 0o2000),
    Case::bit("fchmod(S_ISUID)", "fchmod", 1, 0o4000),
    Case::bit("fchmod(S_ISGID)", "fchmod", 1, 0o2000),
    Case::bit("fchmodat(S_ISUID)", "fchmodat", 2, 0o4000),
    Case::bit("fchmodat(S_ISGID)", "fchmodat", 2, 0o2000),
    Case::bit("clone(CLONE_NEWNS)", "clone", 0, 0x0002_0000),
    Case::bit("clone(CLONE_NEWCGROUP)", "clone", 0, 0x0200_0000),
    Case::bit("clone(CLONE_NEWUTS)", "clone", 0, 0x0400_0000),
    Case::bit("clone(CLONE_NEWIPC)", "clone", 0, 0x0800_0000),
    Case::bit("clone(CLONE_NEWUSER)", "clone", 0, 0x1000_0000),
    Case::bit("clone(CLONE_NEWPID)", "clone", 0, 0x2000_0000),
    Case::bit("clone(CLONE_NEWNET)", "clone", 0, 0x4000_0000),
];

/// In the flags of `clone`.
const CLONE_THREAD: u32 = 0x1_0000;
const SIGCHLD: u32 = 17;

struct Case {
    label: &'static str,
    call: &'static str,
    arg: usize,
    bits: Bits,
}

impl Case {
    const fn masked(
        label: &'static str,
        call: &'static str,
        arg: usize,
        mask: u32,
        value: u32,
    ) -> Case {
        Case {
            label,
            call,
            arg,
            bits: Bits::masked(mask, value),
        }
    }

    const fn exactly(label: &'static str, call: &'static str, arg: usize, value: u32) -> Case {
        Case::masked(label, call, arg, u32::MAX, value)
    }

    const fn bit(label: &'static str, call: &'static str, arg: usize, bit: u32) -> Case {
        Case::masked(label, call, arg, bit, bit)
    }
}

/// Set in `AUDIT_ARCH_*` of every 64-bit architecture.
const AUDIT_64BIT: u32 = 0x8000_0000;
/// Set in the numbers of x32 calls.
pub(super) const X32_BIT: u32 = 0x4000_0000;

/// What of the never-list a program allows for some arguments: nothing, in a program that
/// may be installed. Certain for every call, not a sample, so a program from an untrusted
/// hand can be held against it.
#[must_use]
pub fn never_list_violations(program: &Program) -> Vec<&'static str> {
    found(program)
        .into_iter()
        .map(|found| found.label)
        .collect()
}

/// Calls of the never-list that a program allows.
pub(super) struct Found {
    /// As reports name them.
    pub(super) label: &'static str,
    /// The call, and the argument by which it is one of them.
    call: Option<(&'static str, usize, Bits)>,
}

impl Found {
    /// One of these calls; none where they are those of a whole foreign ABI.
    pub(super) fn example(&self, arch: Arch) -> Option<(u32, [u64; 6])> {
        let (name, arg, bits) = self.call?;
        let mut args = [0; 6];
        args[arg] = bits.example().into();
        Some((arch.number(name)?, args))
    }
}

pub(super) fn found(program: &Program) -> Vec<Found> {
    let mut found = Vec::new();
    let foreign = |label| Found { label, call: None };
    if program.may_allow(&Calls::ALL.with_arch(Bits::masked(AUDIT_64BIT, 0))) {
        found.push(foreign("calls of a 32-bit architecture"));
    }
    for arch in Arch::ALL {
        let calls = Calls::ALL.with_arch(Bits::exactly(arch.audit()));
        let x32 = calls.with_nr(Bits::masked(X32_BIT, X32_BIT));
        if arch == Arch::X86_64 && program.may_allow(&x32) {
            found.push(foreign("x32 calls"));
        }
        // A call that the architecture lacks has no number by which to allow it.
        let allowed = |name: &str, arg: usize, bits: Bits| {
            arch.number(name).is_some_and(|number| {
                program.may_allow(&calls.with_nr(Bits::exactly(number)).with_arg(arg, bits))
            })
        };
        let calls = CALLS.iter().filter(|name| allowed(name, 0, Bits::ANY));
        found.extend(calls.map(|name| Found {
            label: name,
            call: Some((name, 0, Bits::ANY)),
        }));
        let cases = CASES
            .iter()
            .filter(|case| allowed(case.call, case.arg, case.bits));
        found.extend(cases.map(|case| Found {
            label: case.label,
            call: Some((case.call, case.arg, case.bits)),
        }));
        // Init takes a process that tells its end by another signal for a thread of the worker.
        let differs = |bit: u32| Bits::masked(CLONE_THREAD | 1 << bit, !(CLONE_THREAD | SIGCHLD));
        if let Some(bit) = (0..8).find(|bit| allowed("clone", 0, differs(*bit))) {
            found.push(Found {
                label: "clone(another exit signal than SIGCHLD)",
                call: Some(("clone", 0, differs(bit))),
            });
        }
        // Anything but a query, all ones, has at least one bit that is zero.
        if (0..u32::BITS).any(|bit| allowed("personality", 0, Bits::masked(1 << bit, 0))) {
            found.push(Found {
                label: "personality",
                call: Some(("personality", 0, Bits::ANY)),
            });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seccomp::{Action, Grant, Granted, Mode, Profile};

    fn profile(rules: &str) -> Program {
        let text = format!("arch = \"x86_64\"\ndefault = \"refuse\"\n{rules}");
        Profile::parse("test.toml", &text, Granted::NONE)
            .unwrap()
            .compile()
            .unwrap()
    }

    #[test]
    fn every_mode_keeps_the_never_list_whatever_is_granted() {
        let all = Grant::ALL.into_iter().collect();
        for (arch, mode) in Arch::ALL
            .into_iter()
            .flat_map(|a| Mode::ALL.map(|m| (a, m)))
        {
            for granted in [Granted::NONE, all] {
                let profile = Profile::builtin(mode, arch, granted).unwrap();
                let found = never_list_violations(&profile.compile().unwrap());
                assert_eq!(found, Vec::<&str>::new(), "{mode}, {arch}");
            }
        }
    }

    #[test]
    fn one_argument_value_that_opens_a_call_is_found() {
        let program = profile(
            "[[rule]]\nsyscalls = [\"bpf\"]\naction = \"allow\"\nreason = \"a trap door\"\n\
             when = [{ arg = 5, width = \"long\", op = \"eq\", value = 0x1badcafe00000000 }]",
        );
        assert_eq!(never_list_violations(&program), ["bpf"]);
    }

    #[test]
    fn an_allowed_case_is_found() {
        for (call, found) in [
            (
                "prctl",
                vec![
                    "prctl(PR_SET_SECCOMP)",
                    "prctl(PR_SET_DUMPABLE)",
                    "prctl(PR_SET_PTRACER)",
                ],
            ),
            ("personality", vec!["personality"]),
            ("getpid", vec![]),
        ] {
            let program = profile(&format!(
                "[[rule]]\nsyscalls = [\"{call}\"]\naction = \"allow\"\nreason = \"all of it\""
            ));
            assert_eq!(never_list_violations(&program), found);
        }
    }

    #[test]
    fn every_process_tells_its_end_by_sigchld() {
        const VFORK: u64 = 0x4100;
        let all = Grant::ALL.into_iter().collect();
        for (arch, mode) in [Mode::Moderate, Mode::Permissive]
            .into_iter()
            .flat_map(|mode| Arch::ALL.map(|arch| (arch, mode)))
        {
            let profile = Profile::builtin(mode, arch, all).unwrap();
            let number = arch.number("clone").unwrap();
            let clone = |flags| profile.action(number, &[flags, 0, 0, 0, 0, 0]);
            for signal in 0..=0xff {
                let expected = match signal {
                    17 => Action::Allow,
                    _ => Action::Refuse,
                };
                for flags in [0, VFORK] {
                    assert_eq!(clone(flags | signal), expected, "{mode}, {arch}: {signal}");
                }
            }
            assert_eq!(clone(0x3d_0f00), Action::Allow, "a thread");
        }
    }

    #[test]
    fn a_program_without_checks_is_found() {
        let open = Program::try_from(vec![(6, 0, 0, libc::SECCOMP_RET_ALLOW)]).unwrap();
        let found = never_list_violations(&open);
        assert!(found.contains(&"x32 calls"));
        assert!(found.contains(&"calls of a 32-bit architecture"));
    }

    #[test]
    fn every_name_is_a_call_of_some_architecture() {
        for name in CALLS.iter().chain(CASES.iter().map(|case| &case.call)) {
            assert!(
                Arch::ALL.iter().any(|arch| arch.number(name).is_some()),
                "{name}"
            );
        }
    }
}
