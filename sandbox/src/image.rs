//! A plugin's image: its bytes and its libraries in a small read-only tmpfs.
//!
//! Built from fds that were checked, so what was hashed is what gets mapped; the
//! host's files behind them may change without effect.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags, fchmod, fstat, openat, sendfile};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, OpenTreeFlags, fsconfig_create,
    fsconfig_reconfigure, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, open_tree,
};

use crate::support::Kernel;

/// The largest image, in bytes.
pub const MAX_BYTES: u64 = 1 << 30;

/// The files of one image, and the mount they are kept in.
pub struct Image {
    files: Vec<(String, OwnedFd)>,
    mount: Option<OwnedFd>,
}

impl Image {
    /// Builds an image of one flat folder.
    ///
    /// # Errors
    /// `EFBIG` above [`MAX_BYTES`], `EINVAL` for a name with a slash, else the kernel's
    /// errno.
    pub fn build(files: Vec<(String, OwnedFd)>) -> io::Result<Image> {
        let mount = if Kernel::running().clones_detached_mounts() {
            Some(fill(&files)?)
        } else {
            None
        };
        Ok(Image { files, mount })
    }

    /// A detached mount of it for one worker, read-only, nosuid, nodev.
    ///
    /// # Errors
    /// The kernel's errno.
    pub fn detached_mount(&self) -> io::Result<OwnedFd> {
        match &self.mount {
            Some(mount) => clone_mount(mount.as_fd()),
            None => fill(&self.files),
        }
    }
}

/// A detached copy of the mount that `source` names.
///
/// # Errors
/// The kernel's errno, see open_tree(2).
pub fn clone_mount(source: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_EMPTY_PATH;
    Ok(open_tree(source, c"", flags)?)
}

fn fill(files: &[(String, OwnedFd)]) -> io::Result<OwnedFd> {
    let mut pages = 0;
    for (_, file) in files {
        pages += (fstat(file)?.st_size as u64).div_ceil(4096);
    }
    if pages > MAX_BYTES / 4096 {
        return Err(io::Error::from_raw_os_error(libc::EFBIG));
    }
    let context = fsopen(c"tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(&context, c"nr_blocks", (pages + 1).to_string())?;
    fsconfig_set_string(&context, c"nr_inodes", (files.len() + 2).to_string())?;
    fsconfig_set_string(&context, c"mode", c"0555")?;
    fsconfig_create(&context)?;
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV;
    let mount = fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?;
    for (name, file) in files {
        copy(file.as_fd(), mount.as_fd(), name)?;
    }
    // The superblock, not just this mount: no later mount of it can be writable.
    fsconfig_set_flag(&context, c"ro")?;
    fsconfig_reconfigure(&context)?;
    crate::sys::mount::set_attributes(&mount, c"", crate::sys::mount::RDONLY)?;
    Ok(mount)
}

fn copy(source: BorrowedFd<'_>, folder: BorrowedFd<'_>, name: &str) -> io::Result<()> {
    if name.is_empty() || name.contains('/') || name == "." || name == ".." {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let target = openat(folder, name, flags, Mode::from_raw_mode(0o400))?;
    let size = fstat(source)?.st_size as u64;
    let mut offset = 0;
    while offset < size {
        let wanted = usize::try_from(size - offset)
            .unwrap_or(usize::MAX)
            .min(1 << 30);
        if sendfile(&target, source, Some(&mut offset), wanted)? == 0 {
            // It shrank while being copied.
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    fchmod(&target, Mode::from_raw_mode(0o555))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn file(content: &[u8]) -> OwnedFd {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        file.into()
    }

    #[test]
    fn image_holds_the_bytes_and_nobody_can_change_them() {
        let image = Image::build(vec![("lib.so".into(), file(&[7; 5000]))]).unwrap();
        let mount = image.detached_mount().unwrap();
        let read = openat(&mount, "lib.so", OFlags::RDONLY, Mode::empty()).unwrap();
        assert_eq!(fstat(&read).unwrap().st_size, 5000);
        let write = openat(&mount, "lib.so", OFlags::WRONLY, Mode::empty());
        assert_eq!(write.unwrap_err(), rustix::io::Errno::ROFS);
    }

    #[test]
    fn names_that_leave_the_folder_are_refused() {
        for name in ["", "..", "a/b", "/etc/passwd"] {
            assert!(
                Image::build(vec![(name.into(), file(b"x"))])
                    .and_then(|image| image.detached_mount())
                    .is_err()
            );
        }
    }
}
