use super::*;

fn call(name: &str, args: [u64; 6]) -> Notification {
    Notification {
        id: 0,
        tid: 0,
        nr: Arch::NATIVE.number(name).unwrap(),
        arch: Arch::NATIVE.audit(),
        ip: 0,
        args,
    }
}

fn text(name: &str, args: [u64; 6]) -> String {
    call(name, args).to_string()
}

/// Memory from address 4096 on.
struct Memory<'a>(&'a [u8]);

impl Lookup for Memory<'_> {
    fn read(&self, address: u64, buffer: &mut [u8]) -> usize {
        let at = address
            .checked_sub(4096)
            .and_then(|at| usize::try_from(at).ok());
        let tail = at.and_then(|at| self.0.get(at..)).unwrap_or_default();
        let count = tail.len().min(buffer.len());
        buffer[..count].copy_from_slice(&tail[..count]);
        count
    }

    fn fd(&self, fd: i32) -> Option<Vec<u8>> {
        (fd == 7).then(|| b"/tmp/a\x1b\n".to_vec())
    }
}

fn seen(name: &str, args: [u64; 6], memory: &[u8]) -> String {
    call(name, args).arguments(&Memory(memory)).join(", ")
}

const CWD: u64 = libc::AT_FDCWD as u32 as u64;

#[test]
fn registers_alone_are_written_by_their_kind() {
    let created = (libc::O_RDWR | libc::O_CREAT | libc::O_CLOEXEC) as u64;
    for (call, args, expected) in [
        (
            "openat",
            [CWD, 0x7f01, 0, 0o600, 0, 0],
            "openat(AT_FDCWD, 0x7f01, O_RDONLY)",
        ),
        (
            "openat",
            [CWD, 0, created, 0o600, 0, 0],
            "openat(AT_FDCWD, NULL, O_RDWR|O_CREAT|O_CLOEXEC, 0o600)",
        ),
        (
            "socket",
            [2, 0x80001, 6, 0, 0, 0],
            "socket(AF_INET, SOCK_STREAM|SOCK_CLOEXEC, 6)",
        ),
        ("kill", [u64::MAX, 9, 0, 0, 0, 0], "kill(-1, SIGKILL)"),
        ("kill", [1, 0, 0, 0, 0, 0], "kill(1, 0)"),
        (
            "mprotect",
            [4096, 4096, 7, 0, 0, 0],
            "mprotect(0x1000, 4096, PROT_READ|PROT_WRITE|PROT_EXEC)",
        ),
        (
            "mmap",
            [0, 4096, 0, 0x22, u64::MAX, 0],
            "mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0x0)",
        ),
        (
            "clone",
            [0x1000_0011, 0, 0, 0, 0, 0],
            "clone(SIGCHLD|CLONE_NEWUSER, NULL, NULL, NULL, 0x0)",
        ),
        (
            "unshare",
            [0x1002_0000, 0, 0, 0, 0, 0],
            "unshare(CLONE_NEWNS|CLONE_NEWUSER)",
        ),
        (
            "prctl",
            [22, 2, 0, 0, 0, 0],
            "prctl(PR_SET_SECCOMP, 0x2, 0x0, 0x0, 0x0)",
        ),
        (
            "prctl",
            [0x5350_4431, 0, 0, 0, 0, 0],
            "prctl(0x53504431, 0x0, 0x0, 0x0, 0x0)",
        ),
        (
            "ioctl",
            [0, 0x1_0000_5412, 1, 0, 0, 0],
            "ioctl(0, TIOCSTI, 0x1)",
        ),
        (
            "mount",
            [0, 0, 0, 0x1000, 0, 0],
            "mount(NULL, NULL, NULL, MS_BIND, NULL)",
        ),
        ("getppid", [1; 6], "getppid()"),
    ] {
        assert_eq!(text(call, args), expected);
    }
}

#[test]
fn bits_without_a_name_stay_numbers() {
    assert_eq!(
        text("unshare", [0x1000_0000 | 1 << 40, 0, 0, 0, 0, 0]),
        "unshare(CLONE_NEWUSER|0x10000000000)"
    );
    assert_eq!(text("unshare", [0; 6]), "unshare(0)");
    assert_eq!(text("socket", [77, 9, 0, 0, 0, 0]), "socket(0x4d, 9, 0)");
}

#[test]
fn an_unknown_call_is_a_number() {
    let call = Notification {
        nr: 9999,
        ..call("read", [0; 6])
    };
    assert_eq!(call.to_string(), "system call 9999");
}

