//! Which system call filter a plugin gets.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sandbox::seccomp::oci::{Custom, OciError};
use sandbox::seccomp::{Arch, Mode};
use sandbox::support::Kernel;
use serde::Deserialize;
use thiserror::Error;

use super::MAX_LEN;
use crate::filters::CustomProfile;
use crate::regular::read_text;

/// What policy sets.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Seccomp {
    /// The narrowest mode that the plugin's grants need.
    #[default]
    Narrowest,
    /// This mode; one that is narrower than the grants need refuses the load.
    Mode(Mode),
    /// The operator's own profile, whatever the grants need.
    Custom(Arc<CustomProfile>),
}

/// Why what policy sets can't be had.
#[derive(Debug, Error)]
pub enum SeccompError {
    /// A profile is there and isn't to be used, or the other way round.
    #[error("mode \"custom\" and a profile need each other")]
    ProfileAndMode,
    /// The profile can't be read.
    #[error("{}: cannot read the profile: {source}", file.display())]
    Unreadable {
        /// The profile.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The profile can't be used.
    #[error("{}: {source}", file.display())]
    Profile {
        /// The profile.
        file: PathBuf,
        /// What is wrong with it, and where.
        source: Box<OciError>,
    },
}

/// `[seccomp]` as written.
#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SeccompSettings {
    mode: Option<ModeName>,
    /// JSON as OCI runtimes and Docker have it; relative to the policy file.
    profile: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ModeName {
    Narrowest,
    Strict,
    Basic,
    Moderate,
    Permissive,
    Custom,
}

impl SeccompSettings {
    /// `base` with these settings laid over it; a profile is looked for from `folder`.
    pub(super) fn applied_to(
        &self,
        base: &Seccomp,
        folder: &Path,
    ) -> Result<Seccomp, SeccompError> {
        Ok(match (self.mode, &self.profile) {
            (None, None) => base.clone(),
            (None | Some(ModeName::Custom), Some(profile)) => {
                Seccomp::Custom(Arc::new(read(&folder.join(profile))?))
            }
            (Some(ModeName::Custom), None) | (Some(_), Some(_)) => {
                return Err(SeccompError::ProfileAndMode);
            }
            (Some(ModeName::Narrowest), None) => Seccomp::Narrowest,
            (Some(ModeName::Strict), None) => Seccomp::Mode(Mode::Strict),
            (Some(ModeName::Basic), None) => Seccomp::Mode(Mode::Basic),
            (Some(ModeName::Moderate), None) => Seccomp::Mode(Mode::Moderate),
            (Some(ModeName::Permissive), None) => Seccomp::Mode(Mode::Permissive),
        })
    }
}

/// Reads an operator's profile, for this machine and its running kernel.
///
/// # Errors
/// [`SeccompError`], which names the file.
pub fn read(file: &Path) -> Result<CustomProfile, SeccompError> {
    let text = read_text(file, MAX_LEN).map_err(|source| SeccompError::Unreadable {
        file: file.to_owned(),
        source,
    })?;
    let custom = Custom::parse(&text, Arch::NATIVE, Kernel::running());
    let custom = custom.map_err(|source| SeccompError::Profile {
        file: file.to_owned(),
        source: Box::new(source),
    })?;
    Ok(CustomProfile::new(file, custom))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use crate::config::Policy;

    const PROFILE: &str = "{ \"defaultAction\": \"SCMP_ACT_ERRNO\", \"syscalls\": [\
                           { \"names\": [\"bpf\", \"swapon\"], \"action\": \"SCMP_ACT_ALLOW\" }] }";

    fn policy(text: &str, profile: &str) -> Result<Policy, String> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("own.json"), profile).unwrap();
        let file = folder.path().join("policy.toml");
        Policy::parse(&file, text).map_err(|error| {
            let folder = folder.path().display().to_string();
            error.to_string().replace(&folder, "FOLDER")
        })
    }

    fn of(policy: &Policy, plugin: &str) -> Seccomp {
        policy.rules(&plugin.parse().unwrap()).seccomp.clone()
    }

    #[test]
    fn a_plugins_table_goes_above_the_general_one() {
        let text = "[seccomp]\nmode = \"moderate\"\n[plugin.own.seccomp]\nprofile = \"own.json\"\n\
                    [plugin.least.seccomp]\nmode = \"narrowest\"";
        let policy = policy(text, PROFILE).unwrap();

        assert_eq!(of(&policy, "x"), Seccomp::Mode(Mode::Moderate));
        assert_eq!(of(&policy, "least"), Seccomp::Narrowest);
        let Seccomp::Custom(custom) = of(&policy, "own") else {
            panic!("{:?}", of(&policy, "own"));
        };
        assert_eq!(custom.cuts[0].calls, "bpf");
    }

    #[test]
    fn what_is_wrong_names_policy_profile_and_field() {
        for (text, profile, error) in [
            (
                "[seccomp]\nmode = \"custom\"",
                PROFILE,
                "FOLDER/policy.toml: policy, seccomp: mode \"custom\" and a profile need each other",
            ),
            (
                "[plugin.x.seccomp]\nmode = \"basic\"\nprofile = \"own.json\"",
                PROFILE,
                "FOLDER/policy.toml: policy, plugin.x.seccomp: mode \"custom\" and a profile need each other",
            ),
            (
                "[seccomp]\nprofile = \"none.json\"",
                PROFILE,
                "policy, seccomp: FOLDER/none.json: cannot read the profile: No such file",
            ),
            (
                "[seccomp]\nprofile = \"own.json\"",
                "{ \"defaultAction\": \"SCMP_ACT_LOG\" }",
                "policy, seccomp: FOLDER/own.json: profile: defaultAction: SCMP_ACT_LOG lets the call through",
            ),
            (
                "[seccomp]\nprofile = \"own.json\"",
                "{\n\"colour\": 1 }",
                "FOLDER/own.json: profile is malformed: unknown field `colour`, expected one of",
            ),
        ] {
            let shown = policy(text, profile).unwrap_err();
            assert!(shown.contains(error), "{shown}\n  for {text}");
        }
    }
}
