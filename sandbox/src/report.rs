//! The confinement report: what is enforced, as read back from the kernel, and what of it
//! strict policy won't do without.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

macro_rules! controls {
    ($($(#[$doc:meta])* $name:ident, $text:literal, $class:ident;)*) => {
        /// A control of DESIGN.md §5, by the name that reports and options use.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Control { $($(#[$doc])* $name,)* }

        impl Control {
            /// All of them, in the order of reports.
            pub const ALL: &'static [Control] = &[$(Control::$name,)*];

            /// The name that reports, policies and options use.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Control::$name => $text,)* }
            }

            /// Whether strict policy can do without it.
            #[must_use]
            pub fn class(self) -> Class {
                match self { $(Control::$name => Class::$class,)* }
            }
        }
    };
}

controls! {
    /// Own user, mount, pid, net, ipc, uts and cgroup namespaces.
    Namespaces, "namespaces", Core;
    /// The user namespace nested in init's, and none below it.
    Nesting, "nesting", Core;
    /// The private root: nothing mounted but what the plan says, with its flags.
    Root, "root", Core;
    /// An id that nobody else on the host has.
    Ids, "ids", Core;
    /// Five empty capability sets, or what was granted and nothing else.
    Capabilities, "capabilities", Core;
    /// No exec can win privilege.
    NoNewPrivs, "no-new-privs", Core;
    /// No core dump, and nothing for processes of the same id to inspect.
    Undumpable, "undumpable", Core;
    /// Resource limits of the process.
    Rlimits, "rlimits", Core;
    /// The one filter, with its listener outside.
    Seccomp, "seccomp", Core;
    /// Nothing open but what was handed over.
    Fds, "fds", Core;
    /// Limits of the cgroup.
    Cgroup, "cgroup", Core;
    /// What policy sets for where workers compete: memory.high, cpu.weight, io.
    Resources, "resources", Hardening;
    /// Landlock over files, mirroring the mounts.
    Landlock, "landlock", Core;
    /// Landlock over TCP ports (ABI 4, Linux 6.7).
    LandlockTcp, "landlock-tcp", Hardening;
    /// Landlock's scopes: signals and abstract sockets (ABI 6, Linux 6.12).
    LandlockScopes, "landlock-scopes", Hardening;
    /// Memory that was written never becomes code (Linux 6.3).
    Mdwe, "mdwe", Hardening;
    /// Speculative store bypass and indirect branches, for good.
    Speculation, "speculation", Hardening;
    /// No sibling hyperthread runs foreign code meanwhile.
    CoreScheduling, "core-scheduling", Hardening;
    /// A session keyring of its own.
    Keyring, "keyring", Hardening;
    /// No fd that the worker sends is kept.
    PassedFds, "passed-fds", Hardening;
    /// Init traces every thread, and holds the one that dies: without it a crash has no
    /// registers and no backtrace.
    Tracing, "tracing", Hardening;
}

/// How strict policy treats a control.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Class {
    /// Works on every kernel from the baseline on, and is demanded.
    Core,
    /// Demanded where kernel and processor offer it.
    Hardening,
}

impl std::fmt::Display for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

/// A name that no control has.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no control is called {0:?}; there are {names}", names = Control::ALL.iter().map(|c| c.name()).collect::<Vec<_>>().join(", "))]
pub struct UnknownControl(pub String);

impl std::str::FromStr for Control {
    type Err = UnknownControl;

    fn from_str(name: &str) -> Result<Self, UnknownControl> {
        let find = Control::ALL.iter().find(|control| control.name() == name);
        find.copied()
            .ok_or_else(|| UnknownControl(name.chars().take(64).collect()))
    }
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
    /// Whether this kernel and processor offer it in full.
    pub offered: bool,
    /// The value that was read; for what isn't enforced, why.
    pub value: String,
}

/// Everything that was read back of one worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
pub struct Report {
    /// In the order of [`Control`].
    pub findings: Vec<Finding>,
}

/// What policy demands of a report.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Demands {
    /// Hardening that is demanded even where the host doesn't offer it.
    pub required: BTreeSet<Control>,
    /// Controls that may be degraded or absent, by the operator's explicit word.
    pub allow_degraded: BTreeSet<Control>,
    /// Controls that grants depend on, which would reach further than they say without: these
    /// are demanded whatever else is allowed.
    pub depended_on: BTreeSet<Control>,
}

impl Report {
    /// Adds what holds in full.
    pub fn enforced(&mut self, control: Control, value: impl Into<String>) {
        self.add(control, Enforcement::Enforced, true, value);
    }

    /// Adds a control as it was read back.
    pub fn add(
        &mut self,
        control: Control,
        enforcement: Enforcement,
        offered: bool,
        value: impl Into<String>,
    ) {
        self.findings.retain(|finding| finding.control != control);
        self.findings.push(Finding {
            control,
            enforcement,
            offered,
            value: value.into(),
        });
        self.findings.sort_by_key(|finding| finding.control);
    }

