//! What can stop a deed, by the name that deeds use.

use std::fmt;
use std::str::FromStr;

use sandbox::report::{Control, Enforcement, Report};
use sandbox::weaken::{Weakened, off};
use serde::{Serialize, Serializer};

use crate::document::printable;

macro_rules! barriers {
    ($($(#[$doc:meta])* $name:ident, $text:literal, $control:expr, $weakened:expr;)*) => {
        /// What stops a deed.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Barrier { $($(#[$doc])* $name,)* }

        impl Barrier {
            /// All of them.
            pub const ALL: &'static [Barrier] = &[$(Barrier::$name,)*];

            /// The name that deeds use, and `CORDON_WEAKEN` where it can be left out.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Barrier::$name => $text,)* }
            }

            /// The control of the confinement report that tells whether it stands; `None` for
            /// what needs nothing of the host.
            fn control(self) -> Option<Control> {
                match self { $(Barrier::$name => $control,)* }
            }

            fn weakened(self) -> Option<Weakened> {
                match self { $(Barrier::$name => $weakened,)* }
            }
        }
    };
}

barriers! {
    /// The system call filter.
    Seccomp, "seccomp", Some(Control::Seccomp), Some(Weakened::Seccomp);
    /// The private root: what isn't in it can't be named.
    Root, "root", Some(Control::Root), Some(Weakened::Root);
    /// An id, and a user namespace, without rights over anything else.
    Ids, "ids", Some(Control::Ids), Some(Weakened::Ids);
    /// The network namespace.
    Net, "net", Some(Control::Namespaces), Some(Weakened::Net);
    /// The pid namespace.
    Pid, "pid", Some(Control::Namespaces), Some(Weakened::Pid);
    /// Empty capability sets.
    Capabilities, "capabilities", Some(Control::Capabilities), Some(Weakened::Capabilities);
    /// Resource limits of the process.
    Rlimits, "rlimits", Some(Control::Rlimits), Some(Weakened::Rlimits);
    /// The cgroup's limit on memory.
    Memory, "memory", Some(Control::Cgroup), Some(Weakened::Memory);
    /// The cgroup's limit on tasks.
    Pids, "pids", Some(Control::Cgroup), Some(Weakened::Pids);
    /// Resource limits of the process in the place of a cgroup, where the operator does without.
    StandIn, "stand-in", Some(Control::Cgroup), None;
    /// The supervisor's deadlines and its limit on CPU time.
    Deadline, "deadline", None, Some(Weakened::Deadline);
    /// No exec can win privilege.
    NoNewPrivs, "no_new_privs", Some(Control::NoNewPrivs), Some(Weakened::NoNewPrivs);
    /// No core dump, and nothing to inspect.
    Undumpable, "undumpable", Some(Control::Undumpable), Some(Weakened::Undumpable);
    /// Landlock over files.
    Landlock, "landlock", Some(Control::Landlock), Some(Weakened::Landlock);
    /// Landlock over TCP ports.
    LandlockTcp, "landlock-tcp", Some(Control::LandlockTcp), Some(Weakened::LandlockTcp);
    /// Landlock's scopes.
    LandlockScopes, "landlock-scopes", Some(Control::LandlockScopes), Some(Weakened::LandlockScopes);
    /// Memory that was written never becomes code.
    Mdwe, "mdwe", Some(Control::Mdwe), Some(Weakened::Mdwe);
    /// A session keyring of its own.
    Keyring, "keyring", Some(Control::Keyring), None;
    /// Nothing is open but what was handed over.
    Fds, "fds", Some(Control::Fds), None;
    /// No fd that the worker sends is kept.
    PassedFds, "passed-fds", Some(Control::PassedFds), None;
    /// Init traces it, and there is but one tracer.
    Tracing, "tracing", Some(Control::Tracing), None;
    /// The file is looked at, as data, before anything loads it.
    Precheck, "precheck", None, None;
    /// Its libraries are found by the supervisor, in trusted folders.
    Closure, "closure", None, None;
    /// Its image: vetted bytes that nobody can change.
    Image, "image", None, None;
    /// Flags of its mounts: read-only, noexec, nosuid.
    Mounts, "mounts", Some(Control::Root), None;
    /// What a manifest may say.
    Manifest, "manifest", None, None;
    /// The dynamic loader: what it takes, and whom a plugin's symbols serve.
    Loader, "loader", None, None;
    /// A process of its own: what it does to itself is done to nobody else.
    Process, "process", None, None;
    /// Manifest ∩ policy.
    Grants, "grants", None, None;
    /// What the supervisor takes for a message.
    Protocol, "protocol", None, None;
    /// The budgets of output and messages, and escapes.
    Output, "output", None, None;
    /// The kernel, for whoever asks.
    Kernel, "kernel", None, None;
}

impl Barrier {
    /// Whether a build for tests can leave it out.
    #[must_use]
    pub fn can_be_left_out(self) -> bool {
        self.weakened().is_some()
    }

    /// Whether this build was told to leave it out.
    #[must_use]
    pub fn left_out(self) -> bool {
        self.weakened().is_some_and(off)
    }

    /// Whether the kernel said of this worker that it holds: in full, but for what stands in for
    /// a control that is degraded.
    #[must_use]
    pub fn holds(self, report: &Report) -> bool {
        let needed = match self {
            Barrier::StandIn => Enforcement::Degraded,
            _ => Enforcement::Enforced,
        };
        self.control().is_none_or(|control| {
            let finding = report.finding(control);
            finding.is_some_and(|finding| finding.enforcement == needed)
        })
    }
}

impl fmt::Display for Barrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Serialize for Barrier {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// A name that no barrier has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("nothing that stops a deed is called {0:?}; there are {names}", names = names())]
pub struct UnknownBarrier(pub String);

fn names() -> String {
    let names: Vec<&str> = Barrier::ALL.iter().map(|barrier| barrier.name()).collect();
    names.join(", ")
}

impl FromStr for Barrier {
    type Err = UnknownBarrier;

    fn from_str(name: &str) -> Result<Self, UnknownBarrier> {
        let known = Barrier::ALL.iter().find(|barrier| barrier.name() == name);
        known
            .copied()
            .ok_or_else(|| UnknownBarrier(printable(name)))
    }
}
