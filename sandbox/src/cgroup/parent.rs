//! The supervisor's own group, below which its workers get theirs.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::io::Errno;
use rustix::process::Pid;

use super::delegation::{Place, Quarters, Stranger};
use super::directory::{Directory, FileError};
use super::layout::{Controller, Kind, Layout};
use super::leaf::{Leaf, LeafError, RemoveError};
use super::limits::Limits;
use super::membership::{MemberError, Membership};

/// The group `cordon/NAME` in every hierarchy of the layout.
///
/// Dropping it tries once to remove it; [`remove`](Self::remove) says whether that worked.
#[derive(Debug)]
pub struct Parent {
    layout: Arc<Layout>,
    name: String,
    groups: Vec<Pair>,
    quarters: Option<Quarters>,
    removed: bool,
}

/// Why a supervisor's group can't be made.
#[derive(Debug, thiserror::Error)]
pub enum ParentError {
    /// Not a name for a group.
    #[error(
        "{0:?} is no name for a cgroup: 1 to 64 of letters, digits, '-', '_' and '.', not '.' first"
    )]
    Name(String),
    /// Another supervisor has it.
    #[error("the cgroup {} exists already; choose another name, or remove it", .0.display())]
    Exists(PathBuf),
    /// A controller isn't passed down to this group.
    #[error(
        "the cgroup controller {controller} is not available in {}: enable it in the \
         cgroup.subtree_control of the groups above (with systemd: Delegate=yes)",
        group.display()
    )]
    Unavailable {
        /// What is missing.
        controller: Controller,
        /// Where.
        group: PathBuf,
    },
    /// It belongs to somebody else.
    #[error("no group can be made in {}, which isn't delegated to you: {errno}", group.display())]
    NotDelegated {
        /// Where.
        group: PathBuf,
        /// What the kernel answered.
        errno: Errno,
    },
    /// v2 lets nobody but root move a process in from outside.
    #[error(
        "Cordon was started in the cgroup {}, from which nobody but root can put processes into {}",
        own.display(), group.display()
    )]
    Outside {
        /// The group that this process is in.
        own: PathBuf,
        /// Where workers were to go.
        group: PathBuf,
    },
    /// A group of that name isn't in this hierarchy, or not to be seen from here.
    #[error("the cgroup {} is not to be seen below {}", group.display(), mount.display())]
    Unseen {
        /// As it was named.
        group: PathBuf,
        /// Where the hierarchy is mounted.
        mount: PathBuf,
    },
    /// This process's own groups can't be read.
    #[error(transparent)]
    Own(#[from] MemberError),
    /// v2 wants groups that pass controllers down to hold no process themselves.
    #[error("{} holds processes, so it can't pass controllers down: move them into a leaf of it", .0.display())]
    Populated(PathBuf),
    /// As [`Populated`](Self::Populated), by processes that aren't Cordon's to move.
    #[error(
        "{} holds other processes than Cordon's, so it can't pass controllers down: {}",
        group.display(), list(strangers)
    )]
    Occupied {
        /// Where.
        group: PathBuf,
        /// The processes in the way.
        strangers: Vec<Stranger>,
    },
    /// Other supervisors kept removing `/cordon` under our hands.
    #[error("{} was removed again and again while a cgroup was made in it", .0.display())]
    Contended(PathBuf),
    /// A step that the kernel refused.
    #[error(transparent)]
    File(#[from] FileError),
}

impl ParentError {
    /// What a person can do about it; empty where the error says so itself.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::NotDelegated { .. } => {
                "start Cordon by `systemd-run --user --scope -p Delegate=yes cordon ...`, or name \
                 a group that is delegated to you by --cgroup-parent"
            }
            Self::Outside { .. } => "start it in that group, or in one below it",
            Self::Occupied { .. } => {
                "start Cordon in a group of its own (`systemd-run --user --scope -p Delegate=yes \
                 cordon ...`), or move them into a leaf of it"
            }
            _ => "",
        }
    }
}

