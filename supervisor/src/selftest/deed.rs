//! What a deed says of itself: in its manifest's metadata, read by the ELF parser.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::Serialize;

use super::barrier::{Barrier, UnknownBarrier};
use super::shown::{NotShown, Shown};
use crate::document::printable;
use crate::elf::{ElfError, Inspection, file_data};
use crate::manifest::{Manifest, ManifestError, NameError, PluginId};
use crate::units::{TimeSpan, UnitError};

/// How the twin of a deed that is done while loading is named: `NAME.twin.so`.
pub(super) const TWIN: &str = ".twin.so";

/// A deed of the suite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deed {
    /// `CATEGORY.NAME`, the plugin's id.
    pub id: PluginId,
    /// The plugin that does it.
    pub file: PathBuf,
    /// The plugin that does the nearest permitted act: the same one, or its twin.
    pub twin: PathBuf,
    /// The twin's id.
    pub twin_id: PluginId,
    /// What is tried, in a sentence without a subject.
    pub sentence: String,
    /// How it is stopped: the first shows where nothing is left out, the others without those
    /// before them.
    pub stops: Vec<Stop>,
    /// How it shows that it got through.
    pub through: Through,
    /// What both methods are given; the places of the scene in braces.
    pub data: String,
    /// Part of the sentence about how it was stopped.
    pub says: Option<String>,
    /// Time for the deed.
    pub within: Option<TimeSpan>,
    /// Whether it is tried in seccomp mode `permissive`, if the operator says so.
    pub unfiltered: bool,
    /// Limits of this plugin, an inline table as `[plugin.ID]` with nothing else in it.
    pub policy: Option<String>,
}

/// One way to be stopped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stop {
    /// How it shows.
    pub shown: Shown,
    /// The kind of violation that is recorded for it.
    pub violation: Option<String>,
    /// What does it.
    pub by: Barrier,
}

/// How it shows that a deed got through, besides traces outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Through {
    /// How the act ends.
    pub shown: Shown,
    /// A text in the plugin's output.
    pub printed: Option<String>,
}

