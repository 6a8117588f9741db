//! Seccomp filters of workers, compiled once for each mode and set of grants.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use sandbox::seccomp::oci::{Custom, Cut, Resolved};
use sandbox::seccomp::{Arch, BuiltinError, Grant, Granted, Mode, Profile, Program};
use serde::{Serialize, Serializer};
use thiserror::Error;

use crate::config::Seccomp;
use crate::manifest::PluginId;

/// Which profile a worker's filter was made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FilterMode {
    /// One that comes with Cordon.
    BuiltIn(Mode),
    /// The operator's own, cut by the never-list.
    Custom,
}

/// A filter, and what it means.
#[derive(Debug)]
pub(crate) struct Filter {
    pub(crate) mode: FilterMode,
    pub(crate) profile: Arc<Profile>,
    pub(crate) program: Program,
}

/// An operator's profile, resolved for this machine and its running kernel.
#[derive(Debug, PartialEq, Eq)]
pub struct CustomProfile {
    /// Where it was read from.
    pub file: PathBuf,
    /// What the filter means.
    pub profile: Arc<Profile>,
    /// What the never-list took from it.
    pub cuts: Vec<Cut>,
    /// What was decided about its conditional parts.
    pub resolved: Vec<Resolved>,
    program: Program,
}

impl CustomProfile {
    pub(crate) fn new(file: &Path, custom: Custom) -> CustomProfile {
        CustomProfile {
            file: file.to_owned(),
            profile: Arc::new(custom.profile),
            cuts: custom.cuts,
            resolved: custom.resolved,
            program: custom.program,
        }
    }

    fn filter(&self) -> Arc<Filter> {
        Arc::new(Filter {
            mode: FilterMode::Custom,
            profile: Arc::clone(&self.profile),
            program: self.program.clone(),
        })
    }

    /// Tells of what in it doesn't hold as it is written.
    fn log(&self, plugin: &PluginId) {
        let file = self.file.display();
        if !self.cuts.is_empty() {
            let calls: Vec<_> = self.cuts.iter().map(|cut| cut.calls).collect();
            tracing::warn!(
                "plugin {plugin}: {file} permits what no policy may, cut from it: {}",
                calls.join(", ")
            );
        }
        for resolved in &self.resolved {
            tracing::info!("plugin {plugin}: {file}: {resolved}");
        }
    }
}

/// Why a plugin gets no filter.
#[derive(Debug, Error)]
pub enum FilterError {
    /// It was granted what it could then not use.
    #[error(
        "policy sets seccomp mode {mode}, which has no rules for its grant of {grant}: the narrowest mode for it is {needed}",
        needed = grant.mode()
    )]
    TooNarrow {
        /// The mode that policy sets.
        mode: Mode,
        /// The first grant that it has no rules for.
        grant: Grant,
    },
    /// A built-in profile is broken.
    #[error(transparent)]
    BuiltIn(#[from] Box<BuiltinError>),
}

/// Every built-in filter that was needed so far.
#[derive(Debug, Default)]
pub(crate) struct Filters(Mutex<HashMap<(Mode, Granted), Arc<Filter>>>);

impl Filters {
    /// The filter that policy sets for a plugin of these grants. What is wider, or doesn't hold
    /// as it is written, is logged.
    pub(crate) fn of(
        &self,
        plugin: &PluginId,
        set: &Seccomp,
        granted: Granted,
    ) -> Result<Arc<Filter>, FilterError> {
        let mode = match set {
            Seccomp::Narrowest => Mode::narrowest(granted),
            Seccomp::Mode(mode) => *mode,
            Seccomp::Custom(custom) => {
                custom.log(plugin);
                return Ok(custom.filter());
            }
        };
        if let Some(grant) = granted.iter().find(|grant| grant.mode() > mode) {
            return Err(FilterError::TooNarrow { mode, grant });
        }
        if mode == Mode::Permissive {
            tracing::warn!("plugin {plugin} runs in seccomp mode permissive, for development");
        }
        self.built_in(mode, granted)
    }

    /// A new one takes a millisecond.
    fn built_in(&self, mode: Mode, granted: Granted) -> Result<Arc<Filter>, FilterError> {
        let mut filters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(filter) = filters.get(&(mode, granted)) {
            return Ok(Arc::clone(filter));
        }
        let profile = Profile::builtin(mode, Arch::NATIVE, granted).map_err(broken)?;
        let program = profile.compile().map_err(broken)?;
        let filter = Arc::new(Filter {
            mode: FilterMode::BuiltIn(mode),
            profile: Arc::new(profile),
            program,
        });
        filters.insert((mode, granted), Arc::clone(&filter));
        Ok(filter)
    }
}

fn broken(error: impl Into<BuiltinError>) -> Box<BuiltinError> {
    Box::new(error.into())
}

impl fmt::Display for FilterMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FilterMode::BuiltIn(mode) => mode.fmt(f),
            FilterMode::Custom => f.pad("custom"),
        }
    }
}

impl Serialize for FilterMode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    fn plugin() -> PluginId {
        "greet".parse().unwrap()
    }

    #[test]
    fn the_narrowest_mode_is_taken_where_policy_sets_none() {
        let filters = Filters::default();
        for (grants, mode) in [
            (vec![], Mode::Strict),
            (vec![Grant::Files], Mode::Basic),
            (vec![Grant::Files, Grant::Processes], Mode::Moderate),
        ] {
            let granted = grants.into_iter().collect();
            let filter = filters.of(&plugin(), &Seccomp::Narrowest, granted).unwrap();
            assert_eq!(filter.mode, FilterMode::BuiltIn(mode));
            let again = filters
                .of(&plugin(), &Seccomp::Mode(mode), granted)
                .unwrap();
            assert!(Arc::ptr_eq(&filter, &again), "it is compiled once");
        }
    }

    #[test]
    fn a_mode_that_is_too_narrow_for_a_grant_is_refused_by_name() {
        let granted = [Grant::Files, Grant::Tcp].into_iter().collect();
        let error = Filters::default()
            .of(&plugin(), &Seccomp::Mode(Mode::Basic), granted)
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "policy sets seccomp mode basic, which has no rules for its grant of tcp: \
             the narrowest mode for it is moderate"
        );
    }
}
