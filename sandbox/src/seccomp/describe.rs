//! Calls as a person reads them.

use std::fmt::{self, Write};

use super::arch::Arch;
use super::notify::Notification;

impl fmt::Display for Notification {
    /// Name and arguments, pointers as addresses: `openat(AT_FDCWD, 0x7f01, 0x80000)`.
    /// Nothing is read from the process.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(name) = self.name() else {
            return write!(f, "system call {}", self.nr);
        };
        f.write_str(name)?;
        f.write_char('(')?;
        let kinds = signature(name);
        for (at, (kind, value)) in kinds.iter().zip(self.args).enumerate() {
            f.write_str(if at == 0 { "" } else { ", " })?;
            kind.write(value, f)?;
        }
        f.write_char(')')
    }
}

impl Notification {
    /// The system call's name, where this build knows it.
    #[must_use]
    pub fn name(&self) -> Option<&'static str> {
        Arch::from_audit(self.arch)?.syscall(self.nr)
    }
}

/// How an argument is written.
#[derive(Clone, Copy)]
enum Kind {
    /// A C `int`.
    Int,
    /// An unsigned `long`: sizes and counts.
    Size,
    /// An fd, or the current folder.
    Fd,
    /// An address.
    Pointer,
    /// Bits, or a code.
    Flags,
    /// An address family.
    Family,
}

impl Kind {
    fn write(self, value: u64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let int = value as i32;
        match self {
            Kind::Int => write!(f, "{int}"),
            Kind::Size => write!(f, "{value}"),
            Kind::Fd if int == libc::AT_FDCWD => f.write_str("AT_FDCWD"),
            Kind::Fd => write!(f, "{int}"),
            Kind::Pointer if value == 0 => f.write_str("NULL"),
            Kind::Pointer | Kind::Flags => write!(f, "{value:#x}"),
            Kind::Family => match FAMILIES.iter().find(|(number, _)| *number == int) {
                Some((_, name)) => f.write_str(name),
                None => write!(f, "{int}"),
            },
        }
    }
}

const FAMILIES: &[(i32, &str)] = &[
    (libc::AF_UNIX, "AF_UNIX"),
    (libc::AF_INET, "AF_INET"),
    (libc::AF_INET6, "AF_INET6"),
    (libc::AF_NETLINK, "AF_NETLINK"),
    (libc::AF_PACKET, "AF_PACKET"),
    (libc::AF_ALG, "AF_ALG"),
    (libc::AF_VSOCK, "AF_VSOCK"),
];

/// The arguments of a call; of one not listed, all six registers.
fn signature(name: &str) -> &'static [Kind] {
    use Kind::{Family, Fd, Flags, Int, Pointer, Size};
    match name {
        "open" | "access" => &[Pointer, Flags],
        "openat" | "openat2" | "faccessat" | "newfstatat" | "statx" => &[Fd, Pointer, Flags],
        "unlink" | "rmdir" | "chdir" | "chroot" | "umount2" | "execve" => &[Pointer],
        "mkdir" | "chmod" | "creat" => &[Pointer, Flags],
        "rename" | "link" | "symlink" | "pivot_root" => &[Pointer, Pointer],
        "unlinkat" | "mkdirat" | "execveat" => &[Fd, Pointer],
        "socket" | "socketpair" => &[Family, Flags, Int],
        "connect" | "bind" => &[Fd, Pointer, Int],
        "sendto" | "recvfrom" => &[Fd, Pointer, Size, Flags, Pointer, Int],
        "sendmsg" | "recvmsg" => &[Fd, Pointer, Flags],
        "mmap" => &[Pointer, Size, Flags, Flags, Fd, Size],
        "mprotect" => &[Pointer, Size, Flags],
        "clone" | "unshare" | "personality" => &[Flags],
        "setns" => &[Fd, Flags],
        "fork" | "vfork" | "getppid" => &[],
        "kill" | "tkill" => &[Int, Int],
        "tgkill" => &[Int, Int, Int],
        "ptrace" => &[Int, Int, Pointer, Pointer],
        "prctl" => &[Int, Flags, Flags, Flags, Flags],
        "seccomp" | "bpf" => &[Int, Flags, Pointer],
        "ioctl" | "fcntl" => &[Fd, Flags, Flags],
        "prlimit64" => &[Int, Int, Pointer, Pointer],
        "setrlimit" => &[Int, Pointer],
        "dup" => &[Fd],
        "dup2" | "dup3" => &[Fd, Fd],
        "memfd_create" => &[Pointer, Flags],
        "mount" => &[Pointer, Pointer, Pointer, Flags, Pointer],
        _ => &[Flags; 6],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(call: &str, args: [u64; 6]) -> String {
        let nr = Arch::X86_64.number(call).unwrap();
        let arch = Arch::X86_64.audit();
        Notification {
            id: 0,
            tid: 0,
            nr,
            arch,
            ip: 0,
            args,
        }
        .to_string()
    }

    #[test]
    fn arguments_are_written_by_their_kind() {
        let at_fdcwd = libc::AT_FDCWD as u32;
        assert_eq!(
            text("openat", [at_fdcwd.into(), 0x7f01, 0x80000, 0, 0, 0]),
            "openat(AT_FDCWD, 0x7f01, 0x80000)"
        );
        assert_eq!(
            text("socket", [2, 1, 0, 0, 0, 0]),
            "socket(AF_INET, 0x1, 0)"
        );
        assert_eq!(text("kill", [u64::MAX, 9, 0, 0, 0, 0]), "kill(-1, 9)");
        assert_eq!(text("fork", [1; 6]), "fork()");
    }

    #[test]
    fn an_unknown_call_is_a_number() {
        let arch = Arch::X86_64.audit();
        let call = Notification {
            id: 0,
            tid: 0,
            nr: 9999,
            arch,
            ip: 0,
            args: [0; 6],
        };
        assert_eq!(call.to_string(), "system call 9999");
    }
}
