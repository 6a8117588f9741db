//! What this host offers to a supervisor: all that the sandbox wants, and what lies around
//! it.

use std::path::Path;

use rustix::process::{Resource, geteuid, getrlimit};
use sandbox::plan::Ids;
use sandbox::support::{self, Facility, Offer, State};

use crate::elf::{Closure, Dynamic, LibraryDirs};
use crate::paths::runtime_folder;
use crate::program::{FILE_NAME, Program, ProgramError, VARIABLE};
use crate::supervisor::{cgroup_place, raise_fd_limit};
use crate::uids::Uids;

/// Fds that a supervisor with its first worker has open at a time.
const FIRST_WORKER: u64 = 96;
/// Fds that it keeps for each further worker.
const PER_WORKER: u64 = 20;

/// Looks at this host for the calling user, in the order of [`Facility`]; `cgroup_parent` as for
/// [`Builder::cgroup_parent`](crate::Builder::cgroup_parent). Call it while the process has one
/// thread; with more, nothing is tried that takes a process of its own, and strict policy is
/// held impossible.
#[must_use]
pub fn examine(cgroup_parent: Option<&Path>) -> Vec<Offer> {
    let (ids, found) = ids();
    let mut offers = support::offers(ids, &cgroup_place(cgroup_parent));
    offers.extend([worker_program(), found, open_files()]);
    offers.sort_by_key(|offer| offer.facility);
    offers
}

/// The program, with its libraries.
fn worker_program() -> Offer {
    let facility = Facility::WorkerProgram;
    let lacking = |found: String| {
        let why = "there is nothing to run workers with";
        Offer::lacking(facility, State::Missing, found, why)
    };
    let program = match Program::find(None) {
        Ok(program) => program,
        Err(error) => {
            return lacking(error.to_string()).mended_by(mend(&error));
        }
    };
    match libraries(&program) {
        Ok(()) => Offer::available(facility, program.path.display().to_string()),
        Err(error) => lacking(error).mended_by("install what it was built with"),
    }
}

fn mend(error: &ProgramError) -> String {
    match error {
        // The launcher is executed from memory, so that nobody can change its file meanwhile.
        ProgramError::Seal(_) => "sysctl -w vm.memfd_noexec=1, if it is 2; else more memory".into(),
        _ => format!(
            "{FILE_NAME} beside cordon, or {VARIABLE}=PATH; it must be root's or yours, and \
             nobody else's to write: chmod go-w"
        ),
    }
}

fn libraries(program: &Program) -> Result<(), String> {
    let dirs = LibraryDirs::system(&[]).map_err(|error| error.to_string())?;
    let dynamic = Dynamic::of_program(&program.path, program.bytes.as_slice())
        .map_err(|error| error.to_string())?;
    let closure = Closure::resolve(&program.path, &dynamic, &dirs);
    closure.map(drop).map_err(|error| error.to_string())
}

/// Whom a worker would be, and what was found about that.
fn ids() -> (Ids, Offer) {
    let facility = Facility::Ids;
    if !geteuid().is_root() {
        let found = "a worker has its user's own id";
        return (Ids::Own, Offer::available(facility, found));
    }
    let locked = runtime_folder()
        .map_err(|error| error.to_string())
        .and_then(|folder| Uids::lock(&folder).map_err(|error| error.to_string()));
    match locked {
        Ok(mut uids) => {
            let found = format!("a range of {} that nobody else uses", uids.range().len());
            let ids = uids.take().map_or(Ids::Own, Ids::Mapped);
            (ids, Offer::available(facility, found))
        }
        Err(error) => {
            let why = "workers would share an id with others";
            let offer = Offer::lacking(facility, State::Missing, error, why)
                .mended_by("end other supervisors, or make /run writable");
            (Ids::Own, offer)
        }
    }
}

fn open_files() -> Offer {
    // As a supervisor does when it starts.
    raise_fd_limit();
    judge_open_files(getrlimit(Resource::Nofile).maximum)
}

fn judge_open_files(limit: Option<u64>) -> Offer {
    let facility = Facility::OpenFiles;
    let Some(limit) = limit else {
        return Offer::available(facility, "no limit");
    };
    if limit >= FIRST_WORKER {
        let room = (limit - FIRST_WORKER) / PER_WORKER + 1;
        return Offer::available(
            facility,
            format!("up to {limit}, for some {room} worker(s)"),
        );
    }
    let why = "a launch would run out of them";
    Offer::lacking(facility, State::Missing, format!("up to {limit}"), why)
        .mended_by("ulimit -Hn 65536 as root, LimitNOFILE=65536 of a systemd unit")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_few_open_files_for_one_worker_are_none_at_all() {
        assert_eq!(judge_open_files(None).state, State::Available);
        let some = judge_open_files(Some(1024));
        assert_eq!(some.found, "up to 1024, for some 47 worker(s)");
        assert_eq!(judge_open_files(Some(FIRST_WORKER)).state, State::Available);
        assert!(judge_open_files(Some(FIRST_WORKER - 1)).blocks());
    }

    #[test]
    fn memory_that_cannot_be_executed_is_mended_by_its_setting() {
        let refused = ProgramError::Seal(std::io::ErrorKind::PermissionDenied.into());
        assert!(mend(&refused).contains("vm.memfd_noexec=1"));
        let missing = ProgramError::NotFound {
            beside: "/usr/bin/cordon-worker".into(),
        };
        assert!(mend(&missing).contains(VARIABLE));
    }
}
