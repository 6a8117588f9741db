//! A thread's namespaces, told apart by the links in `/proc/PID/ns`: each names kind and
//! inode.
//!
//! Init's own links aren't read. It never called exec, so its memory counts as that of the
//! launcher's user namespace, and undumpable as it is, a supervisor without privilege may not
//! look. The kernel tells by ioctl_nsfs(2) which user namespace owns the others, and by status
//! whose child in which pid namespace the worker is.

use std::io;
use std::os::fd::AsFd;

use rustix::fs::fstat;

use super::folder::Folder;
use super::{AttestError, field, mismatch};
use crate::plan::Plan;
use crate::policy::Net;
use crate::report::{Control, Enforcement, Report};
use crate::sys::namespace::{owner, parent};
use crate::weaken::{Weakened, off};

/// Namespaces that every worker has for itself, by their names in `/proc/PID/ns`.
const NAMESPACES: [(&str, Option<Weakened>); 6] = [
    ("mnt", None),
    ("pid", Some(Weakened::Pid)),
    ("net", Some(Weakened::Net)),
    ("ipc", None),
    ("uts", None),
    ("cgroup", None),
];
const USER: &str = "user";

/// Whose namespaces a worker's are held against.
#[derive(Debug, Clone)]
pub(super) struct Namespaces {
    /// The supervisor's, in the order of [`NAMESPACES`].
    ours: Vec<String>,
    our_user: String,
    init: u32,
    /// Init's pid in each pid namespace that it is in, from ours down to the one it heads.
    inits_pids: Vec<u32>,
}

impl Namespaces {
    pub(super) fn of(init: u32, folder: &Folder) -> Result<Namespaces, AttestError> {
        let own = Folder::own()?;
        let link = |(name, _): &(&str, _)| own.link("ns", &format!("ns/{name}"));
        Ok(Namespaces {
            ours: NAMESPACES.iter().map(link).collect::<Result<_, _>>()?,
            our_user: own.link("ns", "ns/user")?,
            init,
            inits_pids: pids(&folder.text("status")?),
        })
    }

    /// Init's pid, as our `/proc` counts it.
    pub(super) fn init(&self) -> u32 {
        self.init
    }

    /// Fails unless a thread is a child of init's in the namespaces that were attested when it was
    /// loaded. Their inodes tell: nobody else gets those while init lives, which is in all of them
    /// but the worker's user namespace, and for another one of that kind there is no slot.
    pub(super) fn attest_again(
        &self,
        thread: &Folder,
        status: &str,
        plan: &Plan,
        before: &Inodes,
    ) -> Result<(), AttestError> {
        self.below_init(status)?;
        let inodes = Inodes::of(thread)?;
        if inodes == *before {
            return Ok(());
        }
        // What can be said of it is said first.
        self.attest(thread, status, plan)?;
        let wanted = "those that it was loaded in";
        Err(mismatch(
            Control::Namespaces,
            "inodes of the namespaces",
            format!("{inodes:?}"),
            format!("{wanted}, {before:?}"),
        ))
    }

    /// All must differ from ours, but for a network that is the host's by grant. All others
    /// must belong to the user namespace in which that of the worker was made, or to the
    /// worker's own if a capability was granted.
    pub(super) fn attest(
        &self,
        thread: &Folder,
        status: &str,
        plan: &Plan,
    ) -> Result<(), AttestError> {
        self.below_init(status)?;
        let outer = self.outer(thread, plan)?;
        for ((name, control), ours) in NAMESPACES.iter().zip(&self.ours) {
            if control.is_some_and(off) {
                continue;
            }
            let path = format!("ns/{name}");
            let link = thread.link("ns", &path)?;
            let hosts = *name == "net" && plan.net == Net::Host;
            if (link == *ours) != hosts {
                let wanted = if hosts {
                    "the host's"
                } else {
                    "one of its own"
                };
                return Err(differs(name, &link, wanted));
            }
            let Some(outer) = outer.as_ref().filter(|_| !hosts) else {
                continue;
            };
            let owner = owner(thread.follow("ns", &path)?)
                .and_then(user)
                .map_err(unread)?;
            if owner != *outer {
                let what = format!("owner of the {name} namespace");
                return Err(mismatch(Control::Nesting, what, owner, outer));
            }
        }
        Ok(())
    }

