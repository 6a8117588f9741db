//! The filtered process: deeds by name, each a raw system call where the C library
//! would do more than one.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use sandbox::seccomp::{
    Arch, Data, Grant, Granted, Instruction, Mode, Outcome, Profile, Program, Rule,
};

/// Names the deed, and says that this is the child.
pub(crate) const VARIABLE: &str = "CORDON_TEST_SECCOMP_DEED";

/// A deed of this prefix compares kernel and interpreter under the profile that it names:
/// `compare basic`, `compare basic granted`.
pub(crate) const COMPARE: &str = "compare ";
/// Ends the name of a profile with all that can be granted.
pub(crate) const GRANTED: &str = " granted";

/// Calls that such a deed makes.
pub(crate) const COMPARED: i64 = 20_000;

/// Where a worker has its socket.
const IPC: i32 = 3;

pub(crate) fn main(deed: &str) -> ! {
    // SAFETY: dup2 takes no pointers; what the test harness had at fd 3 it doesn't need any
    // more, since this process never returns to it.
    let placed = unsafe { libc::dup2(0, IPC) };
    assert_eq!(placed, IPC);
    rustix::thread::set_no_new_privs(true).unwrap();
    match deed {
        "init" => init(),
        _ => match deed.strip_prefix(COMPARE) {
            Some(profile) => compare(profile),
            None => supervised(deed),
        },
    }
    // SAFETY: _exit takes no pointers and doesn't return; exit handlers are skipped on purpose.
    unsafe { libc::_exit(0) }
}

fn supervised(deed: &str) {
    // Opened before the filter is there, for the deed that maps code.
    let file = std::fs::File::open("/proc/self/exe").unwrap();
    let program = Profile::builtin(Mode::Strict, Arch::NATIVE, Granted::NONE)
        .unwrap()
        .compile()
        .unwrap();
    let listener = program.install_with_listener().unwrap();
    hand_over(listener);
    perform(deed, i64::from(file.as_raw_fd()));
}

fn perform(deed: &str, file: i64) {
    let path = c"/etc/hostname".as_ptr() as i64;
    let at_fdcwd = i64::from(libc::AT_FDCWD);
    match deed {
        "permitted" => permitted(),
        "map-writable-code" => call(libc::SYS_mmap, [0, 4096, 7, 0x22, -1, 0]),
        "map-anonymous-code" => call(libc::SYS_mmap, [0, 4096, 5, 0x22, -1, 0]),
        "map-huge-page" => call(libc::SYS_mmap, [0, 2 << 20, 3, 0x40022, -1, 0]),
        "map-code" => call(libc::SYS_mmap, [0, 4096, 5, 2, file, 0]),
        "make-memory-code" => {
            let memory = raw(libc::SYS_mmap, [0, 4096, 3, 0x22, -1, 0]);
            call(libc::SYS_mprotect, [memory, 4096, 5, 0, 0, 0]);
        }
        "merge-pages" => call(libc::SYS_madvise, [0, 0, 12, 0, 0, 0]),
        "fork" => call(libc::SYS_clone, [libc::SIGCHLD.into(), 0, 0, 0, 0, 0]),
        "clone-user-namespace" => call(libc::SYS_clone, [0x1000_0000 | 0x3d_0f00, 0, 0, 0, 0, 0]),
        "clone3" => call(libc::SYS_clone3, [0; 6]),
        "send-to-path" => call(libc::SYS_sendto, [IPC.into(), path, 1, 0, path, 110]),
        "send-message" => call(libc::SYS_sendmsg, [IPC.into(), path, 0, 0, 0, 0]),
        "lock-with-priority" => call(libc::SYS_futex, [path, 6, 0, 0, 0, 0]),
        "raise-limit" => call(libc::SYS_prlimit64, [0, 7, path, 0, 0, 0]),
        "signal-itself-otherwise" => call(libc::SYS_tgkill, [pid(), pid(), 19, 0, 0, 0]),
        "signal-init" => call(libc::SYS_tgkill, [1, 1, 6, 0, 0, 0]),
        "push-terminal-input" => call(libc::SYS_ioctl, [0, 1 << 32 | 0x5412, path, 0, 0, 0]),
        "terminal" => call(libc::SYS_ioctl, [0, 0x5401, path, 0, 0, 0]),
        "socket" => call(libc::SYS_socket, [2, 1, 0, 0, 0, 0]),
        "execve" => call(libc::SYS_execve, [path, 0, 0, 0, 0, 0]),
        "memfd" => call(libc::SYS_memfd_create, [path, 0, 0, 0, 0, 0]),
        "open" => call(libc::SYS_openat, [at_fdcwd, path, 0, 0, 0, 0]),
        "create-file" => call(libc::SYS_openat, [at_fdcwd, path, 0x41, 0o600, 0, 0]),
        "stat" => {
            let mut stat = [0u8; 256];
            call(
                libc::SYS_newfstatat,
                [at_fdcwd, path, stat.as_mut_ptr() as i64, 0, 0, 0],
            );
        }
        "dumpable" => call(libc::SYS_prctl, [4, 1, 0, 0, 0, 0]),
        "dlopen" => dlopen(),
        "unknown-number" => call(9999, [0; 6]),
        "x32" => call(0x4000_0000 | libc::SYS_getpid, [0; 6]),
        "filter" => call(libc::SYS_seccomp, [1, 0, 0, 0, 0, 0]),
        "filter-by-prctl" => call(libc::SYS_prctl, [22, 2, 0, 0, 0, 0]),
        "ptrace" => call(libc::SYS_ptrace, [16, 1, 0, 0, 0, 0]),
        "unshare" => call(libc::SYS_unshare, [0x1000_0000, 0, 0, 0, 0, 0]),
        "io-uring" => call(libc::SYS_io_uring_setup, [1, path, 0, 0, 0, 0]),
        "answer-notifications" => call(libc::SYS_ioctl, [0, 0xc050_2100, 0, 0, 0, 0]),
        "i386" => call_i386(),
        "abort" => std::process::abort(),
        _ => panic!("no deed {deed}"),
    }
}

