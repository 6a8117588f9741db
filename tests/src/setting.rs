//! The setting that the tests run in: as root, or as an ordinary user to whom
//! `scripts/as-user` delegates a cgroup.

use std::io::Write;
use std::path::{Path, PathBuf};

pub use cordon_supervisor::supervisor::CGROUP_PARENT;

/// An id without rights.
pub const NOBODY: u32 = 65534;

/// Whether the tests run as root.
#[must_use]
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Below which group of the hierarchy mounted there the supervisors of the tests make theirs.
#[must_use]
pub fn cgroup_parent(mount: &Path) -> PathBuf {
    match std::env::var(CGROUP_PARENT) {
        Ok(group) => mount.join(group.trim_start_matches('/')),
        Err(_) => mount.to_owned(),
    }
}

/// Whether to try controls one by one, by leaving out all others. An ordinary user's worker has
/// the id of the tests, and the host refuses it much by itself: what a control stops alone shows
/// as root.
#[must_use]
pub fn weakened_by_root_alone() -> bool {
    if !is_root() {
        skip(
            "controls left out",
            "an ordinary user's worker has no id of its own",
        );
    }
    is_root()
}

/// Says that the running test leaves something out, and why; `scripts/test` counts these lines.
pub fn skip(what: &str, why: &str) {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    // Not by `println!`, which is captured.
    writeln!(std::io::stderr(), "skipped: {test}: {what}: {why}").ok();
}
