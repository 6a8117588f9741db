//! The confinement report: what is enforced, as read back from the kernel.

use serde::Serialize;

/// A control of DESIGN.md §5, by the name that reports and options use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Control {
    /// Own user, mount, pid, net, ipc, uts and cgroup namespaces, the user one nested.
    Namespaces,
    /// The private root: nothing mounted but what the plan says, with its flags.
    Root,
    /// An id that nobody else on the host has.
    Ids,
    /// Five empty capability sets.
    Capabilities,
    /// No exec can win privilege.
    NoNewPrivs,
    /// No core dump, and nothing for processes of the same id to inspect.
    Undumpable,
    /// Resource limits of the process.
    Rlimits,
    /// The one filter, with its listener outside.
    Seccomp,
    /// Nothing open but what was handed over.
    Fds,
    /// Limits of the cgroup.
    Cgroup,
    /// No fd that the worker sends is kept.
    PassedFds,
}

/// How far a control holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Enforcement {
    /// In full, as read back.
    Enforced,
    /// In part.
    Degraded,
    /// Not at all.
    Absent,
}

/// One line of the report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Which control.
    pub control: Control,
    /// How far it holds.
    pub enforcement: Enforcement,
    /// The value that was read.
    pub value: String,
}

/// Everything that was read back of one worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
pub struct Report {
    /// In the order of [`Control`].
    pub findings: Vec<Finding>,
}

impl Report {
    pub(crate) fn enforced(&mut self, control: Control, value: impl Into<String>) {
        let enforcement = Enforcement::Enforced;
        self.findings.push(Finding {
            control,
            enforcement,
            value: value.into(),
        });
    }

    /// Adds a control that another part read back.
    pub fn add(&mut self, control: Control, enforcement: Enforcement, value: impl Into<String>) {
        self.findings.push(Finding {
            control,
            enforcement,
            value: value.into(),
        });
        self.findings.sort_by_key(|finding| finding.control);
    }
}