impl Parent {
    /// Makes the group `cordon/NAME` at `place` in every hierarchy, and on v2 has all groups
    /// from there down pass on memory, pids and cpu. Processes of `ours` that are in the v2
    /// group of that place itself are moved into a leaf of it, since it must be empty for that.
    ///
    /// # Errors
    /// What is in the way; nothing is left behind then, except on v2 the controllers
    /// enabled where no process had to make room.
    pub fn create(
        layout: &Layout,
        place: &Place,
        name: &str,
        ours: &[Pid],
    ) -> Result<Self, ParentError> {
        if !is_name(name) {
            return Err(ParentError::Name(name.to_owned()));
        }
        let own = Membership::of(rustix::process::getpid())?;
        let mut parent = Self {
            layout: Arc::new(layout.clone()),
            name: name.to_owned(),
            groups: Vec::with_capacity(layout.mounts.len()),
            quarters: None,
            removed: false,
        };
        for (index, mount) in layout.mounts.iter().enumerate() {
            let made = place.directory(mount, &own).and_then(|base| {
                let base = Directory::open(&base)?;
                make(base, name)
            });
            let made = match made {
                // What isn't there for us is reported where it is asked for.
                Err(_) if layout.is_optional(index) => continue,
                made => made?,
            };
            let reachable = match layout.kind() != Kind::V1 && index == layout.parts.tracking {
                true => place.reachable(mount, &own, &made.base),
                false => Ok(()),
            };
            // Kept first, so that it is removed again.
            parent.groups.push(made);
            reachable?;
        }
        if layout.kind() == Kind::V2 {
            for Pair { base, own, .. } in &parent.groups {
                parent.quarters = make_room(base, ours)?;
                pass_controllers(&base.descend(SHARED)?)?;
                pass_controllers(own)?;
            }
        }
        Ok(parent)
    }

    /// Makes one worker's groups, with its limits set and read back.
    ///
    /// # Errors
    /// Which limit doesn't hold, and why; nothing is left behind then.
    pub fn leaf(&self, name: &str, limits: &Limits) -> Result<Leaf, LeafError> {
        let parents = self
            .groups
            .iter()
            .map(|pair| Arc::clone(&pair.own))
            .collect();
        Leaf::create(Arc::clone(&self.layout), parents, name, limits)
    }

    /// Where its groups are, one in each hierarchy.
    pub fn paths(&self) -> impl Iterator<Item = &Path> {
        self.groups.iter().map(|pair| pair.own.path())
    }

    /// Removes its groups, and `cordon` above them unless another supervisor uses it; then
    /// processes that had to make room return.
    ///
    /// # Errors
    /// [`RemoveError::Busy`] while a worker's group is left in it: remove that, try again.
    pub fn remove(&mut self) -> Result<(), RemoveError> {
        for pair in &self.groups {
            RemoveError::settle(pair.base.remove(Path::new(SHARED).join(&self.name)))?;
            match RemoveError::settle(pair.base.remove(SHARED)) {
                Ok(()) => {
                    if let Some(quarters) = self.quarters.take() {
                        quarters.leave(&pair.base);
                    }
                }
                Err(RemoveError::Busy(_)) => {}
                Err(error) => return Err(error),
            }
        }
        self.removed = true;
        Ok(())
    }
}

impl Drop for Parent {
    fn drop(&mut self) {
        if !self.removed {
            self.remove().ok();
        }
    }
}

/// Whether `name` can be a group's name: it must not look like a path or a hidden file.
pub(super) fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=64).contains(&name.len()) && !name.starts_with('.') && name.bytes().all(allowed)
}

/// The group that all supervisors share.
pub(super) const SHARED: &str = "cordon";

/// One hierarchy's part of a parent.
#[derive(Debug)]
struct Pair {
    /// The group that holds `cordon`.
    base: Directory,
    /// `cordon/NAME`.
    own: Arc<Directory>,
    /// Says that it is in use, to who looks for stale ones.
    _lock: OwnedFd,
}

