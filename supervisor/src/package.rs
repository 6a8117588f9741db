//! A plugin file made ready to be loaded: sealed, read as data, and with its libraries
//! found. No plugin code runs here.

mod code;

use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use sandbox::mounts::PLUGIN_FOLDER;
use sandbox::plan::ImageKey;

use crate::elf::{
    Closure, ClosureError, ElfError, Inspection, Library, LibraryDirs, Symbols, file_data,
};
use crate::manifest::{AbiMismatch, HOST_ABI, Manifest, ManifestError};
use crate::trust::{SealError, Sealed, Trust};

/// File name of the plugin in its image; its path says nothing of the host.
const FILE_NAME: &str = "plugin.so";

/// A plugin, ready to be granted and launched.
#[derive(Debug)]
pub struct Package {
    /// Where it came from, for messages.
    pub path: PathBuf,
    /// Its bytes.
    pub sealed: Arc<Sealed>,
    /// What it says of itself.
    pub manifest: Manifest,
    /// What its ELF file says.
    pub inspection: Inspection,
    /// The libraries that the worker doesn't have anyway, dependencies first.
    pub libraries: Vec<Library>,
    /// How far its origin is known.
    pub trust: Trust,
    /// Of the plugin, then of each library; read when they are asked for.
    symbols: Vec<OnceLock<Symbols>>,
}

/// Why a file can't be loaded as a plugin.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// It can't be read.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// It isn't a shared object of this machine with an entry.
    #[error(transparent)]
    Elf(#[from] ElfError),
    /// Its manifest is missing or wrong.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// It was built for another ABI.
    #[error("{}: {source}", path.display())]
    Abi {
        /// The plugin's file.
        path: PathBuf,
        /// Both versions.
        source: AbiMismatch,
    },
    /// A library that it needs can't be had.
    #[error(transparent)]
    Closure(#[from] ClosureError),
    /// A sealed file can't be read back.
    #[error("{}: can't read it back: {source}", path.display())]
    ReadBack {
        /// The plugin's file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Package {
    /// Reads `path` once and finds the libraries that the file needs besides `base`,
    /// the sonames of what every worker has.
    ///
    /// # Errors
    /// [`PackageError`], one clear sentence with the file's name.
    pub fn open(path: &Path, dirs: &LibraryDirs, base: &[String]) -> Result<Package, PackageError> {
        let sealed = Arc::new(Sealed::copy_of(path)?);
        let read_back = |source| PackageError::ReadBack {
            path: path.to_owned(),
            source,
        };
        let data = file_data(sealed.file()).map_err(read_back)?;
        let inspection = Inspection::of(path, &data)?;
        inspection.require_entry()?;
        inspection.require_loadable()?;
        let manifest = Manifest::of(path, inspection.manifest.as_deref())?;
        let abi = |source| PackageError::Abi {
            path: path.to_owned(),
            source,
        };
        manifest.abi.check(HOST_ABI).map_err(abi)?;
        let closure = Closure::resolve(path, &inspection.dynamic, dirs)?;
        let has = |library: &Library| base.iter().any(|known| known == library.soname.as_str());
        let libraries: Vec<_> = closure
            .into_iter()
            .filter(|library| !has(library))
            .collect();
        let symbols = (0..=libraries.len()).map(|_| OnceLock::new()).collect();
        let trust = Trust::Unsigned;
        Ok(Package {
            path: path.to_owned(),
            sealed,
            manifest,
            inspection,
            libraries,
            trust,
            symbols,
        })
    }

    /// Names the image that holds this plugin with these libraries.
    ///
    /// # Errors
    /// What fstat(2) of a library gives.
    pub fn image_key(&self) -> io::Result<ImageKey> {
        let mut fingerprint = DefaultHasher::new();
        for library in &self.libraries {
            let data = library.file.metadata()?;
            library.soname.as_str().hash(&mut fingerprint);
            (
                data.dev(),
                data.ino(),
                data.len(),
                data.mtime(),
                data.mtime_nsec(),
            )
                .hash(&mut fingerprint);
        }
        let (mut first, mut second) = ([0; 32], [0; 32]);
        let digest = self.sealed.digest();
        first.copy_from_slice(&digest.as_bytes()[..32]);
        second.copy_from_slice(&digest.as_bytes()[32..]);
        Ok(ImageKey {
            digest: (first, second),
            closure: fingerprint.finish(),
        })
    }

    /// The image's files, each an fd of its own.
    ///
    /// # Errors
    /// `EMFILE` and the like.
    pub fn files(&self) -> io::Result<Vec<(String, OwnedFd)>> {
        let own = |file: &File| file.try_clone().map(OwnedFd::from);
        let mut files = vec![(FILE_NAME.to_owned(), own(self.sealed.file())?)];
        for library in &self.libraries {
            files.push((library.soname.to_string(), own(&library.file)?));
        }
        Ok(files)
    }

    /// Paths in the worker's root: the plugin, then its libraries in order.
    #[must_use]
    pub fn paths(&self) -> (String, Vec<String>) {
        let path = |name: &str| format!("{PLUGIN_FOLDER}/{name}");
        let libraries = self
            .libraries
            .iter()
            .map(|library| path(library.soname.as_str()));
        (path(FILE_NAME), libraries.collect())
    }
}
