//! `ptrace(2)`, as far as init traces its worker.

use std::io;

use rustix::process::Pid;

/// `PTRACE_EVENT_CLONE`: a thread has made another.
pub const EVENT_CLONE: i32 = libc::PTRACE_EVENT_CLONE;
/// `PTRACE_EVENT_EXIT`, the upper half of a stop's status: a thread is on its way out, its
/// registers still there.
pub const EVENT_EXIT: i32 = libc::PTRACE_EVENT_EXIT;
/// `PTRACE_EVENT_STOP`: a new thread, or a stop of the whole process.
pub const EVENT_STOP: i32 = libc::PTRACE_EVENT_STOP;
/// `NT_PRSTATUS`: the general registers.
const GENERAL: usize = 1;

/// The parts of `siginfo_t` that tell how a signal came, see sigaction(2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Siginfo {
    /// Its number.
    pub signal: i32,
    /// `si_code`: positive where the kernel raised it by itself, but for `SI_KERNEL`.
    pub code: i32,
    /// `si_addr` of a fault; of other signals whatever lies there.
    pub address: u64,
}

/// Traces a child and the threads that it will make, without stopping it; it doesn't outlive
/// the caller.
///
/// # Errors
/// `EPERM` where the caller may not, see ptrace(2).
pub fn seize(child: Pid) -> io::Result<()> {
    let options = libc::PTRACE_O_TRACECLONE | libc::PTRACE_O_TRACEEXIT | libc::PTRACE_O_EXITKILL;
    plain(libc::PTRACE_SEIZE, child, options as usize)
}

/// Lets a stopped thread go on, with a signal unless it is 0.
///
/// # Errors
/// `ESRCH` where it is gone.
pub fn resume(thread: Pid, signal: i32) -> io::Result<()> {
    plain(libc::PTRACE_CONT, thread, signal as usize)
}

/// Lets a stopped thread go on untraced.
///
/// # Errors
/// `ESRCH` where it is gone.
pub fn detach(thread: Pid) -> io::Result<()> {
    plain(libc::PTRACE_DETACH, thread, 0)
}

/// Leaves a thread of a stopped process stopped, until it is continued.
///
/// # Errors
/// `ESRCH` where it is gone.
pub fn listen(thread: Pid) -> io::Result<()> {
    plain(libc::PTRACE_LISTEN, thread, 0)
}

fn plain(request: libc::c_uint, thread: Pid, data: usize) -> io::Result<()> {
    let id = thread.as_raw_nonzero().get();
    // SAFETY: these requests take no pointers: address is ignored, data a number.
    let result = unsafe { libc::ptrace(request, id, 0usize, data) };
    done(result)
}

/// The signal that a stopped thread is about to get.
///
/// # Errors
/// `ESRCH` where it is gone.
pub fn siginfo(thread: Pid) -> io::Result<Siginfo> {
    // `siginfo_t` of 64-bit architectures: number, errno, code, padding, then by kind.
    #[repr(C)]
    #[derive(Default)]
    struct Raw {
        signal: i32,
        errno: i32,
        code: i32,
        padding: i32,
        address: u64,
        rest: [u64; 13],
    }
    const { assert!(size_of::<Raw>() == size_of::<libc::siginfo_t>()) }
    let mut raw = Raw::default();
    let id = thread.as_raw_nonzero().get();
    // SAFETY: the kernel writes one siginfo_t to `raw`, which is as large, and of which every
    // byte pattern is a value.
    let result = unsafe { libc::ptrace(libc::PTRACE_GETSIGINFO, id, 0usize, &raw mut raw) };
    done(result)?;
    Ok(Siginfo {
        signal: raw.signal,
        code: raw.code,
        address: raw.address,
    })
}

/// What a stop tells beyond its kind; of [`EVENT_EXIT`] the wait status to come.
///
/// # Errors
/// `ESRCH` where the thread is gone.
pub fn message(thread: Pid) -> io::Result<u64> {
    let mut message: libc::c_ulong = 0;
    let id = thread.as_raw_nonzero().get();
    // SAFETY: the kernel writes one unsigned long to `message`.
    let result = unsafe { libc::ptrace(libc::PTRACE_GETEVENTMSG, id, 0usize, &raw mut message) };
    done(result).map(|()| message)
}

/// The general registers of a stopped thread, in the kernel's order; as many as fit.
///
/// # Errors
/// `ESRCH` where it is gone.
pub fn registers(thread: Pid, words: &mut [u64]) -> io::Result<()> {
    let mut buffer = libc::iovec {
        iov_base: words.as_mut_ptr().cast(),
        iov_len: size_of_val(words),
    };
    let id = thread.as_raw_nonzero().get();
    // SAFETY: the kernel writes at most `iov_len` bytes to `words`, and the length that it
    // wrote to `buffer`; both outlive the call.
    let result = unsafe { libc::ptrace(libc::PTRACE_GETREGSET, id, GENERAL, &raw mut buffer) };
    done(result)
}

fn done(result: libc::c_long) -> io::Result<()> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}