fn permitted() {
    call(libc::SYS_getpid, [0; 6]);
    let joined = std::thread::spawn(|| vec![1u8; 1 << 22].len()).join();
    report(joined.map_or(-1, |length| length as i64));
    std::thread::sleep(std::time::Duration::from_millis(1));
    let mut grown = vec![0u8; 1 << 22];
    grown.resize(1 << 24, 1);
    report(grown.len() as i64);
    call(libc::SYS_prlimit64, [0, 7, 0, 0, 0, 0]);
    call(
        libc::SYS_prctl,
        [15, c"renamed".as_ptr() as i64, 0, 0, 0, 0],
    );
    let result = 7i64.to_le_bytes();
    let sent = raw(
        libc::SYS_sendto,
        [IPC.into(), result.as_ptr() as i64, 8, 0x4000, 0, 0],
    );
    report(sent);
}

fn dlopen() {
    // SAFETY: the name is a C string; libstdc++'s constructors may run in this process.
    let library = unsafe { libc::dlopen(c"libstdc++.so.6".as_ptr(), libc::RTLD_NOW) };
    report(if library.is_null() { -1 } else { 0 });
}

#[cfg(target_arch = "x86_64")]
fn call_i386() {
    let mut result = 20i64;
    // SAFETY: getpid of the i386 table takes nothing and changes no memory; r8 to r11 are
    // clobbered by the kernel's entry and declared so.
    unsafe {
        std::arch::asm!("int 0x80", inlateout("rax") result,
            out("r8") _, out("r9") _, out("r10") _, out("r11") _);
    }
    report(result);
}

#[cfg(not(target_arch = "x86_64"))]
fn call_i386() {
    // SAFETY: raise takes no pointers. There is no i386 here: ends as the filter would end it.
    unsafe { libc::raise(libc::SIGSYS) };
}

fn init() {
    hand_over(std::io::stdin().as_fd().try_clone_to_owned().unwrap());
    sandbox::seccomp::init_program().unwrap().install().unwrap();
    // Only fd 0 may be written now, which is the same socket.
    let report = |value: i64| {
        raw(
            libc::SYS_write,
            [0, value.to_le_bytes().as_ptr() as i64, 8, 0, 0, 0],
        );
    };
    report(raw(libc::SYS_wait4, [-1, 0, 0, 0, 0, 0]));
    report(raw(libc::SYS_write, [IPC.into(), 0, 0, 0, 0, 0]));
    report(raw(libc::SYS_getpid, [0; 6]));
    report(raw(libc::SYS_openat, [0; 6]));
}

/// Makes random calls under a program with every outcome turned into an errno of its own,
/// and compares each with the interpreter.
fn compare(profile: &str) {
    hand_over(std::io::stdin().as_fd().try_clone_to_owned().unwrap());
    let (mode, granted) = match profile.strip_suffix(GRANTED) {
        Some(mode) => (mode, Grant::ALL.into_iter().collect()),
        None => (profile, Granted::NONE),
    };
    let mode = Mode::ALL.into_iter().find(|known| known.name() == mode);
    let profile = Profile::builtin(mode.unwrap(), Arch::NATIVE, granted).unwrap();
    let program = profile.compile().unwrap();
    // Nothing is allocated from here on: the kernel refuses all of it.
    let mut random = Random::new(&profile);
    observable(&program).install().unwrap();
    let mut differing = 0;
    for _ in 0..COMPARED {
        let (nr, args) = random.call();
        let data = Data {
            nr,
            arch: Arch::NATIVE.audit(),
            ip: 0,
            args: args.map(|arg| arg as u64),
        };
        let expected = -i64::from(errno_of(program.evaluate(&data)));
        differing += i64::from(raw(i64::from(nr), args) != expected);
    }
    report(COMPARED);
    report(differing);
}

