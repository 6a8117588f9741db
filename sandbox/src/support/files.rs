//! Whose the files of a grant can be: as root they are id-mapped, which not every file system
//! can be.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::CWD;
use rustix::mount::{OpenTreeFlags, open_tree};

use super::{Facility, Offer, State};
use crate::files::IdMaps;
use crate::plan::Ids;
use crate::sys::mount::map_ids;

/// Where files lie that somebody may want to grant.
const FOLDERS: [&str; 6] = ["/", "/home", "/srv", "/opt", "/var", "/tmp"];

/// Tries one folder of each file system.
pub(super) fn offer(ids: Ids) -> Offer {
    if ids == Ids::Own {
        let found = "not needed: a worker has its user's own id";
        return Offer::available(Facility::IdMappedMounts, found);
    }
    let mut seen = BTreeSet::new();
    let tried: Vec<(&str, io::Result<()>)> = FOLDERS
        .into_iter()
        .filter(|folder| {
            std::fs::metadata(folder).is_ok_and(|metadata| seen.insert(metadata.dev()))
        })
        .map(|folder| (folder, try_folder(Path::new(folder), ids)))
        .collect();
    judge(&tried)
}

fn try_folder(folder: &Path, ids: Ids) -> io::Result<()> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let mount = open_tree(CWD, folder, flags)?;
    match IdMaps::of(ids).owned_by(0, 0)? {
        Some(userns) => map_ids(mount.as_fd(), userns),
        None => Ok(()),
    }
}

fn judge(tried: &[(&str, io::Result<()>)]) -> Offer {
    let facility = Facility::IdMappedMounts;
    let list = |good: bool| {
        let folders = tried.iter().filter(|(_, result)| result.is_ok() == good);
        let folders: Vec<&str> = folders.map(|(folder, _)| *folder).collect();
        folders.join(", ")
    };
    let (can, cannot) = (list(true), list(false));
    if cannot.is_empty() {
        return Offer::available(facility, format!("the file systems of {can}"));
    }
    let state = match can.is_empty() {
        true => State::Missing,
        false => State::Degraded,
    };
    let found = format!("not the file systems of {cannot}");
    Offer::lacking(facility, state, found, "a grant of files there is refused").mended_by(
        "files to be granted belong on ext4, xfs, btrfs or the like; on tmpfs from Linux 6.3 on",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_systems_that_cannot_be_mapped_are_named() {
        let no = || Err(io::Error::from_raw_os_error(libc::EINVAL));
        assert_eq!(judge(&[("/", Ok(()))]).state, State::Available);
        assert_eq!(judge(&[("/", no())]).state, State::Missing);
        let some = judge(&[("/", Ok(())), ("/tmp", no())]);
        assert_eq!(some.state, State::Degraded);
        assert_eq!(some.found, "not the file systems of /tmp");
        assert!(!some.blocks());
    }
}
