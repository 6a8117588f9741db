//! A writable layer in memory over a granted folder, by init
//! (`Documentation/filesystems/overlayfs.rst`).

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, mkdirat};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, UnmountFlags, fsconfig_create, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen, unmount,
};
use rustix::process::fchdir;

use crate::mounts::{attach, attach_over, tmpfs};
use crate::policy::Tmpfs;

/// Inodes of the layer's tmpfs that no file of the worker's has: its root, `upper`, `work` and
/// what overlayfs makes in it, `lower`.
const OVERHEAD: u64 = 6;

/// An overlay as a detached mount: `lower`, and over it a capped tmpfs. Overlayfs keeps both by
/// itself; until it has them they are attached at `point`, which is free again afterwards.
/// Changes the working directory.
pub(super) fn over(
    lower: BorrowedFd<'_>,
    caps: Tmpfs,
    point: BorrowedFd<'_>,
) -> io::Result<OwnedFd> {
    let caps = Tmpfs {
        inodes: caps.inodes.saturating_add(OVERHEAD),
        ..caps
    };
    let layer = tmpfs(caps, c"0700", MountAttrFlags::MOUNT_ATTR_NOEXEC)?;
    attach_over(layer.as_fd(), point)?;
    for folder in [c"lower", c"upper", c"work"] {
        mkdirat(&layer, folder, Mode::from_raw_mode(0o755))?;
    }
    attach(lower, layer.as_fd(), c"lower")?;
    // Layers are named by paths (fds only since Linux 6.13), and absolute ones begin at the
    // old root still.
    fchdir(&layer)?;
    let overlay = mount()?;
    // With `lower`, which is attached to it.
    unmount(c".", UnmountFlags::DETACH)?;
    Ok(overlay)
}

fn mount() -> io::Result<OwnedFd> {
    let context = fsopen(c"overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    for (key, folder) in [
        (c"lowerdir", c"lower"),
        (c"upperdir", c"upper"),
        (c"workdir", c"work"),
    ] {
        fsconfig_set_string(&context, key, folder)?;
    }
    // In a user namespace overlayfs may keep its notes in `user.*` attributes alone.
    fsconfig_set_flag(&context, c"userxattr")?;
    fsconfig_create(&context)?;
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID
        | MountAttrFlags::MOUNT_ATTR_NODEV
        | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    Ok(fsmount(
        &context,
        FsMountFlags::FSMOUNT_CLOEXEC,
        attributes,
    )?)
}
