//! Controls taken away on purpose, in test builds alone.
//!
//! A test that shows a deed being stopped proves little until the same deed gets
//! through without the control. With the feature `weaken`, which no release has,
//! launcher, worker and attestation leave out what `CORDON_WEAKEN` names. Without
//! the feature [`off`] is `false` at compile time.

/// What can be taken away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weakened {
    /// The seccomp filter.
    Seccomp,
    /// The private root: the host's files are mounted into it.
    Root,
    /// User namespaces and ids: the worker keeps the launcher's.
    Ids,
    /// The network namespace.
    Net,
    /// The pid namespace.
    Pid,
    /// Emptied capabilities.
    Capabilities,
    /// Resource limits of the process.
    Rlimits,
    /// The memory limit.
    Memory,
    /// The limit on tasks.
    Pids,
    /// The supervisor's deadline and CPU limit.
    Deadline,
    /// `no_new_privs`.
    NoNewPrivs,
    /// Undumpable.
    Undumpable,
    /// Granted files that may only be read are mounted read-only.
    ReadOnly,
    /// Landlock, in whole.
    Landlock,
    /// Landlock over TCP ports.
    LandlockTcp,
    /// Landlock over signals and abstract sockets.
    LandlockScopes,
    /// Memory-deny-write-execute.
    Mdwe,
}

#[cfg(feature = "weaken")]
const NAMES: [(&str, Weakened); 17] = [
    ("seccomp", Weakened::Seccomp),
    ("root", Weakened::Root),
    ("ids", Weakened::Ids),
    ("net", Weakened::Net),
    ("pid", Weakened::Pid),
    ("capabilities", Weakened::Capabilities),
    ("rlimits", Weakened::Rlimits),
    ("memory", Weakened::Memory),
    ("pids", Weakened::Pids),
    ("deadline", Weakened::Deadline),
    ("no_new_privs", Weakened::NoNewPrivs),
    ("undumpable", Weakened::Undumpable),
    ("read_only", Weakened::ReadOnly),
    ("landlock", Weakened::Landlock),
    ("landlock-tcp", Weakened::LandlockTcp),
    ("landlock-scopes", Weakened::LandlockScopes),
    ("mdwe", Weakened::Mdwe),
];

/// What stands before a control that launcher and worker alone leave out: supervisor and
/// attestation aren't told.
const UNSEEN: &str = "unseen:";

/// Whether this build was told to leave the control out.
#[cfg(feature = "weaken")]
#[must_use]
pub fn off(control: Weakened) -> bool {
    static LIST: std::sync::OnceLock<Vec<Weakened>> = std::sync::OnceLock::new();
    LIST.get_or_init(|| {
        use crate::steps::{LAUNCHER_ARGUMENT, WORKER_ARGUMENT};
        let role = std::env::args().nth(1).unwrap_or_default();
        let below = [LAUNCHER_ARGUMENT, WORKER_ARGUMENT].contains(&role.as_str());
        let find = |entry: &str| {
            let name = match entry.strip_prefix(UNSEEN) {
                Some(name) => below.then_some(name)?,
                None => entry,
            };
            let known = NAMES.iter().find(|(known, _)| *known == name);
            known.map(|(_, control)| *control)
        };
        let list = std::env::var(VARIABLE).unwrap_or_default();
        list.split(',').filter_map(find).collect()
    })
    .contains(&control)
}

/// Whether the supervisor of this build was told to leave anything out: its workers are then
/// not held against what policy demands.
#[must_use]
pub fn weakened() -> bool {
    let list = match cfg!(feature = "weaken") {
        true => std::env::var(VARIABLE).unwrap_or_default(),
        false => return false,
    };
    let told = |entry: &str| !entry.is_empty() && !entry.starts_with(UNSEEN);
    list.split(',').any(told)
}

/// Whether this build was told to leave the control out: never.
#[cfg(not(feature = "weaken"))]
#[must_use]
pub const fn off(_: Weakened) -> bool {
    false
}

/// The variable that a `weaken` build reads, and that it alone hands on to the
/// launcher and the worker.
pub const VARIABLE: &str = "CORDON_WEAKEN";
