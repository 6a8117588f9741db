//! A host that refuses a system call, as an old kernel or a container's filter does.

use sandbox::seccomp::Program;

/// One system call that the host hasn't got.
#[derive(Debug, Clone, Copy)]
pub struct Refusal {
    call: libc::c_long,
    /// Only with one of these as its first argument; none: always.
    options: &'static [u32],
    errno: i32,
}

impl Refusal {
    /// A kernel without Landlock.
    pub const LANDLOCK: Refusal = Refusal {
        call: libc::SYS_landlock_create_ruleset,
        options: &[],
        errno: libc::ENOSYS,
    };
    /// A kernel before Linux 6.3, which had no memory-deny-write-execute.
    pub const MDWE: Refusal = Refusal {
        call: libc::SYS_prctl,
        options: &[libc::PR_SET_MDWE as u32, libc::PR_GET_MDWE as u32],
        errno: libc::EINVAL,
    };
    /// A container engine that shares the host's keys with nobody.
    pub const KEYCTL: Refusal = Refusal {
        call: libc::SYS_keyctl,
        options: &[],
        errno: libc::EPERM,
    };
    /// A container engine that lets nobody make namespaces.
    pub const UNSHARE: Refusal = Refusal {
        call: libc::SYS_unshare,
        options: &[],
        errno: libc::EPERM,
    };
}

/// Does something in a thread that is below a filter; so is every process that it starts.
///
/// # Panics
/// When the filter can't be had, or with what `work` panics.
pub fn without<T: Send>(refusal: Refusal, work: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let filtered = scope.spawn(|| {
            if let Err(error) = rustix::thread::set_no_new_privs(true) {
                panic!("no_new_privs: {error}");
            }
            let program = refusal.program();
            let installed = Program::try_from(program).map(|program| program.install());
            assert!(matches!(installed, Ok(Ok(()))), "{installed:?}");
            work()
        });
        filtered
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

impl Refusal {
    /// Our architecture's calls alone: tests make no others.
    fn program(self) -> Vec<(u16, u8, u8, u32)> {
        // BPF_LD | BPF_W | BPF_ABS; BPF_JMP | BPF_JEQ | BPF_K; BPF_RET | BPF_K.
        const LOAD: u16 = 0x20;
        const EQUAL: u16 = 0x15;
        const RETURN: u16 = 0x06;
        // Where struct seccomp_data has the number and the first argument's low half.
        const NUMBER: u32 = 0;
        const FIRST: u32 = if cfg!(target_endian = "little") {
            16
        } else {
            20
        };
        const ALLOW: u32 = 0x7fff_0000;
        const ERRNO: u32 = 0x0005_0000;
        let refuse = (RETURN, 0, 0, ERRNO | self.errno as u32);
        let allow = (RETURN, 0, 0, ALLOW);
        let mut program = vec![(LOAD, 0, 0, NUMBER), (EQUAL, 1, 0, self.call as u32), allow];
        if !self.options.is_empty() {
            program.push((LOAD, 0, 0, FIRST));
            for (index, option) in self.options.iter().enumerate() {
                let left = (self.options.len() - index - 1) as u8;
                // The last that isn't equal either is allowed.
                let otherwise = u8::from(left == 0);
                program.push((EQUAL, left, otherwise, *option));
            }
        }
        program.extend([refuse, allow]);
        program
    }
}