    /// What was found of a control.
    #[must_use]
    pub fn finding(&self, control: Control) -> Option<&Finding> {
        self.findings
            .iter()
            .find(|finding| finding.control == control)
    }

    /// The controls that `demands` insists on and that don't hold; one that nobody read back
    /// doesn't hold.
    #[must_use]
    pub fn unmet(&self, demands: &Demands) -> Vec<Control> {
        let unmet = |control: &Control| match self.finding(*control) {
            Some(finding) => !demands.met_by(finding),
            None => {
                demands.depended_on.contains(control) || !demands.allow_degraded.contains(control)
            }
        };
        Control::ALL.iter().copied().filter(unmet).collect()
    }

    /// Holds the report against `demands`.
    ///
    /// # Errors
    /// [`Unmet`], with the whole report in it.
    pub fn meet(&self, demands: &Demands) -> Result<(), Unmet> {
        let unmet = self.unmet(demands);
        if unmet.is_empty() {
            return Ok(());
        }
        let found = |control| match self.finding(control) {
            Some(finding) => finding.clone(),
            None => Finding {
                control,
                enforcement: Enforcement::Absent,
                offered: true,
                value: "nothing was read back of it".to_owned(),
            },
        };
        Err(Unmet {
            findings: unmet.into_iter().map(found).collect(),
            depended_on: demands.depended_on.clone(),
            report: self.clone(),
        })
    }

    /// Holds what is known so far against `demands`: what isn't known may hold yet.
    ///
    /// # Errors
    /// [`Unmet`] for a control that is known not to hold.
    pub fn may_meet(&self, demands: &Demands) -> Result<(), Unmet> {
        let unmet = self.findings.iter().filter(|one| !demands.met_by(one));
        let findings: Vec<Finding> = unmet.cloned().collect();
        match findings.is_empty() {
            true => Ok(()),
            false => Err(Unmet {
                findings,
                depended_on: demands.depended_on.clone(),
                report: self.clone(),
            }),
        }
    }

    /// What `demands` would refuse, were it not for the operator's explicit word.
    #[must_use]
    pub fn conceded(&self, demands: &Demands) -> Vec<&Finding> {
        let strict = Demands {
            required: demands.required.clone(),
            allow_degraded: BTreeSet::new(),
            depended_on: demands.depended_on.clone(),
        };
        let conceded = |finding: &&Finding| !strict.met_by(finding) && demands.met_by(finding);
        self.findings.iter().filter(conceded).collect()
    }
}

impl Demands {
    /// Whether a control that was found so will do.
    #[must_use]
    pub fn met_by(&self, finding: &Finding) -> bool {
        let control = &finding.control;
        let demanded =
            control.class() == Class::Core || finding.offered || self.required.contains(control);
        if finding.enforcement == Enforcement::Enforced {
            return true;
        }
        !self.depended_on.contains(control) && (!demanded || self.allow_degraded.contains(control))
    }
}

impl Finding {
    /// Control, how far it holds, and why no further.
    #[must_use]
    pub fn sentence(&self) -> String {
        format!("{} is {} ({})", self.control, self.enforcement, self.value)
    }
}

impl std::fmt::Display for Enforcement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Enforcement::Enforced => "enforced",
            Enforcement::Degraded => "degraded",
            Enforcement::Absent => "absent",
        })
    }
}

impl std::fmt::Display for Class {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Class::Core => "core",
            Class::Hardening => "hardening",
        })
    }
}

/// Policy demands controls that don't hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "policy demands more confinement than there is: {}",
    what_to_do(findings, depended_on)
)]
pub struct Unmet {
    /// The controls in question, in the order of [`Control`]; never empty.
    pub findings: Vec<Finding>,
    /// Controls that grants depend on, see [`Demands`].
    pub depended_on: BTreeSet<Control>,
    /// All that was read back of the worker. Where the host is known to lack a control, no
    /// worker is made, and this is what is known of the host.
    pub report: Report,
}

fn what_to_do(findings: &[Finding], depended_on: &BTreeSet<Control>) -> String {
    let lacking: Vec<String> = findings.iter().map(Finding::sentence).collect();
    let mut sentence = format!(
        "{}; `cordon doctor` tells what mends it",
        lacking.join("; ")
    );
    let (without, spared): (Vec<Control>, Vec<Control>) = findings
        .iter()
        .map(|finding| finding.control)
        .partition(|control| depended_on.contains(control));
    if !spared.is_empty() {
        let options: Vec<String> = spared
            .iter()
            .map(|control| format!("--allow-degraded {control}"))
            .collect();
        sentence += &format!(
            ", {} does without (in a policy allow_degraded of [confinement])",
            options.join(" ")
        );
    }
    if !without.is_empty() {
        let names: Vec<&str> = without.iter().map(|control| control.name()).collect();
        sentence += &format!(", what is granted depends on {}", names.join(", "));
    }
    sentence
}

#[cfg(test)]
mod tests;
