//! What the arguments of each call are.

use super::names::{self, Names};

/// How an argument is written.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    /// A C `int`.
    Int,
    /// An unsigned `long`: sizes and counts.
    Size,
    /// Whatever it is, in hex.
    Hex,
    /// Permission bits.
    Mode,
    /// Permission bits that count only where the flags at this index create a file.
    ModeIfCreated { flags: usize },
    /// An fd, or the current folder.
    Fd,
    /// An address.
    Pointer,
    /// The address of a text: a path or a name.
    Text,
    /// The address of a socket address whose length is at this index.
    Address { length: usize },
    /// The address of a `struct open_how`.
    OpenHow,
    /// One of some values.
    Code(Names),
    /// Bits.
    Bits(Names),
    /// Access mode and flags of open(2).
    OpenFlags,
    /// Type and flags of socket(2).
    SocketType,
    /// Exit signal and flags of clone(2).
    CloneFlags,
}

/// Six registers.
pub(super) const UNKNOWN: &[Kind] = &[Kind::Hex; 6];

const FAMILY: Kind = Kind::Code(names::FAMILIES);
const SIGNAL: Kind = Kind::Code(names::SIGNALS);
const MEMORY: Kind = Kind::Bits(names::PROTECTION);
const AT: Kind = Kind::Bits(names::AT);
const MESSAGE: Kind = Kind::Bits(names::MESSAGE);

