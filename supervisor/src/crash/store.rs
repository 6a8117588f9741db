//! Crashes on disk, `crashes/PLUGIN/ID.json` below the folder for state: the latest of each
//! plugin, within a bound of number and bytes.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Crash;
use crate::manifest::PluginId;
use crate::state::{StateDir, StateError};

/// The most crashes that are kept of one plugin.
pub const MAX_CRASHES: usize = 16;
/// The most bytes that one crash may take; the calls, lines and frames in it are bounded.
pub const MAX_BYTES: u64 = 512 << 10;
/// The most plugins whose crashes are listed.
const MAX_PLUGINS: usize = 4096;

const FOLDER: &str = "crashes";
const ENDING: &str = ".json";

/// Names a crash: when it was seen, in milliseconds since 1970, and the worker's pid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct CrashId {
    /// When, in milliseconds since 1970.
    pub when_ms: u64,
    /// The worker's pid.
    pub pid: u32,
}

/// What isn't the name of a crash.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} names no crash: it is two numbers, as `cordon crash list` shows them")]
pub struct NotAnId(String);

impl fmt::Display for CrashId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{:013}-{}", self.when_ms, self.pid))
    }
}

impl FromStr for CrashId {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        let not = || NotAnId(text.chars().take(64).collect());
        let (when, pid) = text.split_once('-').ok_or_else(not)?;
        let id = CrashId {
            when_ms: when.parse().map_err(|_| not())?,
            pid: pid.parse().map_err(|_| not())?,
        };
        // One name for each: `+1-2` is none.
        if id.to_string() == text {
            Ok(id)
        } else {
            Err(not())
        }
    }
}

impl From<CrashId> for String {
    fn from(id: CrashId) -> String {
        id.to_string()
    }
}

impl TryFrom<String> for CrashId {
    type Error = NotAnId;

    fn try_from(text: String) -> Result<Self, NotAnId> {
        text.parse()
    }
}

/// The folder of crashes.
#[derive(Debug)]
pub struct Store(StateDir);

impl Store {
    /// That of a folder for state.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn open(state: &StateDir) -> Result<Store, StateError> {
        state.subfolder(FOLDER).map(Store)
    }

    /// As [`open`](Self::open), but makes none.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn existing(state: &StateDir) -> Result<Option<Store>, StateError> {
        Ok(state.existing(FOLDER)?.map(Store))
    }

    /// Keeps a crash, in the place of one of the same id, and drops the plugin's oldest beyond
    /// 16.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn keep(&self, crash: &Crash) -> Result<(), StateError> {
        let folder = self.0.subfolder(crash.plugin.as_str())?;
        let name = file(crash.id);
        let bytes = encoded(crash);
        let bytes = bytes.map_err(|error| folder.error("write", &name, error.into()))?;
        folder.replace(&name, &bytes)?;
        let ids = ids(&folder)?;
        for old in ids.iter().rev().skip(MAX_CRASHES) {
            folder.remove(&file(*old))?;
        }
        Ok(())
    }

    /// The crashes of a plugin, or of all, the oldest first; one that can't be read is left
    /// out.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn list(&self, plugin: Option<&PluginId>) -> Result<Vec<Crash>, StateError> {
        let plugins: Vec<PluginId> = match plugin {
            Some(plugin) => vec![plugin.clone()],
            None => {
                let names = self.0.names(MAX_PLUGINS)?;
                names.iter().filter_map(|name| name.parse().ok()).collect()
            }
        };
        let mut crashes = Vec::new();
        for plugin in plugins {
            let Some(folder) = self.0.existing(plugin.as_str())? else {
                continue;
            };
            for id in ids(&folder)? {
                crashes.extend(read(&folder, id)?);
            }
        }
        crashes.sort_by_key(|crash| crash.id);
        Ok(crashes)
    }

    /// The crash of that id.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn find(&self, id: CrashId) -> Result<Option<Crash>, StateError> {
        for name in self.0.names(MAX_PLUGINS)? {
            let Ok(plugin) = name.parse::<PluginId>() else {
                continue;
            };
            let folder = self.0.existing(plugin.as_str())?;
            if let Some(folder) = folder
                && let Some(crash) = read(&folder, id)?
            {
                return Ok(Some(crash));
            }
        }
        Ok(None)
    }
}

fn file(id: CrashId) -> String {
    format!("{id}{ENDING}")
}

/// The oldest first. Of a folder that somebody filled otherwise a part is seen.
fn ids(folder: &StateDir) -> Result<Vec<CrashId>, StateError> {
    let names = folder.names(8 * MAX_CRASHES)?;
    let id = |name: &String| name.strip_suffix(ENDING)?.parse().ok();
    let mut ids: Vec<CrashId> = names.iter().filter_map(id).collect();
    ids.sort_unstable();
    Ok(ids)
}

fn read(folder: &StateDir, id: CrashId) -> Result<Option<Crash>, StateError> {
    let bytes = folder.read(&file(id), MAX_BYTES)?;
    Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}

/// One that is too long, for the names in it, is kept without them.
fn encoded(crash: &Crash) -> serde_json::Result<Vec<u8>> {
    let bytes = serde_json::to_vec(crash)?;
    if bytes.len() as u64 <= MAX_BYTES {
        return Ok(bytes);
    }
    let short = Crash {
        maps: Vec::new(),
        log: Vec::new(),
        calls: Vec::new(),
        ..crash.clone()
    };
    serde_json::to_vec(&short)
}
