//! The manifest of a plugin: what it is and what it asks for. A request, never a grant.
//!
//! It lies in the ELF section `.cordon.manifest` of the plugin, or in a sidecar `NAME.toml` beside
//! it. The section wins, since it is part of what is hashed. Reading it runs no plugin code.

mod abi;
mod concurrency;
mod names;
mod requires;
mod scheduling;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use semver::{Version, VersionReq};
use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use abi::{AbiMismatch, AbiVersion, AbiVersionError, HOST_ABI};
pub use concurrency::{Concurrency, Hook, Priority};
pub use names::{
    AbsolutePath, EnvName, HookName, MethodName, NameError, PluginId, Text, TextError,
};
pub use requires::{Access, Capability, FileAccess, Net, Requires, TcpPorts};
pub use scheduling::{Nice, NoSuchPriority, Realtime};

use crate::document::{self, DocumentError};
use crate::limits::LimitRequests;
use crate::regular::read_text;

/// The longest manifest, in bytes.
pub const MAX_LEN: u64 = 64 * 1024;

/// A plugin's manifest, valid in itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The plugin's id, unique on a host.
    pub id: PluginId,
    /// The plugin's own version.
    pub version: Version,
    /// The ABI it is built for.
    pub abi: AbiVersion,
    /// Who wrote it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub author: Option<Text<256>>,
    /// What it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<Text<256>>,
    /// How many calls it takes at once.
    #[serde(default)]
    pub concurrency: Concurrency,
    /// The methods it says it has.
    #[serde(default)]
    pub methods: BTreeSet<MethodName>,
    /// The hooks it wants to be called for.
    #[serde(default, deserialize_with = "concurrency::hooks")]
    pub hooks: Vec<Hook>,
    /// What it asks to reach.
    #[serde(default)]
    pub requires: Requires,
    /// The limits it asks for.
    #[serde(default)]
    pub limits: LimitRequests,
    /// The plugins it needs, with the versions it works with.
    #[serde(default)]
    pub dependencies: BTreeMap<PluginId, VersionReq>,
    /// Free texts.
    #[serde(default)]
    pub metadata: BTreeMap<Text<64>, Text<1024>>,
}

/// Why a plugin has no usable manifest.
#[derive(Debug, Error)]
pub enum ManifestError {
    /// Neither section nor sidecar.
    #[error("{}: no manifest: it has no section .cordon.manifest, and there is no {}", plugin.display(), sidecar.display())]
    Missing {
        /// The plugin's file.
        plugin: PathBuf,
        /// The sidecar that would be read.
        sidecar: PathBuf,
    },
    /// The sidecar can't be read.
    #[error("{}: cannot read the manifest: {source}", sidecar.display())]
    Unreadable {
        /// The sidecar.
        sidecar: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The section holds something else than text.
    #[error("{}: the manifest in section .cordon.manifest is not UTF-8 text", plugin.display())]
    NotText {
        /// The plugin's file.
        plugin: PathBuf,
    },
    /// The section is too long.
    #[error("{}: the manifest has {len} bytes, {MAX_LEN} are allowed", plugin.display())]
    TooLong {
        /// The plugin's file.
        plugin: PathBuf,
        /// Its length in bytes.
        len: usize,
    },
    /// A field is wrong.
    #[error("{}: manifest, {source}", file.display())]
    Invalid {
        /// The plugin's file, or the sidecar.
        file: PathBuf,
        /// Where and what.
        source: DocumentError,
    },
}

impl Manifest {
    /// The manifest of `plugin`, from the contents of its manifest section, else from its sidecar.
    pub fn of(plugin: &Path, section: Option<&[u8]>) -> Result<Self, ManifestError> {
        match section {
            Some(section) => Self::from_section(plugin, section),
            None => Self::from_sidecar(plugin),
        }
    }

    /// Reads a manifest from its text; `file` is named in errors.
    pub fn parse(file: &Path, text: &str) -> Result<Self, ManifestError> {
        document::parse(text).map_err(|source| ManifestError::Invalid {
            file: file.to_owned(),
            source,
        })
    }

    fn from_section(plugin: &Path, section: &[u8]) -> Result<Self, ManifestError> {
        if section.len() as u64 > MAX_LEN {
            return Err(ManifestError::TooLong {
                plugin: plugin.to_owned(),
                len: section.len(),
            });
        }
        let text = std::str::from_utf8(section).map_err(|_| ManifestError::NotText {
            plugin: plugin.to_owned(),
        })?;
        Self::parse(plugin, text.trim_end_matches('\0'))
    }

    fn from_sidecar(plugin: &Path) -> Result<Self, ManifestError> {
        let [named, verbatim] = sidecars(plugin);
        for sidecar in [&named, &verbatim] {
            match read_text(sidecar, MAX_LEN) {
                Ok(text) => return Self::parse(sidecar, &text),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => {
                    return Err(ManifestError::Unreadable {
                        sidecar: sidecar.clone(),
                        source,
                    });
                }
            }
        }
        Err(ManifestError::Missing {
            plugin: plugin.to_owned(),
            sidecar: named,
        })
    }
}

/// For `libNAME.so` and `libNAME.so.1`: `NAME.toml`, then `libNAME.toml`.
fn sidecars(plugin: &Path) -> [PathBuf; 2] {
    let file = plugin.file_name().unwrap_or_default().to_string_lossy();
    let stem = file.find(".so").map_or(&*file, |end| &file[..end]);
    let name = stem
        .strip_prefix("lib")
        .filter(|name| !name.is_empty())
        .unwrap_or(stem);
    [name, stem].map(|stem| plugin.with_file_name(format!("{stem}.toml")))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests;
