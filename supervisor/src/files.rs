//! Files that policy grants, as they really are on the host.

use sandbox::files::locate::{LocateError, locate};
use sandbox::files::rules::Allowed;
use sandbox::policy::FileGrant;

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

/// Whose links are followed, besides root's.
fn operator() -> u32 {
    rustix::process::geteuid().as_raw()
}
