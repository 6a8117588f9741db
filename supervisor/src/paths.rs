//! Where state lives, all of it below one folder each for run time and for good.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, fstat, open};
use rustix::io::Errno;

/// Why a folder can't be used.
#[derive(Debug, thiserror::Error)]
#[error("can't use the folder {}: {why}", path.display())]
pub struct PathError {
    /// Which folder.
    pub path: PathBuf,
    /// Why.
    pub why: String,
}

/// The folder for what lives as long as the system is up: locks.
///
/// # Errors
/// [`PathError`] where it can't be made, or isn't the caller's alone.
pub fn runtime_folder() -> Result<PathBuf, PathError> {
    let path = if rustix::process::geteuid().is_root() {
        PathBuf::from("/run/cordon")
    } else {
        match std::env::var_os("XDG_RUNTIME_DIR") {
            Some(folder) => PathBuf::from(folder).join("cordon"),
            None => {
                let own = rustix::process::geteuid().as_raw();
                std::env::temp_dir().join(format!("cordon-{own}"))
            }
        }
    };
    private_folder(&path).map_err(|error| PathError {
        path: path.clone(),
        why: error.to_string(),
    })?;
    Ok(path)
}

/// The folder for what outlives a supervisor, unless the operator names another: that of the
/// system for root, else the user's own (XDG Base Directory Specification). It needn't be there.
///
/// # Errors
/// [`PathError`] where the user has no home.
pub fn state_folder() -> Result<PathBuf, PathError> {
    if rustix::process::geteuid().is_root() {
        return Ok(PathBuf::from("/var/lib/cordon"));
    }
    // The specification has relative paths ignored.
    let absolute = |name| {
        let path = PathBuf::from(std::env::var_os(name)?);
        path.is_absolute().then_some(path)
    };
    let states = absolute("XDG_STATE_HOME");
    let states = states.or_else(|| Some(absolute("HOME")?.join(".local/state")));
    let states = states.ok_or_else(|| PathError {
        path: PathBuf::from(".local/state/cordon"),
        why: "HOME isn't set; name another folder by --state-dir".into(),
    })?;
    Ok(states.join("cordon"))
}

/// Opens a folder that is the caller's alone, and makes it with those above it where it is
/// missing.
pub(crate) fn private_folder(path: &Path) -> io::Result<OwnedFd> {
    let mut builder = std::fs::DirBuilder::new();
    builder.mode(0o700).recursive(true).create(path)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let foreign = || io::Error::other("it isn't a folder of yours");
    let folder = open(path, flags, Mode::empty()).map_err(|error| match error {
        Errno::LOOP | Errno::NOTDIR => foreign(),
        error => error.into(),
    })?;
    let stat = fstat(&folder)?;
    if stat.st_uid != rustix::process::geteuid().as_raw() {
        return Err(foreign());
    }
    if stat.st_mode & 0o077 != 0 {
        return Err(io::Error::other("others have access to it"));
    }
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    #[test]
    fn folder_is_made_for_the_caller_alone_and_used_again() {
        let above = tempfile::tempdir().unwrap();
        let path = above.path().join("cordon");
        private_folder(&path).unwrap();
        let mode = std::fs::metadata(&path).unwrap().mode();
        assert_eq!(mode & 0o777, 0o700);
        private_folder(&path).unwrap();
    }

    #[test]
    fn folder_that_others_could_have_prepared_is_refused() {
        let above = tempfile::tempdir().unwrap();
        let path = above.path().join("cordon");
        std::fs::create_dir(&path).unwrap();
        set_permissions(&path, Permissions::from_mode(0o750)).unwrap();
        let error = private_folder(&path).unwrap_err().to_string();
        assert_eq!(error, "others have access to it");
        let link = above.path().join("link");
        symlink("/", &link).unwrap();
        let error = private_folder(&link).unwrap_err().to_string();
        assert_eq!(error, "it isn't a folder of yours");
    }
}
