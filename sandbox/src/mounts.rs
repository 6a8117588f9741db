//! The private root: a capped tmpfs of mount points, with everything attached from
//! detached mounts held by fd. Nothing of the host is in it but what is named here.

use std::collections::BTreeSet;
use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, major, minor, mkdirat, openat, symlinkat};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, UnmountFlags, fsconfig_create,
    fsconfig_set_string, fsmount, fsopen, move_mount, unmount,
};
use rustix::process::{fchdir, pivot_root};

use crate::policy::Tmpfs;
use crate::sys::mount::{NODEV, NOEXEC, NOSUID, RDONLY, set_attributes};

/// Where the plugin and its libraries are, seen from the worker.
pub const PLUGIN_FOLDER: &str = "/plugin";

/// The devices of a worker: name and device number, by the kernel's
/// `Documentation/admin-guide/devices.txt`.
pub const DEVICES: [(&CStr, (u32, u32)); 4] = [
    (c"null", (1, 3)),
    (c"zero", (1, 5)),
    (c"full", (1, 7)),
    (c"urandom", (1, 9)),
];

/// A mount of the private root as the worker's `/proc/PID/mountinfo` shows it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mounted {
    /// Mount point in the private root.
    pub point: String,
    /// Of `ro`, `nosuid`, `nodev` and `noexec` those that are set, in that order.
    pub flags: Vec<&'static str>,
    /// Neither shared with another mount namespace nor a slave of one.
    pub private: bool,
}

/// All that is mounted in the root that [`Root`] makes, with or without its `/tmp`.
#[must_use]
pub fn planned(tmp: bool) -> BTreeSet<Mounted> {
    let mounted = |point: &str, flags: &[&'static str]| Mounted {
        point: point.to_owned(),
        flags: flags.to_vec(),
        private: true,
    };
    let mut table = BTreeSet::from([
        mounted("/", &["ro", "nosuid", "nodev", "noexec"]),
        mounted("/lib", &["ro", "nosuid", "nodev"]),
        mounted(PLUGIN_FOLDER, &["ro", "nosuid", "nodev"]),
    ]);
    table.extend(DEVICES.iter().map(|(name, _)| {
        let point = format!("/dev/{}", name.to_string_lossy());
        mounted(&point, &["ro", "nosuid", "noexec"])
    }));
    if tmp {
        table.insert(mounted("/tmp", &["nosuid", "nodev", "noexec"]));
    }
    table
}

/// The mounts in the text of a `/proc/PID/mountinfo`, see proc_pid_mountinfo(5).
#[must_use]
pub fn listed(mountinfo: &str) -> Vec<Mounted> {
    let mount = |line: &str| {
        let mut fields = line.split(' ').skip(4);
        let mut next = || fields.next().unwrap_or_default();
        let (point, options) = (next(), next());
        let known = ["ro", "nosuid", "nodev", "noexec"].into_iter();
        Mounted {
            point: point.to_owned(),
            flags: known
                .filter(|flag| options.split(',').any(|option| option == *flag))
                .collect(),
            // The optional fields, of propagation all of them, end with a dash.
            private: next() == "-",
        }
    };
    mountinfo.lines().map(mount).collect()
}