fn errno_of(outcome: Outcome) -> u16 {
    match outcome {
        Outcome::Allow => 4001,
        Outcome::Notify => 4002,
        Outcome::KillProcess => 4003,
        Outcome::Errno(errno) => errno,
    }
}

/// Numbers that the comparison leaves out: two by which the child reports and ends, and
/// the kernel's own uprobe calls, which no filter sees.
const LEFT_OUT: [u32; 4] = [
    libc::SYS_write as u32,
    libc::SYS_exit_group as u32,
    335,
    336,
];

fn observable(program: &Program) -> Program {
    const LOAD: u16 = 0x20;
    const EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    const ALLOW: u32 = 0x7fff_0000;
    let mut instructions: Vec<Instruction> = vec![
        (LOAD, 0, 0, 0),
        (EQUAL, 1, 0, LEFT_OUT[0]),
        (EQUAL, 0, 1, LEFT_OUT[1]),
        (RETURN, 0, 0, ALLOW),
    ];
    let errno = |(code, jt, jf, k): Instruction| match (code, k) {
        (RETURN, ALLOW) => (code, jt, jf, 0x5_0000 | 4001),
        (RETURN, 0x7fc0_0000) => (code, jt, jf, 0x5_0000 | 4002),
        (RETURN, 0x8000_0000) => (code, jt, jf, 0x5_0000 | 4003),
        _ => (code, jt, jf, k),
    };
    instructions.extend(Vec::from(program.clone()).into_iter().map(errno));
    Program::try_from(instructions).unwrap()
}

/// xorshift64*: the same calls on every run.
struct Random {
    state: u64,
    /// Calls whose arguments matter.
    conditional: Vec<u32>,
    /// What arguments are compared with.
    compared: Vec<u64>,
}

impl Random {
    fn new(profile: &Profile) -> Random {
        let conditional = |(_, rule): &(u32, &Rule)| !rule.conditions.is_empty();
        let conditions = profile.rules().flat_map(|(_, rule)| &rule.conditions);
        Random {
            state: 0x9e37_79b9_7f4a_7c15,
            conditional: profile
                .rules()
                .filter(conditional)
                .map(|(nr, _)| nr)
                .collect(),
            compared: conditions.map(|condition| condition.value).collect(),
        }
    }

    fn next(&mut self) -> u64 {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        self.state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn call(&mut self) -> (u32, [i64; 6]) {
        let nr = loop {
            let random = self.next();
            let nr = match random % 8 {
                0 => self.next() as u32 >> 1,
                1..4 => (random / 8 % 512) as u32,
                _ => self.conditional[random as usize / 8 % self.conditional.len()],
            };
            if !LEFT_OUT.contains(&nr) {
                break nr;
            }
        };
        (nr, std::array::from_fn(|_| self.argument()))
    }

    fn argument(&mut self) -> i64 {
        let random = self.next();
        let value = match random % 6 {
            0 => self.next(),
            1 => random / 6 % 32,
            _ => self.compared[random as usize / 6 % self.compared.len()],
        };
        let high = if self.next().is_multiple_of(4) {
            self.next() << 32
        } else {
            0
        };
        (value ^ high) as i64
    }
}

fn call(number: i64, args: [i64; 6]) {
    report(raw(number, args));
}

/// The result as the kernel gives it: errors negative.
fn raw(number: i64, [a, b, c, d, e, f]: [i64; 6]) -> i64 {
    // SAFETY: the filter refuses what would break this process, or the arguments are those
    // that the deed above names: buffers that are live, or calls that take no pointer.
    let result = unsafe { libc::syscall(number, a, b, c, d, e, f) };
    match result {
        -1 => -i64::from(std::io::Error::last_os_error().raw_os_error().unwrap_or(0)),
        result => result,
    }
}

fn pid() -> i64 {
    std::process::id().into()
}

fn report(result: i64) {
    let bytes = result.to_le_bytes();
    let written = raw(
        libc::SYS_write,
        [IPC.into(), bytes.as_ptr() as i64, 8, 0, 0, 0],
    );
    if written != 8 {
        std::process::abort();
    }
}

/// Tells the parent where the listener is, and closes it once the parent has its own.
fn hand_over(listener: OwnedFd) {
    report(listener.as_raw_fd().into());
    let mut taken = [0u8];
    // SAFETY: the buffer is one byte long and live.
    let read = unsafe { libc::read(IPC, taken.as_mut_ptr().cast(), 1) };
    assert_eq!(read, 1);
}
