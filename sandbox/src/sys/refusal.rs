//! Whether the kernel, or a filter above this process, refuses a system call as such.

use std::io;

/// A call that is made with arguments that make no sense.
#[derive(Debug)]
pub struct Call {
    /// As its man page has it.
    pub name: &'static str,
    number: libc::c_long,
}

macro_rules! calls {
    ($($name:ident $number:ident,)*) => {
        /// Calls that look at their arguments before anything else: made with -1 for each,
        /// they do nothing and answer neither `EPERM` nor `ENOSYS`, whoever calls.
        pub const CALLS: &[Call] = &[
            $(Call { name: stringify!($name), number: libc::$number },)*
        ];
    };
}

calls! {
    clone3 SYS_clone3,
    unshare SYS_unshare,
    setns SYS_setns,
    open_tree SYS_open_tree,
    mount_setattr SYS_mount_setattr,
    openat2 SYS_openat2,
    close_range SYS_close_range,
    execveat SYS_execveat,
    pidfd_open SYS_pidfd_open,
    pidfd_send_signal SYS_pidfd_send_signal,
    memfd_create SYS_memfd_create,
    seccomp SYS_seccomp,
}

/// Whether it is refused, whatever its arguments are.
#[must_use]
pub fn refused(call: &Call) -> bool {
    const NONSENSE: libc::c_long = -1;
    // SAFETY: the calls are those of CALLS: -1 is no fd, no address and no valid set of
    // flags for any of them, so that each returns an error before it does anything.
    let result = unsafe {
        libc::syscall(
            call.number,
            NONSENSE,
            NONSENSE,
            NONSENSE,
            NONSENSE,
            NONSENSE,
            NONSENSE,
        )
    };
    let errno = io::Error::last_os_error().raw_os_error();
    result < 0 && matches!(errno, Some(libc::EPERM | libc::ENOSYS | libc::EACCES))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn call_that_no_kernel_has_is_refused_and_known_ones_are_not() {
        let unknown = Call {
            name: "unknown",
            number: 9999,
        };
        assert!(refused(&unknown));
        for call in CALLS {
            assert!(!refused(call), "{}", call.name);
        }
    }
}