/// The arguments of a call.
#[allow(clippy::too_many_lines, reason = "a table")]
pub(super) fn signature(name: &str) -> &'static [Kind] {
    use Kind::{
        Bits, CloneFlags, Code, Fd, Hex, Int, Mode, ModeIfCreated, OpenFlags, OpenHow, Pointer,
        Size, SocketType, Text,
    };
    match name {
        // Files by path.
        "open" => &[Text, OpenFlags, ModeIfCreated { flags: 1 }],
        "openat" => &[Fd, Text, OpenFlags, ModeIfCreated { flags: 2 }],
        "openat2" => &[Fd, Text, OpenHow, Size],
        "creat" | "mkdir" | "chmod" => &[Text, Mode],
        "mkdirat" | "fchmodat" => &[Fd, Text, Mode],
        "fchmodat2" => &[Fd, Text, Mode, AT],
        "mknod" => &[Text, Mode, Hex],
        "mknodat" => &[Fd, Text, Mode, Hex],
        "access" => &[Text, Bits(names::ACCESS)],
        "faccessat" => &[Fd, Text, Bits(names::ACCESS)],
        "faccessat2" => &[Fd, Text, Bits(names::ACCESS), AT],
        "stat" | "lstat" | "statfs" => &[Text, Pointer],
        "newfstatat" => &[Fd, Text, Pointer, AT],
        "statx" => &[Fd, Text, AT, Hex, Pointer],
        "readlink" => &[Text, Pointer, Size],
        "readlinkat" => &[Fd, Text, Pointer, Size],
        "unlink" | "rmdir" | "chdir" | "chroot" | "swapoff" => &[Text],
        "unlinkat" => &[Fd, Text, AT],
        "rename" | "link" | "symlink" | "pivot_root" => &[Text, Text],
        "renameat" => &[Fd, Text, Fd, Text],
        "renameat2" | "linkat" => &[Fd, Text, Fd, Text, Hex],
        "symlinkat" => &[Text, Fd, Text],
        "chown" | "lchown" => &[Text, Int, Int],
        "fchownat" => &[Fd, Text, Int, Int, AT],
        "truncate" => &[Text, Size],
        "utimensat" => &[Fd, Text, Pointer, AT],
        "setxattr" | "lsetxattr" => &[Text, Text, Pointer, Size, Hex],
        "inotify_add_watch" => &[Fd, Text, Hex],
        "swapon" => &[Text, Hex],
        "open_by_handle_at" => &[Fd, Pointer, OpenFlags],
        "name_to_handle_at" => &[Fd, Text, Pointer, Pointer, AT],
        // Files by fd.
        "read" | "write" | "getdents64" => &[Fd, Pointer, Size],
        "pread64" | "pwrite64" => &[Fd, Pointer, Size, Size],
        "close" | "dup" | "fsync" | "fdatasync" | "fchdir" | "syncfs" => &[Fd],
        "dup2" => &[Fd, Int],
        "dup3" => &[Fd, Int, OpenFlags],
        "close_range" => &[Int, Int, Hex],
        "fchmod" => &[Fd, Mode],
        "ftruncate" => &[Fd, Size],
        "fallocate" => &[Fd, Hex, Size, Size],
        "flock" => &[Fd, Hex],
        "fcntl" => &[Fd, Code(names::FCNTL), Hex],
        "ioctl" => &[Fd, Code(names::IOCTL), Hex],
        "pipe" => &[Pointer],
        "pipe2" => &[Pointer, OpenFlags],
        "eventfd2" => &[Int, OpenFlags],
        "epoll_create1" | "inotify_init1" => &[OpenFlags],
        "sendfile" => &[Fd, Fd, Pointer, Size],
        "copy_file_range" | "splice" => &[Fd, Pointer, Fd, Pointer, Size, Hex],
        "memfd_create" => &[Text, Bits(names::MEMFD)],
        "memfd_secret" => &[OpenFlags],
        // Memory.
        "mmap" => &[Pointer, Size, MEMORY, Bits(names::MAP), Fd, Hex],
        "mprotect" => &[Pointer, Size, MEMORY],
        "pkey_mprotect" => &[Pointer, Size, MEMORY, Int],
        "munmap" | "mlock" => &[Pointer, Size],
        "mlock2" => &[Pointer, Size, Hex],
        "mlockall" => &[Hex],
        "mremap" => &[Pointer, Size, Size, Hex, Pointer],
        "madvise" => &[Pointer, Size, Code(names::ADVICE)],
        "shmget" => &[Hex, Size, Hex],
        "shmat" => &[Int, Pointer, Hex],
        // Sockets.
        "socket" => &[FAMILY, SocketType, Int],
        "socketpair" => &[FAMILY, SocketType, Int, Pointer],
        "connect" | "bind" => &[Fd, Kind::Address { length: 2 }, Int],
        "sendto" => &[Fd, Pointer, Size, MESSAGE, Kind::Address { length: 5 }, Int],
        "recvfrom" => &[Fd, Pointer, Size, MESSAGE, Pointer, Pointer],
        "sendmsg" | "recvmsg" => &[Fd, Pointer, MESSAGE],
        "sendmmsg" | "recvmmsg" => &[Fd, Pointer, Int, MESSAGE],
        "listen" | "shutdown" => &[Fd, Int],
        "accept" | "getsockname" | "getpeername" => &[Fd, Pointer, Pointer],
        "accept4" => &[Fd, Pointer, Pointer, OpenFlags],
        "setsockopt" | "getsockopt" => &[Fd, Int, Int, Pointer, Hex],
        // Processes and signals.
        "clone" => &[CloneFlags, Pointer, Pointer, Pointer, Hex],
        "unshare" => &[Bits(names::CLONE)],
        "setns" => &[Fd, Bits(names::CLONE)],
        "fork" | "vfork" | "getppid" | "setsid" | "sync" | "vhangup" => &[],
        "execve" => &[Text, Pointer, Pointer],
        "execveat" => &[Fd, Text, Pointer, Pointer, AT],
        "wait4" => &[Int, Pointer, Hex, Pointer],
        "kill" | "tkill" => &[Int, SIGNAL],
        "tgkill" => &[Int, Int, SIGNAL],
        "rt_sigqueueinfo" => &[Int, SIGNAL, Pointer],
        "pidfd_open" => &[Int, Hex],
        "pidfd_send_signal" => &[Fd, SIGNAL, Pointer, Hex],
        "pidfd_getfd" => &[Fd, Int, Hex],
        "ptrace" => &[Code(names::PTRACE), Int, Pointer, Pointer],
        "process_vm_readv" | "process_vm_writev" => &[Int, Pointer, Size, Pointer, Size, Hex],
        "prctl" => &[Code(names::PRCTL), Hex, Hex, Hex, Hex],
        "personality" => &[Hex],
        "prlimit64" => &[Int, Code(names::RLIMIT), Pointer, Pointer],
        "setrlimit" | "getrlimit" => &[Code(names::RLIMIT), Pointer],
        "getrusage" => &[Int, Pointer],
        "setuid" | "setgid" | "setfsuid" | "setfsgid" => &[Int],
        "setreuid" | "setregid" | "setpgid" => &[Int, Int],
        "setresuid" | "setresgid" => &[Int, Int, Int],
        "setgroups" => &[Int, Pointer],
        "capset" | "capget" => &[Pointer, Pointer],
        "setpriority" => &[Int, Int, Int],
        "sched_setscheduler" => &[Int, Int, Pointer],
        "sched_setaffinity" => &[Int, Size, Pointer],
        "sethostname" | "setdomainname" => &[Text, Size],
        // The kernel itself.
        "seccomp" => &[Code(names::SECCOMP), Hex, Pointer],
        "bpf" => &[Code(names::BPF), Pointer, Int],
        "perf_event_open" => &[Pointer, Int, Int, Int, Hex],
        "userfaultfd" => &[OpenFlags],
        "io_uring_setup" => &[Int, Pointer],
        "io_uring_enter" => &[Fd, Int, Int, Hex, Pointer, Size],
        "io_uring_register" => &[Fd, Int, Pointer, Int],
        "keyctl" => &[Code(names::KEYCTL), Hex, Hex, Hex, Hex],
        "add_key" => &[Text, Text, Pointer, Size, Int],
        "request_key" => &[Text, Text, Text, Int],
        "mount" => &[Text, Text, Text, Bits(names::MOUNT), Pointer],
        "umount2" => &[Text, Bits(names::UMOUNT)],
        "open_tree" => &[Fd, Text, AT],
        "move_mount" => &[Fd, Text, Fd, Text, Hex],
        "fsopen" => &[Text, Hex],
        "fsconfig" => &[Fd, Int, Text, Pointer, Int],
        "fsmount" => &[Fd, Hex, Hex],
        "fspick" => &[Fd, Text, Hex],
        "mount_setattr" => &[Fd, Text, AT, Pointer, Size],
        "kexec_load" => &[Pointer, Size, Pointer, Hex],
        "init_module" => &[Pointer, Size, Text],
        "finit_module" => &[Fd, Text, Hex],
        "delete_module" => &[Text, Hex],
        "reboot" => &[Hex, Hex, Hex, Pointer],
        "syslog" => &[Int, Pointer, Int],
        "acct" | "uselib" => &[Text],
        _ => UNKNOWN,
    }
}
