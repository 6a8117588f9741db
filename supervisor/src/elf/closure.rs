//! The library closure: every library that a plugin needs, directly or not, opened from trusted
//! folders.
//!
//! Names only: `DT_RPATH` and `DT_RUNPATH` are ignored, and all libraries will lie in one flat
//! folder.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::vec;

use thiserror::Error;

use super::dynamic::{Dynamic, Soname};
use super::error::{ElfError, Fault};
use super::library_dirs::{Distrust, LibraryDirs, trusted_file};
use crate::units::ByteSize;

/// The most libraries that one plugin may need.
pub const MAX_LIBRARIES: usize = 128;
/// The most bytes that they may have in all.
pub const MAX_TOTAL: ByteSize = ByteSize::mib(512);

/// A library that a plugin needs.
#[derive(Debug)]
pub struct Library {
    /// The name by which it is needed: its file name in the plugin's image.
    pub soname: Soname,
    /// Where it was found. For display.
    pub path: PathBuf,
    /// The library, open for reading.
    pub file: File,
    /// Its size in bytes.
    pub len: u64,
}

/// All libraries that a plugin needs, each after those that it needs itself (cycles cut anywhere).
/// The dynamic loader and libc are among them.
#[derive(Debug)]
pub struct Closure {
    libraries: Vec<Library>,
}

/// Why a plugin's libraries can't be had.
#[derive(Debug, Error)]
#[error("{}: {fault}", plugin.display())]
pub struct ClosureError {
    /// The plugin's file.
    pub plugin: PathBuf,
    /// Which library, and what is wrong.
    pub fault: ClosureFault,
}

/// What is wrong with a library that a plugin needs.
#[derive(Debug, Error)]
pub enum ClosureFault {
    /// There is no such library.
    #[error("library {soname} not found, needed by {needed_by}{skipped}")]
    Missing {
        /// The library.
        soname: Soname,
        /// Who needs it: the plugin's file or a library.
        needed_by: String,
        /// Folders that weren't searched, and why.
        skipped: String,
    },
    /// It can't be opened.
    #[error("cannot open library {}, needed by {needed_by}: {source}", path.display())]
    Unreadable {
        /// The library.
        path: PathBuf,
        /// Who needs it.
        needed_by: String,
        /// Why.
        source: io::Error,
    },
    /// Others could change it.
    #[error("library {}, needed by {needed_by}, is not trusted: {why}", path.display())]
    Untrusted {
        /// The library.
        path: PathBuf,
        /// Who needs it.
        needed_by: String,
        /// Why.
        why: Distrust,
    },
    /// It is no usable shared object.
    #[error("library needed by {needed_by}: {source}")]
    Elf {
        /// Who needs it.
        needed_by: String,
        /// The library, and what is wrong with it.
        source: Box<ElfError>,
    },
    /// There are too many of them.
    #[error("it needs more than {MAX_LIBRARIES} libraries")]
    TooMany,
    /// They are too large.
    #[error("its libraries are larger than {MAX_TOTAL} in all")]
    TooLarge,
}

/// A library (or, at the bottom, the plugin) whose needs are being looked at.
struct Frame {
    library: Option<Library>,
    needed: vec::IntoIter<Soname>,
}

impl Closure {
    /// Finds what `plugin`, whose dynamic section is given, needs in `dirs`.
    pub fn resolve(
        plugin: &Path,
        dynamic: &Dynamic,
        dirs: &LibraryDirs,
    ) -> Result<Self, ClosureError> {
        let libraries = walk(plugin, dynamic, dirs);
        let libraries = libraries.map_err(|fault| ClosureError {
            plugin: plugin.to_owned(),
            fault,
        })?;
        Ok(Self { libraries })
    }

    /// The libraries, dependencies first.
    pub fn libraries(&self) -> &[Library] {
        &self.libraries
    }
}

impl IntoIterator for Closure {
    type Item = Library;
    type IntoIter = vec::IntoIter<Library>;

    fn into_iter(self) -> Self::IntoIter {
        self.libraries.into_iter()
    }
}

/// Depth first without recursion: a library is done once all that it needs is.
fn walk(
    plugin: &Path,
    dynamic: &Dynamic,
    dirs: &LibraryDirs,
) -> Result<Vec<Library>, ClosureFault> {
    let mut done = Vec::new();
    let mut seen = HashSet::new();
    let mut total = 0_u64;
    let mut stack = vec![Frame {
        library: None,
        needed: dynamic.needed.clone().into_iter(),
    }];
    while let Some(frame) = stack.last_mut() {
        let Some(soname) = frame.needed.next() else {
            done.extend(stack.pop().and_then(|frame| frame.library));
            continue;
        };
        if seen.contains(&soname) {
            continue;
        }
        if seen.len() == MAX_LIBRARIES {
            return Err(ClosureFault::TooMany);
        }
        let needed_by = match &frame.library {
            Some(library) => library.soname.to_string(),
            None => plugin.display().to_string(),
        };
        let (library, needed) = find(&soname, &needed_by, dirs)?;
        total = total.saturating_add(library.len);
        if total > MAX_TOTAL.as_u64() {
            return Err(ClosureFault::TooLarge);
        }
        seen.insert(soname);
        stack.push(Frame {
            library: Some(library),
            needed: needed.into_iter(),
        });
    }
    Ok(done)
}

/// The first library called `soname` for this host, and what it needs. Those for others are passed
/// over, as the dynamic loader does.
fn find(
    soname: &Soname,
    needed_by: &str,
    dirs: &LibraryDirs,
) -> Result<(Library, Vec<Soname>), ClosureFault> {
    let needed_by = || needed_by.to_owned();
    for (path, opened) in dirs.candidates(soname) {
        let unreadable = |source| ClosureFault::Unreadable {
            path: path.clone(),
            needed_by: needed_by(),
            source,
        };
        let file = File::from(opened.map_err(unreadable)?);
        let len = match trusted_file(&file).map_err(unreadable)? {
            Ok(len) => len,
            Err(why) => {
                return Err(ClosureFault::Untrusted {
                    path,
                    needed_by: needed_by(),
                    why,
                });
            }
        };
        let data = super::file_data(&file).map_err(unreadable)?;
        match Dynamic::read(&path, &data) {
            Ok(dynamic) => {
                return Ok((
                    Library {
                        soname: soname.clone(),
                        path,
                        file,
                        len,
                    },
                    dynamic.needed,
                ));
            }
            Err(ElfError {
                fault: Fault::WrongClass { .. } | Fault::WrongMachine { .. },
                ..
            }) => {}
            Err(source) => {
                return Err(ClosureFault::Elf {
                    needed_by: needed_by(),
                    source: Box::new(source),
                });
            }
        }
    }
    Err(ClosureFault::Missing {
        soname: soname.clone(),
        needed_by: needed_by(),
        skipped: not_searched(dirs),
    })
}

fn not_searched(dirs: &LibraryDirs) -> String {
    let skipped = dirs
        .skipped()
        .iter()
        .map(|dir| format!("{} ({})", dir.path.display(), dir.why));
    let skipped = skipped.collect::<Vec<_>>().join(", ");
    if skipped.is_empty() {
        skipped
    } else {
        format!("; not searched: {skipped}")
    }
}
