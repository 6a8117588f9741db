//! File descriptors of this process: each worker takes some.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::builder::MAX_WORKERS;
use crate::worker::LaunchError;

/// Most fds that a launch has open at a time, with those that its worker then keeps.
const PER_LAUNCH: u64 = 40;

/// There are too few file descriptors for one more worker.
#[derive(Debug, thiserror::Error)]
#[error(
    "{used} of {limit} file descriptors are in use, and a launch takes up to {PER_LAUNCH}: \
     raise the hard limit on open files (`ulimit -Hn`, LimitNOFILE= of a systemd unit)"
)]
pub struct TooFewFds {
    /// Open in this process, or needed by launches under way.
    pub used: u64,
    /// What it may have open.
    pub limit: u64,
}

/// Raises the soft limit to the hard one, and that to what so many workers take where it is
/// lower and this process may (CAP_SYS_RESOURCE, see setrlimit(2)).
pub(crate) fn raise_limit() {
    let needed = MAX_WORKERS as u64 * PER_LAUNCH;
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let raise = |limit| {
        let (current, maximum) = (limit, limit);
        setrlimit(Resource::Nofile, Rlimit { current, maximum }).is_ok()
    };
    let short = maximum.is_some_and(|maximum| maximum < needed);
    if !(short && raise(Some(needed))) {
        // Refused only where the system's own limit (fs.nr_open) was lowered meanwhile: what
        // there is has to do then.
        raise(maximum);
    }
}

/// Whether one more launch finds the fds that it needs, besides so many under way.
pub(super) fn enough(loading: usize) -> Result<(), TooFewFds> {
    let open = open().unwrap_or(0);
    check(open + loading as u64 * PER_LAUNCH, limit())
}

fn check(used: u64, limit: u64) -> Result<(), TooFewFds> {
    if used + PER_LAUNCH <= limit {
        return Ok(());
    }
    Err(TooFewFds { used, limit })
}

fn open() -> Option<u64> {
    let own = procfs::process::Process::myself().ok()?;
    own.fd_count().ok().map(|count| count as u64)
}

fn limit() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

impl TooFewFds {
    /// What is behind a launch that failed with `EMFILE`.
    pub(super) fn behind(error: &LaunchError) -> Option<TooFewFds> {
        let LaunchError::Setup { source, .. } = error else {
            return None;
        };
        let emfile = io::Error::from(rustix::io::Errno::MFILE).raw_os_error();
        (source.raw_os_error() == emfile).then(|| TooFewFds {
            used: open().unwrap_or_else(limit),
            limit: limit(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn launch_needs_room_for_its_fds() {
        assert!(check(984, 1024).is_ok());
        let error = check(985, 1024).unwrap_err();
        assert!(error.to_string().starts_with("985 of 1024 "), "{error}");
    }

    #[test]
    fn emfile_becomes_a_hint_and_no_other_error_does() {
        let setup = |errno: rustix::io::Errno| LaunchError::Setup {
            what: "socket",
            source: errno.into(),
        };
        assert!(TooFewFds::behind(&setup(rustix::io::Errno::MFILE)).is_some());
        assert!(TooFewFds::behind(&setup(rustix::io::Errno::NOMEM)).is_none());
    }
}
