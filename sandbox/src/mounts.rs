//! The private root: a capped tmpfs of mount points, with everything attached from
//! detached mounts held by fd. Nothing of the host is in it but what is named here.

use std::collections::BTreeSet;
use std::ffi::CStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, major, minor, mkdirat, openat, symlinkat};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, UnmountFlags, fsconfig_create,
    fsconfig_set_string, fsmount, fsopen, move_mount, unmount,
};
use rustix::process::{fchdir, pivot_root};

use crate::files;
use crate::plan::Plan;
use crate::policy::{FileAccess, Tmpfs};
use crate::sys::mount::{IDMAP, NODEV, NOEXEC, NOSUID, RDONLY, set_attributes};

/// Where the worker's own loader and libraries are, seen from the worker.
pub const LIBRARY_FOLDER: &str = "/lib";
/// Where the plugin and its libraries are, seen from the worker.
pub const PLUGIN_FOLDER: &str = "/plugin";
/// Where a granted temporary folder is.
pub const TMP_FOLDER: &str = "/tmp";

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
    /// Of `ro`, `nosuid`, `nodev`, `noexec` and `idmapped` those that are set, in that order.
    pub flags: Vec<&'static str>,
    /// Neither shared with another mount namespace nor a slave of one.
    pub private: bool,
}

/// All that is mounted in the root that a plan describes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Planned {
    /// The sandbox's own, with exactly these flags.
    own: BTreeSet<Mounted>,
    /// What is granted, with these flags at least: the host may have mounted it with more.
    granted: BTreeSet<Mounted>,
}

impl Planned {
    /// What the root of `plan` has.
    #[must_use]
    pub fn of(plan: &Plan) -> Planned {
        let mut own = BTreeSet::from([
            mounted("/", RDONLY | NOSUID | NODEV | NOEXEC),
            mounted(LIBRARY_FOLDER, RDONLY | NOSUID | NODEV),
            mounted(PLUGIN_FOLDER, RDONLY | NOSUID | NODEV),
        ]);
        own.extend(DEVICES.iter().map(|(name, _)| {
            let point = format!("/dev/{}", name.to_string_lossy());
            mounted(&point, RDONLY | NOSUID | NOEXEC)
        }));
        if plan.tmp.is_some() {
            own.insert(mounted(TMP_FOLDER, NOSUID | NODEV | NOEXEC));
        }
        let granted = plan.files.iter().map(|file| {
            let mut flags = files::flags(file.access, plan.executable_files);
            // What lies under an overlay is mapped, not the overlay.
            if files::are_mapped(plan.ids) && !matches!(file.access, FileAccess::Overlay(_)) {
                flags |= IDMAP;
            }
            mounted(&escaped(&file.target), flags)
        });
        Planned {
            granted: granted.collect(),
            own,
        }
    }

    /// Whether `found` is this and nothing else; a mount that hides another at its point
    /// would be one more.
    #[must_use]
    pub fn is(&self, found: &[Mounted]) -> bool {
        let is_granted = |wanted: &Mounted| {
            let mut same = found.iter().filter(|found| found.point == wanted.point);
            same.any(|found| found.private && wanted.flags.iter().all(|f| found.flags.contains(f)))
        };
        found.len() == self.own.len() + self.granted.len()
            && self.own.iter().all(|wanted| found.contains(wanted))
            && self.granted.iter().all(is_granted)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Mounted> {
        self.own.iter().chain(&self.granted)
    }
}

fn mounted(point: &str, flags: u64) -> Mounted {
    let known = [
        (RDONLY, "ro"),
        (NOSUID, "nosuid"),
        (NODEV, "nodev"),
        (NOEXEC, "noexec"),
        (IDMAP, "idmapped"),
    ];
    let set = known.into_iter().filter(|(flag, _)| flags & flag != 0);
    Mounted {
        point: point.to_owned(),
        flags: set.map(|(_, name)| name).collect(),
        private: true,
    }
}

/// A path as mountinfo has it, where blanks separate fields.
fn escaped(path: &Path) -> String {
    let escape = |c: char| match c {
        ' ' | '\t' | '\n' | '\\' => format!("\\{:03o}", c as u32),
        c => c.to_string(),
    };
    path.to_string_lossy().chars().map(escape).collect()
}

/// The mounts in the text of a `/proc/PID/mountinfo`, see proc_pid_mountinfo(5).
#[must_use]
pub fn listed(mountinfo: &str) -> Vec<Mounted> {
    let mount = |line: &str| {
        let mut fields = line.split(' ').skip(4);
        let mut next = || fields.next().unwrap_or_default();
        let (point, options) = (next(), next());
        let known = ["ro", "nosuid", "nodev", "noexec", "idmapped"].into_iter();
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

/// The ids of the mounts in such a text, as `fdinfo` names them too (`mnt_id`).
pub fn mount_ids(mountinfo: &str) -> impl Iterator<Item = u32> {
    let id = |line: &str| line.split(' ').next()?.parse().ok();
    mountinfo.lines().filter_map(id)
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

    /// The root's fd, for what is granted in it.
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

/// A detached tmpfs, nosuid and nodev.
pub(crate) fn tmpfs(caps: Tmpfs, mode: &CStr, extra: MountAttrFlags) -> io::Result<OwnedFd> {
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

/// Attaches a detached mount over what `point` is open on.
pub(crate) fn attach_over(mount: BorrowedFd<'_>, point: BorrowedFd<'_>) -> io::Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    Ok(move_mount(mount, c"", point, c"", flags)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned() -> Planned {
        Planned {
            own: [mounted("/", RDONLY | NOEXEC)].into(),
            granted: [mounted("/data", NOSUID)].into(),
        }
    }

    #[test]
    fn mountinfo_parses_with_flags_and_propagation() {
        let text = "74 50 0:42 / / ro,nosuid,nodev,noexec,relatime - tmpfs none rw,size=64k\n\
            45 74 0:40 / /plugin rw,relatime shared:7 master:1 - tmpfs none ro\n";
        let shared = Mounted {
            private: false,
            ..mounted("/plugin", 0)
        };
        let root = mounted("/", RDONLY | NOSUID | NODEV | NOEXEC);
        assert_eq!(listed(text), [root, shared]);
    }

    #[test]
    fn grants_may_have_more_flags_and_the_sandboxs_own_may_not() {
        let own = mounted("/", RDONLY | NOEXEC);
        for (root, data, matches) in [
            (own.clone(), mounted("/data", NOSUID), true),
            (own.clone(), mounted("/data", NOSUID | RDONLY), true),
            (own.clone(), mounted("/data", RDONLY), false),
            (own.clone(), mounted("/other", NOSUID), false),
            (mounted("/", RDONLY), mounted("/data", NOSUID), false),
            (
                mounted("/", RDONLY | NOEXEC | NODEV),
                mounted("/data", NOSUID),
                false,
            ),
        ] {
            assert_eq!(planned().is(&[root, data]), matches);
        }
        let twice = [own, mounted("/data", NOSUID), mounted("/data", NOSUID)];
        assert!(!planned().is(&twice));
        assert!(!planned().is(&twice[..1]));
    }

    #[test]
    fn blanks_of_a_target_are_escaped() {
        assert_eq!(escaped(Path::new("/a b\\c\nd")), "/a\\040b\\134c\\012d");
    }
}
