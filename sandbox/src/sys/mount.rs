//! `mount_setattr(2)`; the rest of the new mount API is rustix's.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

/// Read-only.
pub const RDONLY: u64 = 0x1;
/// Set-user-ID bits and file capabilities don't count.
pub const NOSUID: u64 = 0x2;
/// Device nodes can't be opened.
pub const NODEV: u64 = 0x4;
/// Nothing can be executed or mapped executable.
pub const NOEXEC: u64 = 0x8;

/// Owners are mapped by a user namespace.
pub const IDMAP: u64 = 0x0010_0000;

/// `struct mount_attr` (32 bytes, Linux 5.12).
#[repr(C)]
#[derive(Default)]
struct MountAttr {
    attr_set: u64,
    attr_clr: u64,
    propagation: u64,
    userns_fd: u64,
}

/// Adds the attributes `set` to the mount at `path` relative to `fd`, or to the one
/// that `fd` names where `path` is empty. Makes it private: a clone of a shared mount would
/// take part in what is mounted on that.
///
/// # Errors
/// The kernel's errno, see mount_setattr(2).
pub fn set_attributes(fd: impl AsFd, path: &CStr, set: u64) -> io::Result<()> {
    let attr = MountAttr {
        attr_set: set,
        propagation: libc::MS_PRIVATE,
        ..MountAttr::default()
    };
    mount_setattr(fd.as_fd().as_raw_fd(), path, libc::AT_EMPTY_PATH, &attr)
}

/// Maps the owners of a detached mount's files by a user namespace: an id in it on disk is the
/// id outside it for whoever uses the mount, and an id that isn't in it is nobody.
///
/// # Errors
/// `EINVAL` where the file system doesn't support it, else the kernel's errno, see
/// mount_setattr(2).
pub fn map_ids(fd: impl AsFd, userns: BorrowedFd<'_>) -> io::Result<()> {
    let attr = MountAttr {
        attr_set: IDMAP,
        userns_fd: userns.as_raw_fd() as u64,
        ..MountAttr::default()
    };
    mount_setattr(fd.as_fd().as_raw_fd(), c"", libc::AT_EMPTY_PATH, &attr)
}

/// Makes every mount of the caller's namespace private, so that no mount made
/// later travels either way.
///
/// # Errors
/// The kernel's errno, see mount_setattr(2).
pub fn make_private_recursive() -> io::Result<()> {
    let attr = MountAttr {
        propagation: libc::MS_PRIVATE,
        ..MountAttr::default()
    };
    mount_setattr(libc::AT_FDCWD, c"/", libc::AT_RECURSIVE, &attr)
}

fn mount_setattr(
    folder: RawFd,
    path: &CStr,
    flags: libc::c_int,
    attr: &MountAttr,
) -> io::Result<()> {
    // SAFETY: `path` is NUL-terminated and `attr` valid for the size given; the
    // kernel only reads both.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            folder,
            path.as_ptr(),
            flags,
            &raw const *attr,
            size_of::<MountAttr>(),
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
