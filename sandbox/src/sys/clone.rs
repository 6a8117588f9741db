//! `clone3(2)` and `fork(2)` for a single-threaded caller.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

// libc's own constants of these two names overflow to 0, and the kernel would
// then put the child into the parent's cgroup without a word.
const CLONE_CLEAR_SIGHAND: u64 = 0x1_0000_0000;
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// `struct clone_args`, version 2 (88 bytes, Linux 5.7).
#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// The two sides of a fork.
pub enum Fork {
    /// The caller goes on, with the child's pid and pidfd.
    Parent {
        /// Pid in the caller's pid namespace.
        pid: u32,
        /// The child, for as long as the fd is open.
        pidfd: OwnedFd,
    },
    /// The new process.
    Child,
}

/// Forks with new namespaces (`CLONE_NEW*` in `namespaces`) and signal handlers
/// reset, into the cgroup v2 directory `cgroup` if one is given.
///
/// # Errors
/// The kernel's errno, or `EBUSY` where the caller has more than one thread: the
/// child would then inherit locks that nobody unlocks.
pub fn fork_into(namespaces: u64, cgroup: Option<BorrowedFd<'_>>) -> io::Result<Fork> {
    require_single_thread()?;
    let mut args = CloneArgs {
        flags: namespaces | CLONE_CLEAR_SIGHAND,
        ..CloneArgs::default()
    };
    if let Some(directory) = cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = directory.as_raw_fd() as u64;
    }
    fork(args)
}

/// Plain fork of a process that is single-threaded because it is the child of
/// [`fork_into`] and made no thread; it may have no `/proc` to count them.
///
/// # Errors
/// The kernel's errno.
pub fn fork_again() -> io::Result<Fork> {
    fork(CloneArgs::default())
}

fn fork(mut args: CloneArgs) -> io::Result<Fork> {
    let mut pidfd: i32 = -1;
    args.flags |= libc::CLONE_PIDFD as u64;
    args.pidfd = (&raw mut pidfd) as u64;
    args.exit_signal = libc::SIGCHLD as u64;
    // SAFETY: `args` is a valid clone_args of the size given and `pidfd` outlives the
    // call. Without CLONE_VM and with stack 0 this is fork: the child gets a copy of a
    // process whose only thread is this one (both callers see to it), so no lock is held
    // by a vanished thread.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of::<CloneArgs>()) };
    match pid {
        0 => Ok(Fork::Child),
        1.. => {
            // SAFETY: on success the kernel stored a new fd, owned by nobody else.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            Ok(Fork::Parent {
                pid: pid as u32,
                pidfd,
            })
        }
        _ => Err(io::Error::last_os_error()),
    }
}

fn require_single_thread() -> io::Result<()> {
    // A directory's link count is 2 plus its sub-directories: one per thread.
    let threads = std::os::unix::fs::MetadataExt::nlink(&std::fs::metadata("/proc/self/task")?);
    if threads > 3 {
        return Err(io::Error::from_raw_os_error(libc::EBUSY));
    }
    Ok(())
}

/// Ends the process at once: no destructors, no `atexit` handlers, which belong to
/// the process this one was forked from.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: _exit(2) takes no pointers and doesn't return.
    unsafe { libc::_exit(code) }
}
