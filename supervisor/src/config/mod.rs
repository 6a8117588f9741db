//! The operator's policy: TOML from `--policy FILE`, command-line overrides, built-in defaults.
//!
//! ```toml
//! library_dirs = ["/opt/plugins/lib"]
//! [limits]                         # what a plugin gets, and the most it may ask for
//! heap = "64MiB"                   # or { declared = "64MiB", hard = "96MiB" }
//! [grants]                         # what a plugin may ask for, see `Grantable`
//! env = ["LANG"]
//! files = [{ path = "/data", source = "/srv/greet", access = "read" }]
//! [violations]
//! threshold = 10                   # counted violations at which a plugin is unmounted
//! # window = "1h"                  # a violation counts that long; else, or "never", for good
//! restricted = "1h"                # revoke, throttle and watch, after the last that asked for it
//! # decay = "10m"                  # one is forgiven in that time; else, or "never", none
//! auto_unmount = true
//! log_violations = true            # in history and log; counting and alerts go on without
//! throttle = "10%"                 # what a throttled worker has of one core
//! watch = "1s"                     # polls of a watched worker
//! [violations.actions]             # for each severity, any of:
//! low = []                         # count, revoke (host calls that tell or change something),
//! medium = ["count"]               # throttle, watch, isolate (freeze, look at, kill)
//! high = ["count", "revoke", "throttle", "watch"]
//! critical = ["count", "isolate"]
//! [restart]
//! when = "on-failure"              # or "never"
//! first = "1s"                     # the first pause; it doubles from restart to restart
//! most = "60s"                     # the longest
//! attempts = 5                     # within the window; one failure more is a crash loop
//! window = "10m"
//! [history]                        # of violations, in the folder for state
//! size = "16MiB"                   # at which a file is finished
//! files = 8                        # with the one that is written to; the oldest is removed
//! [resources]                      # where workers compete; else what the kernel does by itself
//! memory_high = "90%"              # of heap's hard tier: from there it reclaims and slows down
//! cpu_weight = 50                  # 1 to 10000, as in cgroup v2
//! io_weight = 50
//! io_read = "10MiB"                # a second, of each block device behind folders that are
//! io_write = "10MiB"               # granted for writing
//! [seccomp]
//! mode = "basic"                   # else the narrowest that the grants need
//! # profile = "own.json"           # or the operator's own, as OCI runtimes and Docker have it
//! [confinement]
//! require = ["core-scheduling"]    # demanded even where the host doesn't offer it
//! allow_degraded = ["cgroup"]      # may be degraded or absent, and is reported so
//! [monitor]
//! interval = "10s"                 # polls of usage
//! attest = "60s"                   # attestations of live workers
//! [load]
//! deadline = "10s"
//! [call]
//! deadline = "30s"
//! grace = "250ms"
//! [plugin.greet]                   # limits, grants, violations, restart, seccomp, confinement: for one
//! limits = { threads = 8 }
//! ```

mod file;
mod grants;
mod resources;
mod restart;
mod seccomp;
mod violations;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use sandbox::report::{Control, Demands};
use thiserror::Error;

use file::{Call, Document, Load, Monitor, PluginSettings};
pub use grants::{FileRule, FileRuleError, GrantError, Grantable, Network};
pub use resources::ResourceRules;
pub use seccomp::{Seccomp, SeccompError, read as read_profile};

use crate::document::{self, DocumentError};
use crate::history::HistoryRules;
use crate::limits::{Limit, LimitSettings, Limits, TiersCrossed};
use crate::manifest::{AbsolutePath, PluginId};
use crate::regular::read_text;
use crate::restart::{RestartRules, When};
use crate::units::TimeSpan;
use crate::violations::ViolationRules;

/// The longest policy file, in bytes.
pub const MAX_LEN: u64 = 1 << 20;

