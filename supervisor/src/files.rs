//! Files that policy grants, as they really are on the host.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use sandbox::files::locate::{LocateError, locate};
use sandbox::files::rules::Allowed;
use sandbox::policy::{FileAccess, FileGrant};

use crate::config::Policy;

/// All that the launcher may ever be made to grant. What isn't there yet is allowed by its path
/// as written, and must have no link in it when it is.
pub(crate) fn allowed(policy: &Policy) -> Vec<Allowed> {
    let rules = policy.all_rules().flat_map(|rules| &rules.grants.files);
    let mut allowed: Vec<Allowed> = Vec::new();
    for rule in rules {
        let source = rule.source.as_path();
        let rule = Allowed {
            source: locate(source, operator()).unwrap_or_else(|_| source.to_owned()),
            access: rule.access,
        };
        if !allowed.contains(&rule) {
            allowed.push(rule);
        }
    }
    allowed
}

/// Files with their sources as they are at this moment.
pub(crate) fn located(files: Vec<FileGrant>) -> Result<Vec<FileGrant>, LocateError> {
    let located = |file: FileGrant| {
        let source = locate(&file.source, operator())?;
        Ok(FileGrant { source, ..file })
    };
    files.into_iter().map(located).collect()
}

/// The disks behind what may be written to, each by its major and minor number. File systems
/// without one of their own (of memory, of the network, Btrfs) have none.
pub(crate) fn disks(files: &[FileGrant]) -> BTreeSet<(u32, u32)> {
    let written = files
        .iter()
        .filter(|file| matches!(file.access, FileAccess::Write { .. }));
    written.filter_map(|file| disk(&file.source)).collect()
}

/// The kernel limits whole disks: of a partition, which lies in its disk's folder of sysfs, that
/// one.
fn disk(file: &Path) -> Option<(u32, u32)> {
    let device = rustix::fs::stat(file).ok()?.st_dev;
    let (major, minor) = (rustix::fs::major(device), rustix::fs::minor(device));
    let folder = PathBuf::from(format!("/sys/dev/block/{major}:{minor}"));
    if !folder.join("partition").exists() {
        return folder.exists().then_some((major, minor));
    }
    let whole = std::fs::canonicalize(folder).ok()?;
    let number = std::fs::read_to_string(whole.parent()?.join("dev")).ok()?;
    let (major, minor) = number.trim().split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Whose links are followed, besides root's.
fn operator() -> u32 {
    rustix::process::geteuid().as_raw()
}