fn make(base: Directory, name: &str) -> Result<Pair, ParentError> {
    let refused = |error: FileError| match error.errno {
        errno @ (Errno::ACCESS | Errno::PERM | Errno::ROFS) => ParentError::NotDelegated {
            group: base.path().to_owned(),
            errno,
        },
        _ => error.into(),
    };
    // Between our two mkdirs another supervisor may find `cordon` empty and remove it.
    for _ in 0..16 {
        match base.make(SHARED) {
            Err(error) if error.errno != Errno::EXIST => return Err(refused(error)),
            Ok(()) | Err(_) => {}
        }
        let made = base.descend(SHARED).and_then(|shared| {
            shared.make(name)?;
            // Else its name would be taken in the next round.
            claim(&shared, name).inspect_err(|_| drop(shared.remove(name)))
        });
        match made {
            Ok((own, lock)) => {
                return Ok(Pair {
                    base,
                    own: Arc::new(own),
                    _lock: lock,
                });
            }
            Err(error)
                if matches!(error.errno, Errno::NOENT | Errno::NODEV | Errno::WOULDBLOCK) => {}
            Err(error) if error.errno == Errno::EXIST => {
                return Err(ParentError::Exists(error.path));
            }
            Err(error) => return Err(refused(error)),
        }
    }
    Err(ParentError::Contended(base.path().join(SHARED)))
}

/// Opens and locks a group that was just made.
fn claim(shared: &Directory, name: &str) -> Result<(Directory, OwnedFd), FileError> {
    let own = shared.descend(name)?;
    let lock = own.lock()?;
    // Until it was locked it could be taken for a stale one, and removed.
    own.read("cgroup.procs")?;
    Ok((own, lock))
}

/// Has the group of the place pass controllers down. If processes of ours keep it from that,
/// they go into a leaf.
fn make_room(base: &Directory, ours: &[Pid]) -> Result<Option<Quarters>, ParentError> {
    match pass_controllers(base) {
        Err(ParentError::Populated(_)) => {
            let mut quarters = Quarters::take(base, ours)?;
            match pass_controllers(base) {
                Ok(passed) => {
                    quarters.passed = passed;
                    Ok(Some(quarters))
                }
                Err(error) => {
                    quarters.leave(base);
                    Err(error)
                }
            }
        }
        passed => passed.map(|_| None),
    }
}

/// Has a v2 group pass the limiting controllers to its children; which it didn't before.
fn pass_controllers(group: &Directory) -> Result<Vec<Controller>, ParentError> {
    let lists = |text: &str, controller: Controller| {
        text.split_ascii_whitespace()
            .any(|one| one == controller.name())
    };
    let passed = group.read("cgroup.subtree_control")?;
    let available = group.read("cgroup.controllers")?;
    let mut enabled = Vec::new();
    for controller in Controller::LIMITING {
        if lists(&passed, controller) {
            continue;
        }
        if !lists(&available, controller) {
            return Err(ParentError::Unavailable {
                controller,
                group: group.path().to_owned(),
            });
        }
        group
            .write("cgroup.subtree_control", &format!("+{controller}"))
            .map_err(|error| match error.errno {
                Errno::BUSY => ParentError::Populated(group.path().to_owned()),
                errno @ (Errno::ACCESS | Errno::PERM) => ParentError::NotDelegated {
                    group: group.path().to_owned(),
                    errno,
                },
                _ => error.into(),
            })?;
        enabled.push(controller);
    }
    // Limits of it are optional, as it is in what systemd delegates.
    let io = Controller::Io;
    if !lists(&passed, io)
        && lists(&available, io)
        && group.write("cgroup.subtree_control", "+io").is_ok()
    {
        enabled.push(io);
    }
    Ok(enabled)
}

fn list(strangers: &[Stranger]) -> String {
    let names: Vec<String> = strangers.iter().map(Stranger::to_string).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_their_parent() {
        for name in [
            "",
            ".",
            "..",
            "a/b",
            ".hidden",
            "a b",
            "a\n",
            &"x".repeat(65),
        ] {
            assert!(!is_name(name), "{name:?}");
        }
        assert!(is_name("greet-1.0_2"));
    }
}
