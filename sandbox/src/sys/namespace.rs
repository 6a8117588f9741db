//! What a namespace's fd tells, see ioctl_nsfs(2).

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

/// `_IO(0xb7, 1)`.
const NS_GET_USERNS: libc::c_ulong = 0xb7 << 8 | 1;
/// `_IO(0xb7, 2)`.
const NS_GET_PARENT: libc::c_ulong = 0xb7 << 8 | 2;

/// The user namespace that owns the given one: capabilities over it are those held there.
///
/// # Errors
/// `EPERM` where that is out of the caller's sight.
pub fn owner(namespace: impl AsFd) -> io::Result<OwnedFd> {
    ask(namespace, NS_GET_USERNS)
}

/// The user or pid namespace in which the given one was made.
///
/// # Errors
/// `EPERM` where that is out of the caller's sight, `EINVAL` for another kind of namespace.
pub fn parent(namespace: impl AsFd) -> io::Result<OwnedFd> {
    ask(namespace, NS_GET_PARENT)
}

fn ask(namespace: impl AsFd, request: libc::c_ulong) -> io::Result<OwnedFd> {
    // SAFETY: neither request takes an argument.
    let fd = unsafe { libc::ioctl(namespace.as_fd().as_raw_fd(), request) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: on success the result is a new fd, close-on-exec, owned by nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    #[test]
    fn network_of_a_process_is_owned_by_its_user_namespace() {
        let inode = |fd: &OwnedFd| rustix::fs::fstat(fd).unwrap().st_ino;
        let net = File::open("/proc/self/ns/net").unwrap();
        let user = File::open("/proc/self/ns/user").unwrap();
        assert_eq!(inode(&owner(&net).unwrap()), inode(&user.into()));
    }

    #[test]
    fn only_user_and_pid_namespaces_have_a_parent() {
        let user = File::open("/proc/self/ns/user").unwrap();
        // Of the first one, or of one that we can't see from within, there is none.
        let error = parent(&user).err().and_then(|error| error.raw_os_error());
        assert_eq!(error, Some(libc::EPERM));
        let net = File::open("/proc/self/ns/net").unwrap();
        let error = parent(&net).err().and_then(|error| error.raw_os_error());
        assert_eq!(error, Some(libc::EINVAL));
    }
}