/// The operator's policy, resolved for every plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Folders searched for libraries before the system's own.
    pub library_dirs: Vec<AbsolutePath>,
    /// Time between two polls of usage, from 100 ms to 24 h.
    pub monitor_interval: TimeSpan,
    /// Time between two attestations of a live worker, from 100 ms to 24 h.
    pub attest_interval: TimeSpan,
    /// Time from the launch to a plugin that has been created, from 1 ms to 1 h.
    pub load_deadline: TimeSpan,
    /// Time for a call where the caller sets none, from 1 ms to 1 h.
    pub call_deadline: TimeSpan,
    /// Time between the cancellation of a late call and the worker's death, from 1 ms to 1 h.
    pub call_grace: TimeSpan,
    /// How much history of violations is kept.
    pub history: HistoryRules,
    rules: PolicyRules,
    plugins: BTreeMap<PluginId, PolicyRules>,
}

/// What policy says about one plugin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicyRules {
    /// Limits that a plugin gets where it asks for nothing, and the most that it may ask for.
    pub limits: Limits,
    /// What it may ask for.
    pub grants: Grantable,
    /// What follows from violations.
    pub violations: ViolationRules,
    /// Whether and when it is restarted.
    pub restart: RestartRules,
    /// How it fares where workers compete.
    pub resources: ResourceRules,
    /// Which system call filter it gets.
    pub seccomp: Seccomp,
    /// What its worker's confinement report must show.
    pub demands: Demands,
}

