//! Architectures and the names of their system calls.

use serde::{Deserialize, Serialize};

/// An architecture that filters can be built for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Arch {
    /// 64-bit x86, without x32 and i386.
    X86_64,
    /// 64-bit little-endian Arm.
    Aarch64,
}

static X86_64: [Entry; count(X86_64_TABLE)] = parse(X86_64_TABLE);
static AARCH64: [Entry; count(AARCH64_TABLE)] = parse(AARCH64_TABLE);

const X86_64_TABLE: &str = include_str!("../../profiles/syscalls.x86_64.txt");
const AARCH64_TABLE: &str = include_str!("../../profiles/syscalls.aarch64.txt");

/// Names that neither table has, each with the architecture that does, or `newer`.
const ELSEWHERE: &str = include_str!("../../profiles/syscalls.elsewhere.txt");

type Entry = (u32, &'static str);

impl Arch {
    /// Every architecture.
    pub const ALL: [Arch; 2] = [Arch::X86_64, Arch::Aarch64];

    /// The one that this program was built for.
    #[cfg(target_arch = "x86_64")]
    pub const NATIVE: Arch = Arch::X86_64;
    /// The one that this program was built for.
    #[cfg(target_arch = "aarch64")]
    pub const NATIVE: Arch = Arch::Aarch64;

    /// What the kernel writes into `seccomp_data.arch` (`AUDIT_ARCH_*` of `linux/audit.h`).
    #[must_use]
    pub const fn audit(self) -> u32 {
        match self {
            Arch::X86_64 => 0xc000_003e,
            Arch::Aarch64 => 0xc000_00b7,
        }
    }

    /// The architecture of an `AUDIT_ARCH_*` value.
    #[must_use]
    pub fn from_audit(audit: u32) -> Option<Arch> {
        Arch::ALL.into_iter().find(|arch| arch.audit() == audit)
    }

    /// As the kernel and Rust's targets name it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Arch::X86_64 => "x86_64",
            Arch::Aarch64 => "aarch64",
        }
    }

    /// The number of a system call; none where this architecture lacks it.
    #[must_use]
    pub fn number(self, name: &str) -> Option<u32> {
        self.table()
            .iter()
            .find(|(_, known)| *known == name)
            .map(|(number, _)| *number)
    }

    /// The name of a system call; none where no kernel known to us has it.
    #[must_use]
    pub fn syscall(self, number: u32) -> Option<&'static str> {
        let table = self.table();
        let at = table
            .binary_search_by_key(&number, |(number, _)| *number)
            .ok()?;
        Some(table[at].1)
    }

    /// Every system call, by ascending number.
    pub(super) fn table(self) -> &'static [Entry] {
        match self {
            Arch::X86_64 => &X86_64,
            Arch::Aarch64 => &AARCH64,
        }
    }
}

/// Whether a name is a system call of any architecture, or of a kernel newer than our tables.
pub(super) fn known_elsewhere(name: &str) -> bool {
    let elsewhere = ELSEWHERE.lines().filter_map(|line| line.split_once(' '));
    Arch::ALL.iter().any(|arch| arch.number(name).is_some())
        || elsewhere.into_iter().any(|(known, _)| known == name)
}

impl std::fmt::Display for Arch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

const fn count(table: &str) -> usize {
    let bytes = table.as_bytes();
    let (mut at, mut lines) = (0, 0);
    while at < bytes.len() {
        lines += (bytes[at] == b'\n') as usize;
        at += 1;
    }
    lines
}

/// Lines of `name number`, ascending: a table in disorder doesn't compile.
const fn parse<const N: usize>(table: &'static str) -> [Entry; N] {
    let mut entries = [(0, ""); N];
    let mut rest = table.as_bytes();
    let mut line = 0;
    while line < N {
        let space = position(rest, b' ');
        let (name, tail) = rest.split_at(space);
        let (digits, tail) = tail.split_at(position(tail, b'\n'));
        let name = match std::str::from_utf8(name) {
            Ok(name) => name,
            Err(_) => panic!("a system call's name is ASCII"),
        };
        let number = decimal(digits.split_at(1).1);
        assert!(line == 0 || entries[line - 1].0 < number, "numbers ascend");
        entries[line] = (number, name);
        rest = tail.split_at(1).1;
        line += 1;
    }
    entries
}

const fn position(bytes: &[u8], wanted: u8) -> usize {
    let mut at = 0;
    while bytes[at] != wanted {
        at += 1;
    }
    at
}

const fn decimal(digits: &[u8]) -> u32 {
    assert!(!digits.is_empty(), "a number follows the name");
    let (mut at, mut value) = (0, 0);
    while at < digits.len() {
        assert!(digits[at].is_ascii_digit(), "a number is decimal");
        value = value * 10 + (digits[at] - b'0') as u32;
        at += 1;
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_agree_with_libc() {
        for (name, number) in [
            ("read", libc::SYS_read),
            ("clone3", libc::SYS_clone3),
            ("landlock_restrict_self", libc::SYS_landlock_restrict_self),
        ] {
            assert_eq!(Arch::NATIVE.number(name).map(i64::from), Some(number));
            assert_eq!(Arch::NATIVE.syscall(number as u32), Some(name));
        }
    }

    #[test]
    fn every_call_of_the_installed_headers_is_known() {
        let path = format!("/usr/include/{}-linux-gnu/asm/unistd_64.h", Arch::NATIVE);
        let Ok(header) = std::fs::read_to_string(&path) else {
            println!("no kernel headers at {path}: nothing to compare with");
            return;
        };
        for line in header.lines() {
            let Some(definition) = line.strip_prefix("#define __NR_") else {
                continue;
            };
            let (name, number) = definition.split_once(' ').unwrap();
            assert_eq!(
                Arch::NATIVE.number(name),
                number.trim().parse().ok(),
                "{name}"
            );
        }
    }
}
