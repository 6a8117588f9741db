//! From a detached mount to its place in the private root, by init.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path};

use rustix::fs::{Mode, OFlags, mkdirat, openat};

use super::open::{Opened, without_links};
use super::overlay;
use crate::mounts::attach_over;
use crate::policy::{FileAccess, FileGrant};

/// Attaches what was opened for `files` in the root under construction, outer targets first.
/// Changes the working directory.
pub(crate) fn attach(
    root: BorrowedFd<'_>,
    files: &[FileGrant],
    opened: &[Opened],
) -> io::Result<()> {
    for (index, (file, opened)) in files.iter().zip(opened).enumerate() {
        let mut earlier = files[..index].iter();
        let within = earlier.any(|outer| file.target.starts_with(&outer.target));
        let point = match within {
            true => existing(root, &file.target)?,
            false => made(root, &file.target, opened.folder)?,
        };
        let layered = match file.access {
            FileAccess::Overlay(caps) => {
                Some(overlay::over(opened.mount.as_fd(), caps, point.as_fd())?)
            }
            FileAccess::Read | FileAccess::Write { .. } => None,
        };
        let mount = layered.as_ref().unwrap_or(&opened.mount);
        attach_over(mount.as_fd(), point.as_fd())?;
    }
    Ok(())
}

/// A mount point in another grant, which isn't ours to make anything in, nor its links to
/// follow.
fn existing(root: BorrowedFd<'_>, target: &Path) -> io::Result<OwnedFd> {
    let below = target.strip_prefix("/").unwrap_or(target);
    Ok(without_links(root, below)?)
}

/// A mount point in the private root, made with the folders that lead to it.
fn made(root: BorrowedFd<'_>, target: &Path, folder: bool) -> io::Result<OwnedFd> {
    let mut names: Vec<_> = target
        .components()
        .filter_map(|component| match component {
            Component::Normal(name) => Some(name),
            _ => None,
        })
        .collect();
    let file = if folder { None } else { names.pop() };
    let mut here = root.try_clone_to_owned()?;
    for name in names {
        match mkdirat(&here, name, Mode::from_raw_mode(0o755)) {
            Ok(()) | Err(rustix::io::Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        here = openat(&here, name, flags, Mode::empty())?;
    }
    let Some(name) = file else {
        return Ok(here);
    };
    let create = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
    drop(openat(&here, name, create, Mode::from_raw_mode(0o444))?);
    Ok(without_links(here.as_fd(), name)?)
}