    /// The user namespace that the worker's others belong to; nothing in a build that was told
    /// to make none.
    fn outer(&self, thread: &Folder, plan: &Plan) -> Result<Option<String>, AttestError> {
        if off(Weakened::Ids) {
            return Ok(None);
        }
        let own = thread.follow("ns", "ns/user")?;
        let own_user = user(own.as_fd()).map_err(unread)?;
        if own_user == self.our_user {
            return Err(differs(USER, &own_user, "one of its own"));
        }
        if !plan.capabilities.is_empty() {
            return Ok(Some(own_user));
        }
        let outer = parent(own).and_then(user).map_err(unread)?;
        if outer == self.our_user {
            let what = "parent of the user namespace";
            return Err(mismatch(Control::Nesting, what, outer, "init's"));
        }
        Ok(Some(outer))
    }

    /// The worker must be a child of init, in the pid namespace that init heads.
    fn below_init(&self, status: &str) -> Result<(), AttestError> {
        if off(Weakened::Pid) {
            return Ok(());
        }
        let above = field(status, "PPid").unwrap_or("missing");
        if above != self.init.to_string() {
            let wanted = format!("init, {}", self.init);
            let what = "parent process";
            return Err(mismatch(
                Control::Namespaces,
                what,
                above.to_owned(),
                wanted,
            ));
        }
        let depth = pids(status).len();
        if self.inits_pids.last() != Some(&1) || depth != self.inits_pids.len() {
            return Err(differs(
                "pid",
                &format!("{depth} deep"),
                "the one that init heads",
            ));
        }
        Ok(())
    }

    /// What [`attest`](Self::attest) showed of the worker's user namespace.
    pub(super) fn nesting(plan: &Plan, report: &mut Report) {
        if let Some(capability) = plan.capabilities.first() {
            let value = format!(
                "absent by grant: {capability} over its network is held in init's user namespace, \
                 which has no slot for another"
            );
            report.add(Control::Nesting, Enforcement::Absent, true, value);
        } else if !off(Weakened::Ids) {
            // The launch tried to make one, and fails where the answer is another than ENOSPC.
            let value = "below the user namespace that owns the others, a further one refused";
            report.enforced(Control::Nesting, value);
        }
    }
}

/// A thread's namespaces by their inodes, its user namespace last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Inodes([u64; NAMESPACES.len() + 1]);

impl Inodes {
    pub(super) fn of(thread: &Folder) -> Result<Inodes, AttestError> {
        let mut inodes = [0; NAMESPACES.len() + 1];
        let kinds = NAMESPACES.iter().map(|(name, _)| *name).chain([USER]);
        for (inode, name) in inodes.iter_mut().zip(kinds) {
            *inode = thread.inode("ns", &format!("ns/{name}"))?;
        }
        Ok(Inodes(inodes))
    }
}

/// A user namespace by the name that its links have.
fn user(namespace: impl AsFd) -> io::Result<String> {
    Ok(format!("user:[{}]", fstat(namespace)?.st_ino))
}

fn unread(source: io::Error) -> AttestError {
    let what = "owner of a namespace";
    AttestError::Read { what, source }
}

/// The line `NSpid` of a `status`.
fn pids(status: &str) -> Vec<u32> {
    let pids = field(status, "NSpid").unwrap_or_default();
    pids.split_ascii_whitespace()
        .filter_map(|pid| pid.parse().ok())
        .collect()
}

/// What was found of all but the user namespace's nesting.
pub(super) fn find(plan: &Plan, report: &mut Report) {
    match plan.net {
        Net::Isolated => {
            report.enforced(Control::Namespaces, "user, mnt, pid, net, ipc, uts, cgroup");
        }
        Net::Host => report.add(
            Control::Namespaces,
            Enforcement::Degraded,
            true,
            "user, mnt, pid, ipc, uts, cgroup; the network is the host's, by grant",
        ),
    }
}

fn differs(name: &str, found: &str, wanted: &str) -> AttestError {
    let what = format!("{name} namespace");
    mismatch(Control::Namespaces, what, found.to_owned(), wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn namespaces() -> Namespaces {
        Namespaces {
            ours: Vec::new(),
            our_user: String::new(),
            init: 70,
            inits_pids: vec![70, 1],
        }
    }

    #[test]
    fn child_of_init_in_its_pid_namespace_passes() {
        let status = "PPid:\t70\nNSpid:\t71\t2\n";
        namespaces().below_init(status).unwrap();
    }

    #[test]
    fn process_that_is_elsewhere_is_refused() {
        for (status, named) in [
            ("PPid:\t1\nNSpid:\t71\t2\n", "parent process"),
            ("PPid:\t70\nNSpid:\t71\n", "pid namespace"),
            ("PPid:\t70\nNSpid:\t71\t3\t1\n", "pid namespace"),
        ] {
            let error = namespaces().below_init(status).unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
        let headless = Namespaces {
            inits_pids: vec![70, 5],
            ..namespaces()
        };
        let status = "PPid:\t70\nNSpid:\t71\t2\n";
        assert!(headless.below_init(status).is_err());
    }
}
