//! The worker's program: found, checked, and sealed in memory, so that what runs later
//! is what was checked now.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

/// Environment variable that names the worker's program.
pub const VARIABLE: &str = "CORDON_WORKER";
/// File name of the program beside `cordon`.
pub const FILE_NAME: &str = "cordon-worker";
/// The largest program accepted, in bytes.
const MAX_BYTES: u64 = 64 << 20;

/// Why there is no worker program.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// Neither option, nor neighbour, nor variable.
    #[error(
        "no {FILE_NAME} found: it should lie beside {}, or name it with {VARIABLE}",
        beside.display()
    )]
    NotFound {
        /// Where it was looked for.
        beside: PathBuf,
    },
    /// It can't be read.
    #[error("can't read the worker program {}: {source}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Somebody else could change it.
    #[error("the worker program {} {why}: anybody who can change it runs code as you", path.display())]
    Untrusted {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// No memory for it.
    #[error("can't keep the worker program in memory: {0}")]
    Seal(#[source] io::Error),
}

/// The program, sealed in memory.
#[derive(Debug)]
pub struct Program {
    /// The sealed memfd.
    pub fd: OwnedFd,
    /// Its bytes, for the search of its libraries.
    pub bytes: Vec<u8>,
    /// Where it was found, for messages.
    pub path: PathBuf,
}

impl Program {
    /// Finds the program by `option`, else beside the running executable, else by
    /// [`VARIABLE`], and opens it once.
    ///
    /// # Errors
    /// [`ProgramError`].
    pub fn find(option: Option<&Path>) -> Result<Program, ProgramError> {
        let beside = std::env::current_exe()
            .ok()
            .and_then(|path| path.parent().map(|folder| folder.join(FILE_NAME)))
            .unwrap_or_else(|| PathBuf::from(FILE_NAME));
        let variable = std::env::var_os(VARIABLE).map(PathBuf::from);
        let path = match (option, variable) {
            (Some(path), _) => path.to_owned(),
            (None, _) if beside.exists() => beside,
            (None, Some(path)) => path,
            (None, None) => return Err(ProgramError::NotFound { beside }),
        };
        Self::open(path)
    }

    fn open(path: PathBuf) -> Result<Program, ProgramError> {
        let failed = |source| ProgramError::Read {
            path: path.clone(),
            source,
        };
        let file = File::open(&path).map_err(failed)?;
        let metadata = file.metadata().map_err(failed)?;
        let untrusted = |why| {
            Err(ProgramError::Untrusted {
                path: path.clone(),
                why,
            })
        };
        let own = rustix::process::geteuid().as_raw();
        match metadata {
            _ if !metadata.is_file() => return untrusted("is not a regular file"),
            _ if metadata.uid() != 0 && metadata.uid() != own => {
                return untrusted("belongs neither to root nor to you");
            }
            _ if metadata.mode() & 0o022 != 0 => return untrusted("can be written by others"),
            _ if metadata.len() > MAX_BYTES => return untrusted("is absurdly large"),
            _ => {}
        }
        let mut bytes = Vec::new();
        file.take(MAX_BYTES)
            .read_to_end(&mut bytes)
            .map_err(failed)?;
        let fd = seal(&bytes).map_err(ProgramError::Seal)?;
        Ok(Program { fd, bytes, path })
    }
}

fn seal(bytes: &[u8]) -> io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // Kernels before 6.3 don't know EXEC, and take every memfd to be executable.
    let fd = match memfd_create(c"cordon-worker", flags | MemfdFlags::EXEC) {
        Err(rustix::io::Errno::INVAL) => memfd_create(c"cordon-worker", flags)?,
        other => other?,
    };
    let mut file = File::from(fd);
    file.write_all(bytes)?;
    let seals = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
    fcntl_add_seals(file.as_fd(), seals)?;
    Ok(file.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn program_that_others_can_write_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE_NAME);
        std::fs::write(&path, b"x").unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        assert!(Program::find(Some(&path)).is_ok());
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o757)).unwrap();
        let error = Program::find(Some(&path)).unwrap_err();
        assert!(error.to_string().contains("written by others"), "{error}");
    }

    #[test]
    fn sealed_program_keeps_its_bytes() {
        let fd = seal(b"abc").unwrap();
        assert_eq!(
            rustix::io::pwrite(&fd, b"x", 0).unwrap_err(),
            rustix::io::Errno::PERM
        );
    }
}