/// Why a policy can't be used.
#[derive(Debug, Error)]
pub enum PolicyError {
    /// The file can't be read.
    #[error("{}: cannot read the policy: {source}", file.display())]
    Unreadable {
        /// The policy file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A field is wrong.
    #[error("{}: policy, {source}", file.display())]
    Invalid {
        /// The policy file.
        file: PathBuf,
        /// Where and what.
        source: DocumentError,
    },
    /// Fields don't go together, once all that applies is merged.
    #[error("{}: policy, {table}{source}", file.display())]
    Rules {
        /// The policy file.
        file: PathBuf,
        /// The table in which they meet: empty, or `plugin.ID.`.
        table: String,
        /// Which fields, and why not.
        source: RuleError,
    },
    /// The filter that it sets can't be had.
    #[error("{}: policy, {table}seccomp: {source}", file.display())]
    Seccomp {
        /// The policy file.
        file: PathBuf,
        /// Whose filter: empty, or `plugin.ID.`.
        table: String,
        /// Why not.
        source: SeccompError,
    },
}

/// Why what policy says about one plugin can't hold.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RuleError {
    /// A limit's hard tier is below the declared one.
    #[error(transparent)]
    TiersCrossed(#[from] TiersCrossed),
    /// Grants that can't be made, or not together.
    #[error(transparent)]
    Grants(#[from] GrantError),
    /// The longest pause before a restart is below the first.
    #[error("restart: most {most} is below first {first}, raise most or lower first")]
    PausesCrossed {
        /// The first pause.
        first: TimeSpan,
        /// The longest.
        most: TimeSpan,
    },
}

impl Policy {
    /// Reads the policy file `file`.
    pub fn load(file: &Path) -> Result<Self, PolicyError> {
        let text = read_text(file, MAX_LEN).map_err(|source| PolicyError::Unreadable {
            file: file.to_owned(),
            source,
        })?;
        Self::parse(file, &text)
    }

    /// Reads a policy from its text; `file` is named in errors.
    pub fn parse(file: &Path, text: &str) -> Result<Self, PolicyError> {
        let document: Document = document::parse(text).map_err(|source| PolicyError::Invalid {
            file: file.to_owned(),
            source,
        })?;
        let (everywhere, default) = (document.everywhere(), PolicyRules::default());
        let rules = resolve(file, "", &everywhere, &default)?;
        let mut plugins = BTreeMap::new();
        for (id, settings) in &document.plugin {
            let table = format!("plugin.{id}.");
            plugins.insert(id.clone(), resolve(file, &table, settings, &rules)?);
        }
        Ok(Self {
            library_dirs: document.library_dirs,
            monitor_interval: document.monitor.interval,
            attest_interval: document.monitor.attest,
            load_deadline: document.load.deadline,
            call_deadline: document.call.deadline,
            call_grace: document.call.grace,
            history: document.history.rules(),
            rules,
            plugins,
        })
    }

    /// Lays limits from the command line over those of the file, for every plugin. On an error
    /// nothing changes.
    pub fn override_limits(&mut self, settings: &LimitSettings) -> Result<(), TiersCrossed> {
        let mut changed = self.clone();
        for rules in std::iter::once(&mut changed.rules).chain(changed.plugins.values_mut()) {
            rules.limits = rules.limits.with(settings)?;
        }
        *self = changed;
        Ok(())
    }

    /// Does without `control` for every plugin, whatever the file says of it.
    pub fn allow_degraded(&mut self, control: Control) {
        for rules in std::iter::once(&mut self.rules).chain(self.plugins.values_mut()) {
            rules.demands.required.remove(&control);
            rules.demands.allow_degraded.insert(control);
        }
    }

    /// Restarts nothing by itself, whatever the file says of it: for who loads again what has
    /// failed.
    pub fn never_restart(&mut self) {
        for rules in std::iter::once(&mut self.rules).chain(self.plugins.values_mut()) {
            rules.restart.when = When::Never;
        }
    }

    /// Lays settings for one plugin, an inline table such as stands for `plugin.ID`, over what
    /// this policy says about it; `file` is named in errors.
    pub fn lay_over(
        &mut self,
        file: &Path,
        plugin: &PluginId,
        table: &str,
    ) -> Result<(), PolicyError> {
        let text = format!("plugin.\"{plugin}\" = {table}");
        let document: Document = document::parse(&text).map_err(|source| PolicyError::Invalid {
            file: file.to_owned(),
            source,
        })?;
        for (id, settings) in &document.plugin {
            let table = format!("plugin.{id}.");
            let rules = resolve(file, &table, settings, self.rules(id))?;
            self.plugins.insert(id.clone(), rules);
        }
        Ok(())
    }

    /// Multiplies every deadline and every limit on CPU time, for a slow machine.
    pub fn stretch(&mut self, factor: u32) {
        let longer =
            |time: TimeSpan| TimeSpan::micros(time.as_micros().saturating_mul(factor.into()));
        for time in [
            &mut self.load_deadline,
            &mut self.call_deadline,
            &mut self.call_grace,
        ] {
            *time = longer(*time);
        }
        for rules in std::iter::once(&mut self.rules).chain(self.plugins.values_mut()) {
            let cpu = rules.limits.cpu;
            let stretched = Limit::with_hard(longer(cpu.declared()), longer(cpu.hard()));
            rules.limits.cpu = stretched.unwrap_or(cpu);
        }
    }

    /// Whether any plugin may do without `control`.
    #[must_use]
    pub fn may_lack(&self, control: Control) -> bool {
        let mut rules = self.all_rules();
        rules.any(|rules| rules.demands.allow_degraded.contains(&control))
    }

    /// What it says about plugins in general, and about each that it names.
    pub(crate) fn all_rules(&self) -> impl Iterator<Item = &PolicyRules> {
        std::iter::once(&self.rules).chain(self.plugins.values())
    }

    /// What this policy says about `plugin`.
    pub fn rules(&self, plugin: &PluginId) -> &PolicyRules {
        self.plugins.get(plugin).unwrap_or(&self.rules)
    }
}

/// `settings`, which stand in `table` of the file, laid over `base`.
fn resolve(
    file: &Path,
    table: &str,
    settings: &PluginSettings,
    base: &PolicyRules,
) -> Result<PolicyRules, PolicyError> {
    let rules = settings.applied_to(base);
    let mut rules = rules.map_err(|source| PolicyError::Rules {
        file: file.to_owned(),
        table: table.to_owned(),
        source,
    })?;
    let folder = file.parent().unwrap_or(Path::new(""));
    let seccomp = settings.seccomp.applied_to(&base.seccomp, folder);
    rules.seccomp = seccomp.map_err(|source| PolicyError::Seccomp {
        file: file.to_owned(),
        table: table.to_owned(),
        source,
    })?;
    Ok(rules)
}

impl Default for Policy {
    fn default() -> Self {
        let (monitor, load, call) = (Monitor::default(), Load::default(), Call::default());
        Self {
            library_dirs: Vec::new(),
            monitor_interval: monitor.interval,
            attest_interval: monitor.attest,
            load_deadline: load.deadline,
            call_deadline: call.deadline,
            call_grace: call.grace,
            history: HistoryRules::default(),
            rules: PolicyRules::default(),
            plugins: BTreeMap::new(),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests;