/// Why a file is no deed.
#[derive(Debug, thiserror::Error)]
pub enum DeedError {
    /// It can't be read.
    #[error("{}: {source}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It isn't a shared object.
    #[error(transparent)]
    Elf(#[from] ElfError),
    /// It has no manifest.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// Its metadata lacks a text.
    #[error("{}: metadata.{field} is missing: every deed says it", file.display())]
    Missing {
        /// The file.
        file: PathBuf,
        /// Which text.
        field: &'static str,
    },
    /// Its metadata has a text that nobody reads.
    #[error("{}: metadata.{field} is unknown; a deed has {KNOWN}", file.display())]
    Unknown {
        /// The file.
        file: PathBuf,
        /// Which text.
        field: String,
    },
    /// A text of its metadata is wrong.
    #[error("{}: metadata.{field}: {source}", file.display())]
    Wrong {
        /// The file.
        file: PathBuf,
        /// Which text.
        field: &'static str,
        /// Why.
        source: WrongText,
    },
}

/// The fields of a deed's metadata.
const KNOWN: &str = "deed, stopped, through, printed, data, says, within, filter, policy";

/// Why a text of a deed's metadata can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WrongText {
    /// It names no barrier.
    #[error("{0:?} doesn't say by what: write it like `EPERM by seccomp`")]
    NoBarrier(String),
    /// An unknown barrier.
    #[error(transparent)]
    Barrier(#[from] UnknownBarrier),
    /// An unknown way to end.
    #[error(transparent)]
    Shown(#[from] NotShown),
    /// No length of time.
    #[error(transparent)]
    Time(#[from] UnitError),
    /// The twin of a file needs an id of its own.
    #[error(transparent)]
    Id(#[from] NameError),
    /// A filter that no deed can have.
    #[error("{0:?} is no filter of a deed: it is permissive, or isn't said")]
    Filter(String),
    /// A file that grants itself something.
    #[error("a deed has limits of its own, `{{ limits = {{ ... }} }}`, and grants itself nothing")]
    NotLimits,
}

impl Deed {
    /// Reads what `file` says. Where it has a twin of its own, that says it for both: a broken
    /// file can't.
    ///
    /// # Errors
    /// [`DeedError`].
    pub fn of(file: &Path) -> Result<Deed, DeedError> {
        let own = twin_of(file);
        let twin = own.clone().unwrap_or_else(|| file.to_owned());
        let manifest = manifest(&twin)?;
        let wrong = |field, source| DeedError::Wrong {
            file: twin.clone(),
            field,
            source,
        };
        let id = match &own {
            None => manifest.id.clone(),
            Some(_) => without_twin(&manifest.id).map_err(|error| wrong("id", error.into()))?,
        };
        let mut texts = Texts::of(&twin, &manifest);
        let sentence = texts.need("deed")?;
        let stops = stops(&texts.need("stopped")?).map_err(|error| wrong("stopped", error))?;
        let shown = texts.take("through").unwrap_or_else(|| "done".into());
        let shown = shown
            .parse()
            .map_err(|error: NotShown| wrong("through", error.into()))?;
        let within = texts.take("within").map(|text| text.parse());
        let within = within
            .transpose()
            .map_err(|error: UnitError| wrong("within", error.into()))?;
        let unfiltered = match texts.take("filter").as_deref() {
            None => false,
            Some("permissive") => true,
            Some(other) => return Err(wrong("filter", WrongText::Filter(printable(other)))),
        };
        let policy = texts.take("policy").map(limits_alone).transpose();
        let policy = policy.map_err(|error| wrong("policy", error))?;
        let deed = Deed {
            id,
            file: file.to_owned(),
            twin_id: manifest.id.clone(),
            sentence,
            stops,
            through: Through {
                shown,
                printed: texts.take("printed"),
            },
            data: texts.take("data").unwrap_or_default(),
            says: texts.take("says"),
            within,
            unfiltered,
            policy,
            twin: twin.clone(),
        };
        texts.done()?;
        Ok(deed)
    }
}

fn twin_of(file: &Path) -> Option<PathBuf> {
    let twin = file.with_extension(TWIN.trim_start_matches('.'));
    twin.is_file().then_some(twin)
}

fn without_twin(id: &PluginId) -> Result<PluginId, NameError> {
    let name = id.as_str();
    name.strip_suffix(".twin").unwrap_or(name).parse()
}

fn manifest(file: &Path) -> Result<Manifest, DeedError> {
    let unreadable = |source| DeedError::Unreadable {
        file: file.to_owned(),
        source,
    };
    let opened = File::open(file).map_err(unreadable)?;
    let data = file_data(&opened).map_err(unreadable)?;
    let inspection = Inspection::of(file, &data)?;
    Ok(Manifest::of(file, inspection.manifest.as_deref())?)
}

/// The texts of a manifest's metadata, each to be taken once.
struct Texts<'a> {
    file: &'a Path,
    left: BTreeMap<&'a str, &'a str>,
}

impl<'a> Texts<'a> {
    fn of(file: &'a Path, manifest: &'a Manifest) -> Self {
        let texts = manifest.metadata.iter();
        let left = texts.map(|(name, text)| (name.as_str(), text.as_str()));
        Self {
            file,
            left: left.collect(),
        }
    }

    fn take(&mut self, field: &str) -> Option<String> {
        self.left.remove(field).map(str::to_owned)
    }

    fn need(&mut self, field: &'static str) -> Result<String, DeedError> {
        self.take(field).ok_or_else(|| DeedError::Missing {
            file: self.file.to_owned(),
            field,
        })
    }

    /// Nothing may be left: a misspelled field would be an expectation that nobody holds.
    fn done(self) -> Result<(), DeedError> {
        match self.left.first_key_value() {
            None => Ok(()),
            Some((field, _)) => Err(DeedError::Unknown {
                file: self.file.to_owned(),
                field: (*field).to_owned(),
            }),
        }
    }
}

/// The file speaks, not the operator: it may ask for more or less of what ends with its
/// worker, and for nothing of the host.
fn limits_alone(text: String) -> Result<String, WrongText> {
    let read = toml::from_str::<toml::Table>(&format!("policy = {text}"));
    let outer = read.map_err(|_| WrongText::NotLimits)?;
    let alone = |table: &toml::Table, name: &str| table.len() == 1 && table.contains_key(name);
    let inner = outer.get("policy").and_then(toml::Value::as_table);
    match inner.is_some_and(|inner| alone(&outer, "policy") && alone(inner, "limits")) {
        true => Ok(text),
        false => Err(WrongText::NotLimits),
    }
}

/// `EPERM (denied-syscall) by seccomp, else ENOENT by root`.
fn stops(text: &str) -> Result<Vec<Stop>, WrongText> {
    text.split(", else ").map(str::parse).collect()
}

impl FromStr for Stop {
    type Err = WrongText;

    fn from_str(text: &str) -> Result<Self, WrongText> {
        let (how, by) = text
            .rsplit_once(" by ")
            .ok_or_else(|| WrongText::NoBarrier(printable(text)))?;
        let (shown, violation) = match how.strip_suffix(')').and_then(|how| how.rsplit_once(" (")) {
            Some((shown, violation)) => (shown, Some(violation.to_owned())),
            None => (how, None),
        };
        Ok(Stop {
            shown: shown.parse()?,
            violation,
            by: by.parse()?,
        })
    }
}

impl std::fmt::Display for Stop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.shown)?;
        if let Some(violation) = &self.violation {
            write!(f, " ({violation})")?;
        }
        write!(f, " by {}", self.by)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn stops_are_read_in_order() {
        let text = "kill ptrace (denied-syscall) by seccomp, else EPERM by ids, else oom by memory";
        let read = stops(text).unwrap();
        assert_eq!(
            read.iter().map(|stop| stop.by).collect::<Vec<_>>(),
            [Barrier::Seccomp, Barrier::Ids, Barrier::Memory]
        );
        assert_eq!(read[0].violation.as_deref(), Some("denied-syscall"));
        assert_eq!(read[0].shown, Shown::Kill("ptrace".into()));
        let written: Vec<String> = read.iter().map(ToString::to_string).collect();
        assert_eq!(written.join(", else "), text);
    }

    #[test]
    fn a_deed_has_limits_of_its_own_and_grants_itself_nothing() {
        let limits = "{ limits = { cpu = \"10s\" } }";
        assert_eq!(limits_alone(limits.into()), Ok(limits.into()));
        for text in [
            "{ grants = { net = \"full\" } }",
            "{ limits = { cpu = \"1s\" }, seccomp = { mode = \"permissive\" } }",
            "{ limits = { cpu = \"1s\" } }\nlibrary_dirs = [\"/tmp\"]",
            "{ limits = { cpu = \"1s\" } }\n[policy.grants]\nprocesses = true",
            "10",
            "{",
        ] {
            assert_eq!(
                limits_alone(text.into()),
                Err(WrongText::NotLimits),
                "{text}"
            );
        }
    }

    #[test]
    fn wrong_stops_are_explained() {
        for (text, error) in [
            ("EPERM", "doesn't say by what"),
            ("EPERM by magic", "there are seccomp, root"),
            ("sometimes by root", "is no way to end"),
            ("EPERM by root, else", "there are seccomp, root"),
        ] {
            let said = stops(text).unwrap_err().to_string();
            assert!(said.contains(error), "{said}");
        }
    }
}
