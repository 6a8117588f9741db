//! What supervisors leave behind that were killed together with their launchers; and what is
//! somebody's yet.

use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command};

use rustix::fs::{FlockOperation, flock};
use sandbox::cgroup::{Layout, Parent, own_name, remove_stale};

use super::{SIGKILL, TestParent, limits, topmost, unique_name, until, with_every_worker};

/// The groups that a supervisor of this name would have left, with one worker's below them.
struct Left {
    name: String,
    groups: Vec<PathBuf>,
}

impl Left {
    fn of(name: String) -> Self {
        let layout = Layout::detect().unwrap();
        let shared = layout
            .mounts()
            .iter()
            .map(|mount| mount.point.join("cordon"));
        let groups: Vec<PathBuf> = shared.map(|shared| shared.join(&name)).collect();
        for group in &groups {
            std::fs::create_dir_all(group.join("greet.0")).unwrap();
        }
        Self { name, groups }
    }

    /// Puts a process into all of them.
    fn holding(&self) -> Child {
        let child = Command::new("sleep").arg("1000").spawn().unwrap();
        for group in &self.groups {
            let members = group.join("greet.0/cgroup.procs");
            std::fs::write(members, child.id().to_string()).unwrap();
        }
        child
    }

    fn is_there(&self) -> bool {
        let there: Vec<bool> = self.groups.iter().map(|group| group.exists()).collect();
        assert!(there.iter().all(|one| *one == there[0]), "{there:?}");
        there[0]
    }

    fn is_removed(&self) -> bool {
        // Another test may be at it.
        let removed = remove_stale(&Layout::detect().unwrap(), &topmost());
        removed.contains(&self.name) || !self.is_there()
    }
}

impl Drop for Left {
    fn drop(&mut self) {
        for group in &self.groups {
            std::fs::remove_dir(group.join("greet.0")).ok();
            std::fs::remove_dir(group).ok();
        }
    }
}

/// A process that lives until it is told, with the name that its group would have.
struct Living {
    child: Child,
    name: String,
}

impl Living {
    fn start() -> Self {
        let child = Command::new("sleep").arg("1000").spawn().unwrap();
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
        let (_, fields) = stat.rsplit_once(')').unwrap();
        let start = fields.split_whitespace().nth(19).unwrap();
        let name = format!("{}-{start}-0", child.id());
        Self { child, name }
    }

    fn end(mut self) -> String {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        std::mem::take(&mut self.name)
    }
}

impl Drop for Living {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[test]
fn groups_of_an_ended_supervisor_are_removed_and_what_is_left_in_them_is_killed() {
    let left = Left::of(Living::start().end());
    let mut survivor = left.holding();

    until(|| left.is_removed());

    assert!(!left.is_there());
    assert_eq!(survivor.wait().unwrap().signal(), Some(SIGKILL));
}

#[test]
fn groups_of_a_supervisor_whose_pid_is_anothers_now_are_removed_and_that_one_lives() {
    let mut other = Living::start();
    let (pid, start) = (other.child.id(), other.name.split('-').nth(1).unwrap());
    let earlier = start.parse::<u64>().unwrap() - 1;
    let left = Left::of(format!("{pid}-{earlier}-0"));

    until(|| left.is_removed());

    assert_eq!(other.child.try_wait().unwrap(), None);
}

#[test]
fn groups_of_a_supervisor_that_lives_stay() {
    let living = Living::start();
    let left = Left::of(living.name.clone());

    assert!(!left.is_removed());

    assert!(left.is_there());
    drop(living);
    until(|| left.is_removed());
}

/// Where the supervisor can't be seen, its launcher's lock says that it lives.
#[test]
fn groups_that_are_locked_stay() {
    let left = Left::of(Living::start().end());
    let held = std::fs::File::open(left.groups.last().unwrap()).unwrap();
    flock(&held, FlockOperation::LockExclusive).unwrap();
    let mut survivor = left.holding();

    assert!(!left.is_removed());

    assert_eq!(survivor.try_wait().unwrap(), None);
    drop(held);
    until(|| left.is_removed());
    survivor.wait().unwrap();
}

#[test]
fn groups_of_another_user_stay() {
    let left = Left::of(Living::start().end());
    for group in &left.groups {
        chown(group, Some(4_000_003), None).unwrap();
    }

    assert!(!left.is_removed());
    assert!(left.is_there());
}

#[test]
fn groups_of_other_names_stay() {
    let left = Left::of(unique_name());

    assert!(!left.is_removed());
    assert!(left.is_there());
}

#[test]
fn two_supervisors_side_by_side_leave_each_other_alone() {
    let layout = Layout::detect().unwrap();
    let name = || {
        own_name(
            super::COUNT
                .fetch_add(1, std::sync::atomic::Ordering::Relaxed)
                .into(),
        )
    };
    let [first, second] = [name(), name()]
        .map(|name| Parent::create(&layout, &topmost(), &name.unwrap(), &[]).unwrap());
    let [mut one, mut two] =
        [&first, &second].map(|parent| parent.leaf("worker", &limits()).unwrap());

    let removed = remove_stale(&layout, &topmost());

    for parent in [&first, &second] {
        let own = parent.paths().next().unwrap().file_name().unwrap();
        assert!(
            !removed.iter().any(|name| name.as_str() == own),
            "{removed:?}"
        );
        assert!(with_every_worker(parent).all(|path| path.join("worker").exists()));
    }
    one.remove().unwrap();
    two.remove().unwrap();
}

/// A launcher's own group is locked from when it is made, and no other user can lock it: that
/// takes a directory that may be read.
#[test]
fn group_in_use_is_locked_and_its_owners_alone() {
    let parent = TestParent::new();
    for path in parent.0.paths() {
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        let group = std::fs::File::open(path).unwrap();
        flock(&group, FlockOperation::NonBlockingLockExclusive).unwrap_err();
    }
}
