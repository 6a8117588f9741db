//! Plugins that were unmounted for their violations, kept by id: only an operator undoes it.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::{StateDir, StateError};
use crate::lifecycle::Unmount;
use crate::manifest::PluginId;
use crate::units::Timestamp;
use crate::violations::Class;

/// Of the files, counted up when their meaning changes.
const SCHEMA: u32 = 1;
/// The longest file, in bytes.
const MAX_LEN: u64 = 4096;

/// The unmounted plugins of a [`StateDir`]: a file for each.
#[derive(Debug)]
pub struct Unmounted {
    folder: StateDir,
}

/// Why it isn't known whether a plugin is unmounted. It must not be loaded then.
#[derive(Debug, thiserror::Error)]
pub enum UnmountedError {
    /// The file can't be read, written or removed.
    #[error(transparent)]
    State(#[from] StateError),
    /// It isn't what was written.
    #[error(
        "{path} doesn't say whether {plugin} is unmounted: {why}; if it may run, cordon enable {plugin}"
    )]
    Corrupt {
        /// The file.
        path: String,
        /// Whose.
        plugin: PluginId,
        /// What is wrong with it.
        why: String,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    schema: u32,
    plugin: PluginId,
    since: String,
    counted: u64,
    last: Class,
}

impl Unmounted {
    /// Those of a folder for state.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn of(state: &StateDir) -> Result<Unmounted, StateError> {
        let folder = state.subfolder("unmounted")?;
        Ok(Unmounted { folder })
    }

    /// Why a plugin is unmounted, if it is.
    ///
    /// # Errors
    /// [`UnmountedError`].
    pub fn get(&self, plugin: &PluginId) -> Result<Option<Unmount>, UnmountedError> {
        let name = name(plugin);
        let Some(bytes) = self.folder.read(&name, MAX_LEN)? else {
            return Ok(None);
        };
        let corrupt = |why: String| UnmountedError::Corrupt {
            path: self.folder.path().join(&name).display().to_string(),
            plugin: plugin.clone(),
            why,
        };
        let file: File =
            serde_json::from_slice(&bytes).map_err(|error| corrupt(error.to_string()))?;
        if file.schema != SCHEMA {
            return Err(corrupt(format!("its schema is {}", file.schema)));
        }
        if file.plugin != *plugin {
            return Err(corrupt(format!("it is about {}", file.plugin)));
        }
        Ok(Some(Unmount {
            counted: file.counted,
            last: file.last,
        }))
    }

    /// Keeps that a plugin is unmounted.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn keep(&self, plugin: &PluginId, reason: Unmount) -> Result<(), StateError> {
        let file = File {
            schema: SCHEMA,
            plugin: plugin.clone(),
            since: Timestamp::from(SystemTime::now()).to_string(),
            counted: reason.counted,
            last: reason.last,
        };
        let name = name(plugin);
        let bytes = serde_json::to_vec(&file)
            .map_err(|error| self.folder.error("write", &name, error.into()))?;
        self.folder.replace(&name, &bytes)
    }

    /// Allows a plugin again, whatever its file says; `false` where there is none.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn enable(&self, plugin: &PluginId) -> Result<bool, StateError> {
        self.folder.remove(&name(plugin))
    }
}

/// An id makes one harmless file name: see [`PluginId`].
fn name(plugin: &PluginId) -> String {
    format!("{plugin}.json")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::limits::LimitName;

    fn unmounted() -> (tempfile::TempDir, Unmounted) {
        let above = tempfile::tempdir().unwrap();
        let state = StateDir::open(&above.path().join("state")).unwrap();
        let unmounted = Unmounted::of(&state).unwrap();
        (above, unmounted)
    }

    #[test]
    fn what_is_kept_is_found_until_it_is_enabled() {
        let (_above, unmounted) = unmounted();
        let [greet, other] = ["greet", "other"].map(|id| id.parse::<PluginId>().unwrap());
        for last in [Class::Syscall, Class::Limit(LimitName::Heap)] {
            let reason = Unmount { counted: 10, last };
            unmounted.keep(&greet, reason).unwrap();
            assert_eq!(unmounted.get(&greet).unwrap(), Some(reason));
        }
        assert_eq!(unmounted.get(&other).unwrap(), None);
        assert!(unmounted.enable(&greet).unwrap());
        assert_eq!(unmounted.get(&greet).unwrap(), None);
        assert!(!unmounted.enable(&greet).unwrap());
    }

    #[test]
    fn what_is_not_as_written_is_an_error_that_names_the_file_and_can_be_enabled() {
        let (_above, unmounted) = unmounted();
        let greet: PluginId = "greet".parse().unwrap();
        let path = unmounted.folder.path().join("greet.json");
        let reason = Unmount {
            counted: 10,
            last: Class::OomKill,
        };
        unmounted.keep(&greet, reason).unwrap();
        let whole = std::fs::read_to_string(&path).unwrap();
        let mut wrong = vec![
            whole.replace("greet", "other"),
            whole.replace("\"schema\":1", "\"schema\":2"),
            whole.replace("oom-kill", "sloth"),
            whole.clone() + "x",
        ];
        wrong.extend((0..whole.len()).map(|length| whole[..length].to_owned()));
        for text in wrong {
            std::fs::write(&path, &text).unwrap();
            let error = unmounted.get(&greet).unwrap_err().to_string();
            assert!(
                error.starts_with(&path.display().to_string()),
                "{text}: {error}"
            );
        }
        assert!(unmounted.enable(&greet).unwrap());
        assert_eq!(unmounted.get(&greet).unwrap(), None);
    }
}
