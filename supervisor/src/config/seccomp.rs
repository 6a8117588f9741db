//! Which system call filter a plugin gets.

use sandbox::seccomp::Mode;
use serde::Deserialize;

/// What policy sets.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Seccomp {
    /// The narrowest mode that the plugin's grants need.
    #[default]
    Narrowest,
    /// This mode; one that is narrower than the grants need refuses the load.
    Mode(Mode),
}

/// `[seccomp]` as written.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SeccompSettings {
    mode: Option<ModeName>,
}

#[derive(Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ModeName {
    Narrowest,
    Strict,
    Basic,
    Moderate,
    Permissive,
}

impl SeccompSettings {
    /// `base` with these settings laid over it.
    pub(super) fn applied_to(&self, base: &Seccomp) -> Seccomp {
        match self.mode {
            None => base.clone(),
            Some(ModeName::Narrowest) => Seccomp::Narrowest,
            Some(ModeName::Strict) => Seccomp::Mode(Mode::Strict),
            Some(ModeName::Basic) => Seccomp::Mode(Mode::Basic),
            Some(ModeName::Moderate) => Seccomp::Mode(Mode::Moderate),
            Some(ModeName::Permissive) => Seccomp::Mode(Mode::Permissive),
        }
    }
}
