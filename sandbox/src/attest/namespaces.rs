//! A thread's namespaces, told apart by the links in `/proc/PID/ns`: each names kind and
//! inode.

use rustix::fs::fstat;

use super::folder::Folder;
use super::{AttestError, mismatch};
use crate::plan::Plan;
use crate::policy::Net;
use crate::report::{Control, Enforcement, Report};
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
pub(super) struct Namespaces {
    ours: Set,
    inits: Set,
}

/// The links of one process.
struct Set {
    links: Vec<String>,
    user: String,
}

impl Set {
    fn of(folder: &Folder) -> Result<Set, AttestError> {
        let link = |(name, _): &(&str, _)| folder.link("ns", &format!("ns/{name}"));
        Ok(Set {
            links: NAMESPACES.iter().map(link).collect::<Result<_, _>>()?,
            user: folder.link("ns", "ns/user")?,
        })
    }
}

impl Namespaces {
    pub(super) fn of(init: &Folder) -> Result<Namespaces, AttestError> {
        Ok(Namespaces {
            ours: Set::of(&Folder::own()?)?,
            inits: Set::of(init)?,
        })
    }

    /// All must differ from ours, but for a network that is the host's by grant; all must be
    /// init's, but for the user namespace, which is nested unless a capability was granted.
    pub(super) fn attest(&self, thread: &Folder, plan: &Plan) -> Result<(), AttestError> {
        let theirs = Set::of(thread)?;
        for (index, (name, control)) in NAMESPACES.iter().enumerate() {
            if control.is_some_and(off) {
                continue;
            }
            let link = &theirs.links[index];
            let hosts = *name == "net" && plan.net == Net::Host;
            if (*link == self.ours.links[index]) != hosts {
                let wanted = if hosts {
                    "the host's"
                } else {
                    "one of its own"
                };
                return Err(differs(name, link, wanted));
            }
            if *link != self.inits.links[index] {
                return Err(differs(name, link, "init's"));
            }
        }
        let (user, nested) = (&theirs.user, plan.capabilities.is_empty());
        let as_planned = *user != self.ours.user && (*user != self.inits.user) == nested;
        if !as_planned && !off(Weakened::Ids) {
            let wanted = if nested {
                "one nested in init's"
            } else {
                "init's"
            };
            return Err(differs(USER, user, wanted));
        }
        Ok(())
    }

    /// The user namespace must be one that init's is the parent of, unless a capability was
    /// granted.
    pub(super) fn nesting(
        &self,
        thread: &Folder,
        plan: &Plan,
        report: &mut Report,
    ) -> Result<(), AttestError> {
        if let Some(capability) = plan.capabilities.first() {
            let value = format!(
                "absent by grant: {capability} over its network is held in init's user namespace, \
                 which has no slot for another"
            );
            report.add(Control::Nesting, Enforcement::Absent, true, value);
            return Ok(());
        }
        if off(Weakened::Ids) {
            return Ok(());
        }
        let read = |source| AttestError::Read {
            what: "ns/user",
            source,
        };
        let own = thread.follow("ns/user", "ns/user")?;
        let parent = crate::sys::namespace::parent(&own).map_err(read)?;
        let inode = fstat(&parent).map_err(|errno| read(errno.into()))?.st_ino;
        if format!("user:[{inode}]") != self.inits.user {
            let found = format!("user:[{inode}]");
            let what = "parent of the user namespace";
            return Err(mismatch(Control::Nesting, what, found, "init's"));
        }
        // The launch tried to make one, and fails where the answer is another than ENOSPC.
        report.enforced(Control::Nesting, "nested in init's, a further one refused");
        Ok(())
    }
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
