//! What a process asks of the kernel for itself by prctl(2), as far as rustix doesn't cover
//! it.

use std::io;

/// Numbers of `include/uapi/linux/prctl.h` that libc lacks.
const PR_GET_SPECULATION_CTRL: libc::c_int = 52;
const PR_SET_SPECULATION_CTRL: libc::c_int = 53;
const PR_SPEC_STORE_BYPASS: libc::c_ulong = 0;
const PR_SPEC_INDIRECT_BRANCH: libc::c_ulong = 1;
const PR_SPEC_PRCTL: u32 = 1 << 0;
const PR_SPEC_FORCE_DISABLE: u32 = 1 << 3;
const PR_GET_MDWE: libc::c_int = 66;
const PR_MDWE_REFUSE_EXEC_GAIN: libc::c_ulong = 1 << 0;

/// A misfeature of the processor that can be switched off for one process, see
/// PR_SET_SPECULATION_CTRL(2const).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Misfeature {
    /// Speculative store bypass.
    StoreBypass,
    /// Indirect branches.
    IndirectBranch,
}

/// What the kernel tells of a misfeature, for the calling thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Speculation(u32);

impl Misfeature {
    fn number(self) -> libc::c_ulong {
        match self {
            Misfeature::StoreBypass => PR_SPEC_STORE_BYPASS,
            Misfeature::IndirectBranch => PR_SPEC_INDIRECT_BRANCH,
        }
    }

    /// How the calling thread has it.
    ///
    /// # Errors
    /// `ENODEV` or `EINVAL` where the kernel knows no control of it.
    pub fn speculation(self) -> io::Result<Speculation> {
        prctl(PR_GET_SPECULATION_CTRL, [self.number(), 0, 0, 0]).map(Speculation)
    }

    /// Switches it off for the calling thread and all that it makes, for good.
    ///
    /// # Errors
    /// `ENXIO` where there is no control for one process.
    pub fn force_disable(self) -> io::Result<()> {
        let force = PR_SPEC_FORCE_DISABLE.into();
        prctl(PR_SET_SPECULATION_CTRL, [self.number(), force, 0, 0]).map(drop)
    }
}

impl Speculation {
    /// Whether one process can switch it off.
    #[must_use]
    pub fn controllable(self) -> bool {
        self.0 & PR_SPEC_PRCTL != 0
    }

    /// Whether it is off for good.
    #[must_use]
    pub fn force_disabled(self) -> bool {
        self.0 & PR_SPEC_FORCE_DISABLE != 0
    }
}

/// Memory-deny-write-execute for good: memory that wasn't executable never becomes so, and
/// none is both writable and executable.
///
/// # Errors
/// `EINVAL` before Linux 6.3, and on processors that can't.
pub fn refuse_exec_gain() -> io::Result<()> {
    prctl(libc::PR_SET_MDWE, [PR_MDWE_REFUSE_EXEC_GAIN, 0, 0, 0]).map(drop)
}

/// Whether the calling process has memory-deny-write-execute.
///
/// # Errors
/// `EINVAL` before Linux 6.3.
pub fn refuses_exec_gain() -> io::Result<bool> {
    let flags = prctl(PR_GET_MDWE, [0; 4])?;
    Ok(libc::c_ulong::from(flags) & PR_MDWE_REFUSE_EXEC_GAIN != 0)
}

/// Gives the threads of the calling process a core scheduling cookie of their own: no
/// hyperthread beside them runs a process of another cookie meanwhile
/// (`Documentation/admin-guide/hw-vuln/core-scheduling.rst`).
///
/// # Errors
/// `ENODEV` where no core has a second hyperthread, `EINVAL` where the kernel has no core
/// scheduling.
pub fn create_core_cookie() -> io::Result<()> {
    let create = libc::PR_SCHED_CORE_CREATE as libc::c_ulong;
    let process = libc::PR_SCHED_CORE_SCOPE_THREAD_GROUP as libc::c_ulong;
    prctl(libc::PR_SCHED_CORE, [create, 0, process, 0]).map(drop)
}

/// The core scheduling cookie of a thread by its id, 0 being the caller's; 0 is none.
///
/// # Errors
/// As [`create_core_cookie`]; `EPERM` for a thread that the caller may not inspect.
pub fn core_cookie(tid: u32) -> io::Result<u64> {
    let mut cookie = 0u64;
    let get = libc::PR_SCHED_CORE_GET as libc::c_ulong;
    let to = (&raw mut cookie).addr() as libc::c_ulong;
    // SAFETY: for PR_SCHED_CORE_GET the fifth argument is the address of a u64, which lives
    // to the end of the call and is aligned to 8; PIDTYPE_PID, 0, is the one scope it takes.
    let result = unsafe { libc::prctl(libc::PR_SCHED_CORE, get, libc::c_ulong::from(tid), 0, to) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(cookie)
}

/// The calls above take numbers alone.
fn prctl(option: libc::c_int, arguments: [libc::c_ulong; 4]) -> io::Result<u32> {
    let [a, b, c, d] = arguments;
    // SAFETY: callers are those of this module, whose options take no pointers.
    let result = unsafe { libc::prctl(option, a, b, c, d) };
    u32::try_from(result).map_err(|_| io::Error::last_os_error())
}
