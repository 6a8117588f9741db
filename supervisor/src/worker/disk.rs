//! What a worker has written to its places in memory: `/tmp` and overlays.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{Mode, OFlags, ResolveFlags, fstatfs, open, openat2};
use sandbox::policy::FileAccess;

use super::Worker;

/// Where a private `/tmp` is.
const TMP: &str = "/tmp";

impl Worker {
    /// Bytes that they hold, as their file systems count them, with what lies in no folder any
    /// more; nothing if the worker ended meanwhile.
    ///
    /// Folders of the host that it may write to aren't counted: nothing tells its bytes there
    /// from others', and no look at them is bounded.
    pub(super) fn disk_usage(&self) -> Option<u64> {
        let places = self.places();
        if places.is_empty() {
            return Some(0);
        }
        let root = open(
            format!("/proc/{}/root", self.pid),
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        );
        let root = root.ok()?;
        // Only now is it known whose root that is.
        sandbox::sys::pidfd::pid(&self.pidfd).ok()?;
        places.iter().map(|place| used(&root, place)).sum()
    }

    /// The places, but for those within another grant: on the way to them lies a file system
    /// that may keep us waiting, and their own cap holds all the same.
    fn places(&self) -> Vec<&Path> {
        let plan = &self.expected.plan;
        let overlays = plan
            .files
            .iter()
            .filter(|file| matches!(file.access, FileAccess::Overlay(_)))
            .map(|file| file.target.as_path());
        let within = |place: &Path| {
            let mut others = plan.files.iter().filter(|file| file.target != place);
            others.any(|file| place.starts_with(&file.target))
        };
        let tmp = plan.tmp.map(|_| Path::new(TMP));
        tmp.into_iter()
            .chain(overlays.filter(|place| !within(place)))
            .collect()
    }
}

/// Bytes in use of the file system at `place` of a worker's root. That of an overlay is its upper
/// layer's (`ovl_statfs`).
fn used(root: &OwnedFd, place: &Path) -> Option<u64> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    let place = openat2(root.as_fd(), place, flags, Mode::empty(), resolve).ok()?;
    let counted = fstatfs(&place).ok()?;
    let blocks = counted.f_blocks.saturating_sub(counted.f_bfree);
    Some(blocks.saturating_mul(u64::try_from(counted.f_bsize).ok()?))
}
