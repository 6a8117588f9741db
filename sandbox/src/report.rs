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
            None => !demands.allow_degraded.contains(control),
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
        !demanded
            || finding.enforcement == Enforcement::Enforced
            || self.allow_degraded.contains(control)
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
    what_to_do(findings)
)]
pub struct Unmet {
    /// The controls in question, in the order of [`Control`]; never empty.
    pub findings: Vec<Finding>,
    /// All that was read back of the worker. Where the host is known to lack a control, no
    /// worker is made, and this is what is known of the host.
    pub report: Report,
}

fn what_to_do(findings: &[Finding]) -> String {
    let lacking: Vec<String> = findings.iter().map(Finding::sentence).collect();
    let options: Vec<String> = findings
        .iter()
        .map(|finding| format!("--allow-degraded {}", finding.control))
        .collect();
    format!(
        "{}; `cordon doctor` tells what mends it, {} does without (in a policy allow_degraded \
         of [confinement])",
        lacking.join("; "),
        options.join(" ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> Report {
        let mut report = Report::default();
        for control in Control::ALL {
            report.enforced(*control, "as it must be");
        }
        report
    }

    #[test]
    fn full_report_meets_every_demand() {
        let demands = Demands {
            required: Control::ALL.iter().copied().collect(),
            ..Demands::default()
        };
        assert_eq!(full().unmet(&demands), []);
    }

    #[test]
    fn missing_core_is_unmet_until_it_is_named() {
        for enforcement in [Enforcement::Degraded, Enforcement::Absent] {
            let mut report = full();
            report.add(Control::Cgroup, enforcement, false, "no delegation");
            assert_eq!(report.unmet(&Demands::default()), [Control::Cgroup]);
            let allowed = Demands {
                allow_degraded: [Control::Cgroup].into(),
                ..Demands::default()
            };
            assert_eq!(report.unmet(&allowed), []);
        }
        let unread = Report::default().unmet(&Demands::default());
        assert_eq!(unread, Control::ALL);
    }

    #[test]
    fn hardening_is_demanded_where_it_is_offered_or_required() {
        let mut report = full();
        report.add(Control::Mdwe, Enforcement::Absent, false, "Linux 6.3");
        assert_eq!(report.unmet(&Demands::default()), []);
        let required = Demands {
            required: [Control::Mdwe].into(),
            ..Demands::default()
        };
        assert_eq!(report.unmet(&required), [Control::Mdwe]);
        report.add(Control::Mdwe, Enforcement::Absent, true, "left out");
        assert_eq!(report.unmet(&Demands::default()), [Control::Mdwe]);
    }

    #[test]
    fn refusal_names_control_reason_and_option() {
        let mut report = full();
        report.add(Control::Cgroup, Enforcement::Absent, false, "no delegation");
        let error = report.meet(&Demands::default()).unwrap_err();
        assert_eq!(error.report, report);
        let text = error.to_string();
        for part in [
            "cgroup is absent (no delegation);",
            "--allow-degraded cgroup ",
        ] {
            assert!(text.contains(part), "{text}");
        }
        assert_eq!(full().meet(&Demands::default()), Ok(()));
        assert_eq!(Report::default().may_meet(&Demands::default()), Ok(()));
        assert_eq!(report.may_meet(&Demands::default()), Err(error));
        assert_eq!(
            Report::default()
                .meet(&Demands::default())
                .unwrap_err()
                .findings
                .len(),
            Control::ALL.len()
        );
    }

    #[test]
    fn only_what_would_be_refused_is_conceded() {
        let allowed = Demands {
            allow_degraded: [Control::Cgroup, Control::Mdwe, Control::Root].into(),
            ..Demands::default()
        };
        let mut report = full();
        report.add(Control::Cgroup, Enforcement::Degraded, false, "rlimits");
        report.add(Control::Mdwe, Enforcement::Absent, false, "Linux 6.3");
        let conceded: Vec<Control> = report
            .conceded(&allowed)
            .iter()
            .map(|f| f.control)
            .collect();
        assert_eq!(conceded, [Control::Cgroup]);
    }

    #[test]
    fn names_are_those_of_the_json() {
        for control in Control::ALL {
            assert_eq!(control.name().parse(), Ok(*control));
            let json = serde_json::to_string(control).unwrap();
            assert_eq!(json, format!("\"{}\"", control.name()));
        }
        assert!("namespace".parse::<Control>().is_err());
    }
}