/// Opens the host's devices, each checked to be what its name says.
///
/// # Errors
/// `ENODEV` where a node is something else, else the kernel's errno.
pub fn open_devices() -> io::Result<Vec<OwnedFd>> {
    let folder = openat(CWD, c"/dev", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    DEVICES
        .iter()
        .map(|(name, number)| {
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let node = openat(&folder, *name, flags, Mode::empty())?;
            let stat = fstat(&node)?;
            let is_device = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice;
            if !is_device || (major(stat.st_rdev), minor(stat.st_rdev)) != *number {
                return Err(io::Error::from_raw_os_error(libc::ENODEV));
            }
            Ok(node)
        })
        .collect()
}

/// A root under construction. It lies over the old one already, which absolute paths still
/// begin at: before Linux 6.15 nothing can be attached to a mount that is itself detached.
pub struct Root(OwnedFd);

impl Root {
    /// An empty, capped root with its mount points, in a mount namespace of its own.
    ///
    /// # Errors
    /// The kernel's errno.
    pub fn new(caps: Tmpfs) -> io::Result<Root> {
        let root = tmpfs(caps, c"0755", MountAttrFlags::MOUNT_ATTR_NOEXEC)?;
        attach(root.as_fd(), CWD, c"/")?;
        for folder in [c"lib", c"plugin", c"dev", c"usr", c"tmp"] {
            mkdirat(&root, folder, Mode::from_raw_mode(0o755))?;
        }
        // Whatever default path the host's loader was built with leads to the one
        // folder of libraries.
        for (target, link) in [
            ("lib", "lib64"),
            ("../lib", "usr/lib"),
            ("../lib", "usr/lib64"),
        ] {
            symlinkat(target, &root, link)?;
        }
        Ok(Root(root))
    }

    /// Attaches the worker's own libraries and the plugin's image.
    ///
    /// # Errors
    /// The kernel's errno, see move_mount(2).
    pub fn attach_images(&self, base: BorrowedFd<'_>, plugin: BorrowedFd<'_>) -> io::Result<()> {
        attach(base, self.0.as_fd(), c"lib")?;
        attach(plugin, self.0.as_fd(), c"plugin")
    }

    /// Attaches detached mounts of [`DEVICES`], in their order.
    ///
    /// # Errors
    /// The kernel's errno.
    pub fn attach_devices(&self, devices: &[OwnedFd]) -> io::Result<()> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = openat(&self.0, c"dev", flags, Mode::empty())?;
        for ((name, _), device) in DEVICES.iter().zip(devices) {
            let create = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
            drop(openat(&folder, *name, create, Mode::from_raw_mode(0o444))?);
            // Writing to a device needs no writable mount; a chmod of it would.
            set_attributes(device, c"", RDONLY | NOSUID | NOEXEC)?;
            attach(device.as_fd(), folder.as_fd(), name)?;
        }
        Ok(())
    }

    /// Mounts a private, writable, noexec `/tmp`.
    ///
    /// # Errors
    /// The kernel's errno.
    pub fn attach_tmp(&self, caps: Tmpfs) -> io::Result<()> {
        let tmp = tmpfs(caps, c"1777", MountAttrFlags::MOUNT_ATTR_NOEXEC)?;
        attach(tmp.as_fd(), self.0.as_fd(), c"tmp")
    }

    /// The root's fd, for tests that add to it.
    #[cfg(feature = "weaken")]
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// Makes it the root of the calling process's mount namespace, detaches all that
    /// was there before, and makes it read-only.
    ///
    /// # Errors
    /// The kernel's errno.
    pub fn enter(self) -> io::Result<()> {
        fchdir(&self.0)?;
        pivot_root(c".", c".")?;
        // The old root lies over the new one now, with all that is mounted on it. Once
        // only: what is left at "." after that is the new root.
        unmount(c".", UnmountFlags::DETACH)?;
        rustix::process::chdir(c"/")?;
        set_attributes(CWD, c"/", RDONLY | NOSUID | NODEV | NOEXEC)
    }
}

fn tmpfs(caps: Tmpfs, mode: &CStr, extra: MountAttrFlags) -> io::Result<OwnedFd> {
    let context = fsopen(c"tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_string(&context, c"size", caps.bytes.to_string())?;
    fsconfig_set_string(&context, c"nr_inodes", caps.inodes.to_string())?;
    fsconfig_set_string(&context, c"mode", mode)?;
    fsconfig_create(&context)?;
    let attributes = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV | extra;
    Ok(fsmount(
        &context,
        FsMountFlags::FSMOUNT_CLOEXEC,
        attributes,
    )?)
}

/// Attaches a detached mount at `path` below `folder`.
pub(crate) fn attach(mount: BorrowedFd<'_>, folder: BorrowedFd<'_>, path: &CStr) -> io::Result<()> {
    Ok(move_mount(
        mount,
        c"",
        folder,
        path,
        MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH,
    )?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mountinfo_parses_with_flags_and_propagation() {
        let text = "74 50 0:42 / / ro,nosuid,nodev,noexec,relatime - tmpfs none rw,size=64k\n\
            45 74 0:40 / /plugin rw,relatime shared:7 master:1 - tmpfs none ro\n";
        let root = planned(false).into_iter().find(|mount| mount.point == "/");
        let shared = Mounted {
            point: "/plugin".into(),
            flags: Vec::new(),
            private: false,
        };
        assert_eq!(listed(text), [root.unwrap(), shared]);
    }
}
