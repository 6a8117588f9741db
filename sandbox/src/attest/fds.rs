//! A worker's open fds.

use std::collections::BTreeSet;

use procfs::process::{FDTarget, Process};

use super::{AttestError, Expected, mismatch, read};
use crate::report::{Control, Report};

/// All of them, by inode.
pub(super) fn attest(
    worker: &Process,
    expected: &Expected,
    report: &mut Report,
) -> Result<(), AttestError> {
    let mut found = BTreeSet::new();
    for file in read("fd", worker.fd())? {
        let file = read("fd", file)?;
        let target = match file.target {
            FDTarget::Pipe(inode) => format!("pipe:{inode}"),
            FDTarget::Socket(inode) => format!("socket:{inode}"),
            FDTarget::Path(path) => path.to_string_lossy().into_owned(),
            other => format!("{other:?}"),
        };
        found.insert(format!("{} {target}", file.fd));
    }
    let wanted = BTreeSet::from([
        "0 /dev/null".to_owned(),
        format!("1 pipe:{}", expected.stdout),
        format!("2 pipe:{}", expected.stderr),
        format!("3 socket:{}", expected.ipc),
    ]);
    if found != wanted {
        let (found, wanted) = (format!("{found:?}"), format!("{wanted:?}"));
        return Err(mismatch(Control::Fds, "list of open fds", found, wanted));
    }
    report.enforced(Control::Fds, "stdin (/dev/null), stdout, stderr, ipc");
    Ok(())
}
