//! Where state lives, all of it below one folder each for run time and for good.

use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

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

fn private_folder(path: &Path) -> io::Result<()> {
    match std::fs::DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    let metadata = std::fs::symlink_metadata(path)?;
    if !metadata.is_dir() || metadata.uid() != rustix::process::geteuid().as_raw() {
        return Err(io::Error::other("it isn't a folder of yours"));
    }
    if metadata.mode() & 0o077 != 0 {
        return Err(io::Error::other("others have access to it"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};

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