#[test]
fn paths_are_read_quoted_and_escaped() {
    assert_eq!(
        seen(
            "openat",
            [CWD, 4096, 0, 0, 0, 0],
            b"/etc/sha\x1b[31mdow\"\n\0rest"
        ),
        r#"AT_FDCWD, "/etc/sha\x1b[31mdow\"\n", O_RDONLY"#
    );
    assert_eq!(seen("unlink", [4096, 0, 0, 0, 0, 0], b"\0"), r#""""#);
}

#[test]
fn path_without_an_end_is_cut() {
    let endless = [b'x'; 10_000];
    let written = seen("unlink", [4096, 0, 0, 0, 0, 0], &endless);
    assert_eq!(written, format!("\"{}\"…", "x".repeat(MAX_TEXT)));
    let unmapped = seen("unlink", [4096, 0, 0, 0, 0, 0], b"ab");
    assert_eq!(unmapped, "\"ab\"…");
}

#[test]
fn memory_that_cannot_be_read_stays_an_address() {
    for address in [0u64, 1, 5000, u64::MAX] {
        let expected = if address == 0 {
            "NULL".into()
        } else {
            format!("{address:#x}")
        };
        assert_eq!(seen("unlink", [address, 0, 0, 0, 0, 0], b"abc"), expected);
        let connect = seen("connect", [3, address, 16, 0, 0, 0], b"abc");
        assert_eq!(connect, format!("3, {expected}, 16"));
    }
}

#[test]
fn fds_are_named_as_they_are() {
    assert_eq!(seen("fsync", [7, 0, 0, 0, 0, 0], b""), r"7</tmp/a\x1b\n>");
    assert_eq!(seen("fsync", [8, 0, 0, 0, 0, 0], b""), "8");
}

#[test]
fn how_of_openat2_is_read() {
    let mut how = Vec::new();
    for word in [libc::O_WRONLY as u64, 0o600, 0x08] {
        how.extend(word.to_ne_bytes());
    }
    let written = seen("openat2", [CWD, 0, 4096, 24, 0, 0], &how);
    assert_eq!(
        written,
        "AT_FDCWD, NULL, {flags=O_WRONLY, mode=0o600, resolve=RESOLVE_BENEATH}, 24"
    );
}

#[test]
fn socket_addresses_are_read_by_family_and_within_their_length() {
    let address = |family: u16, data: &[u8]| [&family.to_ne_bytes()[..], data].concat();
    let connect = |bytes: &[u8]| {
        let length = bytes.len() as u64;
        let args = call("connect", [3, 4096, length, 0, 0, 0]).arguments(&Memory(bytes));
        args[1].clone()
    };
    let v6 = [&[0x1f, 0x90, 0, 0, 0, 0][..], &[0; 15], &[1], &[0; 4]].concat();
    for (bytes, expected) in [
        (
            address(2, &[0, 80, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]),
            "{127.0.0.1:80}",
        ),
        (address(10, &v6), "{[::1]:8080}"),
        (address(1, b"/run/a b\x1b\0xx"), r"{unix /run/a b\x1b}"),
        (address(1, b"\0abstract"), "{unix @abstract}"),
        (address(1, b""), "{unix, unnamed}"),
        (
            address(16, &[0, 0, 1, 0, 0, 0, 0, 0, 0, 0]),
            "{netlink port 1}",
        ),
        (
            address(40, &[0, 0, 22, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0]),
            "{vsock 2:22}",
        ),
        (address(999, b"x"), "{0x3e7}"),
        // Too short for its family: an address of memory.
        (address(2, &[0]), "0x1000"),
        (address(10, &[0; 10]), "0x1000"),
        (vec![1], "0x1000"),
    ] {
        assert_eq!(connect(&bytes), expected);
    }
}

#[test]
fn every_call_of_every_architecture_is_written_within_bounds() {
    let memory = [b'\x1b'; 4096];
    for arch in Arch::ALL {
        for (nr, name) in arch.table() {
            for args in [[0; 6], [u64::MAX; 6], [4096; 6]] {
                let call = Notification {
                    nr: *nr,
                    arch: arch.audit(),
                    ..call("read", args)
                };
                let written = call.arguments(&Memory(&memory));
                assert!(written.len() <= 6, "{name}");
                let longest = 4 * MAX_TEXT + "\"\"…".len();
                assert!(written.iter().all(|text| text.len() <= longest), "{name}");
            }
        }
    }
}
