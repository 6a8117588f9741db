//! The profiles that come with Cordon: data files, each over its base.

use serde::{Deserialize, Serialize};

use super::arch::Arch;
use super::document::{File, ProfileError};
use super::mode::{Granted, Mode};
use super::profile::Profile;

/// A profile that others can stand on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Base {
    Never,
    Strict,
    Basic,
}

/// A file's name, for errors, and its text.
type Source<'a> = (&'a str, &'a str);

macro_rules! source {
    ($name:literal, $arch:expr) => {
        match $arch {
            Arch::X86_64 => (
                concat!($name, ".x86_64.toml"),
                include_str!(concat!("../../profiles/", $name, ".x86_64.toml")),
            ),
            Arch::Aarch64 => (
                concat!($name, ".aarch64.toml"),
                include_str!(concat!("../../profiles/", $name, ".aarch64.toml")),
            ),
        }
    };
}

impl Profile {
    /// The profile of a mode, with those of its rules that wait for one of these grants.
    ///
    /// # Errors
    /// What is wrong with its file, which the tests of this crate rule out.
    pub fn builtin(mode: Mode, arch: Arch, granted: Granted) -> Result<Profile, ProfileError> {
        of_source(mode.source(arch), granted)
    }

    /// The profile of init, pid 1 of a worker's namespaces.
    ///
    /// # Errors
    /// As [`Profile::builtin`].
    pub fn init(arch: Arch) -> Result<Profile, ProfileError> {
        of_source(source!("init", arch), Granted::NONE)
    }

    /// The never-list as a profile.
    ///
    /// # Errors
    /// As [`Profile::builtin`].
    pub fn never(arch: Arch) -> Result<Profile, ProfileError> {
        of_source(Base::Never.source(arch), Granted::NONE)
    }

    /// What a worker's own program needs to load a plugin and to serve: strict without the
    /// never-list beneath it.
    pub(super) fn core(arch: Arch) -> Result<Profile, ProfileError> {
        let (name, text) = Mode::Strict.source(arch);
        Profile::of_files(&[File::read(name, text)?], Granted::NONE)
    }

    /// Reads a profile file, and those that it stands on.
    ///
    /// # Errors
    /// The first thing that can't be resolved, with file and line.
    pub fn parse(name: &str, text: &str, granted: Granted) -> Result<Profile, ProfileError> {
        Profile::of_files(&files((name, text))?, granted)
    }
}

/// A profile's file, and those that it stands on.
fn files((name, text): Source<'_>) -> Result<Vec<File>, ProfileError> {
    let mut files = vec![File::read(name, text)?];
    // Each base is narrower than what stands on it, so this ends.
    while let Some((base, arch)) = files.last().and_then(File::base) {
        let (name, text) = base.source(arch);
        let file = File::read(name, text)?;
        if file
            .base()
            .is_some_and(|(below, _)| below as u8 >= base as u8)
        {
            return Err(ProfileError::Base(name.to_owned()));
        }
        files.push(file);
    }
    Ok(files)
}

fn of_source((name, text): Source<'_>, granted: Granted) -> Result<Profile, ProfileError> {
    Profile::parse(name, text, granted)
}

impl Mode {
    /// The file of its profile, and those that it stands on.
    pub(super) fn files(self, arch: Arch) -> Result<Vec<File>, ProfileError> {
        files(self.source(arch))
    }

    fn source(self, arch: Arch) -> Source<'static> {
        match self {
            Mode::Strict => Base::Strict.source(arch),
            Mode::Basic => Base::Basic.source(arch),
            Mode::Moderate => source!("moderate", arch),
            Mode::Permissive => source!("permissive", arch),
        }
    }
}

impl Base {
    fn source(self, arch: Arch) -> Source<'static> {
        match self {
            Base::Never => source!("never", arch),
            Base::Strict => source!("strict", arch),
            Base::Basic => source!("basic", arch),
        }
    }
}
