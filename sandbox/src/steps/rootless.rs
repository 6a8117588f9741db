//! The namespaces of a launcher without privilege. In a user namespace of its own it may make
//! mounts and namespaces for its workers; outside it may do what whoever started it may do.

use std::fs;
use std::io;

use nix::sched::{CloneFlags, unshare};

/// Why an ordinary user can't have a sandbox here.
#[derive(Debug, thiserror::Error)]
#[error("namespaces: an ordinary user can't {step}: {source}{hint}", hint = hint(*.step, .source))]
pub struct RootlessError {
    step: Step,
    source: io::Error,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    User,
    Maps,
    Mount,
    Propagation,
}

/// Moves the calling process, which must be single-threaded, into a user namespace of its own,
/// where its ids are 0 and stand for what they were, and into a mount namespace.
///
/// # Errors
/// The step that the host refused, and what mends it.
pub(super) fn enter() -> Result<(), RootlessError> {
    let at = |step| move |source| RootlessError { step, source };
    let uid = rustix::process::geteuid().as_raw();
    let gid = rustix::process::getegid().as_raw();
    make(CloneFlags::CLONE_NEWUSER).map_err(at(Step::User))?;
    // Without this nobody unprivileged may map a group: leaving one can give access.
    fs::write("/proc/self/setgroups", "deny").map_err(at(Step::Maps))?;
    fs::write("/proc/self/uid_map", format!("0 {uid} 1")).map_err(at(Step::Maps))?;
    fs::write("/proc/self/gid_map", format!("0 {gid} 1")).map_err(at(Step::Maps))?;
    make(CloneFlags::CLONE_NEWNS).map_err(at(Step::Mount))?;
    crate::sys::mount::make_private_recursive().map_err(at(Step::Propagation))
}

fn make(namespace: CloneFlags) -> io::Result<()> {
    Ok(unshare(namespace)?)
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Step::User => "make a user namespace",
            Step::Maps => "map ids in a user namespace",
            Step::Mount => "make a mount namespace",
            Step::Propagation => "make mounts private",
        })
    }
}

/// The ways in which hosts forbid it, and the setting of each.
fn hint(step: Step, error: &io::Error) -> &'static str {
    match (step, error.raw_os_error()) {
        (Step::User, Some(libc::ENOSPC)) => {
            " (raise the limit: `sysctl -w user.max_user_namespaces=15000`; in a user namespace \
             its own limit counts)"
        }
        (Step::Mount, Some(libc::ENOSPC)) => " (raise `sysctl user.max_mnt_namespaces`)",
        (Step::User, Some(libc::EPERM)) => {
            " (allow them: `sysctl -w kernel.unprivileged_userns_clone=1`; in a container its \
             seccomp profile or a chroot can forbid them too)"
        }
        (_, Some(libc::EPERM | libc::EACCES)) => {
            " (is it AppArmor? `sysctl -w kernel.apparmor_restrict_unprivileged_userns=0`, or a \
             profile for cordon-worker with `userns,`)"
        }
        (Step::User, Some(libc::EINVAL | libc::ENOSYS)) => {
            " (this kernel is built without CONFIG_USER_NS)"
        }
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_forbid_it_is_mended_by_name() {
        let hints = [
            (Step::User, libc::ENOSPC, "user.max_user_namespaces"),
            (Step::User, libc::EPERM, "unprivileged_userns_clone"),
            (Step::User, libc::EINVAL, "CONFIG_USER_NS"),
            (Step::Maps, libc::EPERM, "apparmor_restrict"),
            (Step::Mount, libc::EACCES, "apparmor_restrict"),
            (Step::Mount, libc::ENOSPC, "user.max_mnt_namespaces"),
        ];
        for (step, errno, named) in hints {
            let source = io::Error::from_raw_os_error(errno);
            let error = RootlessError { step, source }.to_string();
            assert!(error.contains(named), "{error}");
        }
    }
}
