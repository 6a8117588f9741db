//! From a path to bytes that can't change any more: one read, hashed while it goes into a sealed
//! memfd.
//!
//! Whatever is parsed, verified or mapped later comes from the memfd, never from the path again.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, memfd_create};
use rustix::io::Errno;
use serde::{Serialize, Serializer};
use sha3::{Digest as _, Sha3_512};
use thiserror::Error;

use crate::regular::open_regular;
use crate::units::ByteSize;

/// The largest plugin.
pub const MAX_PLUGIN: ByteSize = ByteSize::mib(256);

/// A file's bytes in a sealed memfd: they can't be written, grown or shrunk, by nobody.
#[derive(Debug)]
pub struct Sealed {
    file: File,
    digest: Digest,
    len: u64,
}

/// A SHA3-512 digest. Printed and serialized in lower-case hex.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 64]);

/// How far a plugin's origin is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Trust {
    /// Nobody vouches for it.
    Unsigned,
}

/// Why a file can't be sealed.
#[derive(Debug, Error)]
pub enum SealError {
    /// It can't be opened or read, or is no regular file.
    #[error("{}: cannot read the plugin: {source}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is too large.
    #[error("{}: it is larger than {MAX_PLUGIN}, the most a plugin may have", file.display())]
    TooLarge {
        /// The file.
        file: PathBuf,
    },
    /// The kernel gives no sealed memfd.
    #[error("{}: cannot copy it into a sealed memfd: {step}: {source}", file.display())]
    Memfd {
        /// The file.
        file: PathBuf,
        /// The system call that failed.
        step: &'static str,
        /// Why.
        source: io::Error,
    },
}

impl Sealed {
    /// Reads the file once into a sealed memfd. Symlinks are followed: the path is the operator's.
    pub fn copy_of(path: &Path) -> Result<Self, SealError> {
        let unreadable = |source| SealError::Unreadable {
            file: path.to_owned(),
            source,
        };
        let failed = |step| {
            move |source: io::Error| SealError::Memfd {
                file: path.to_owned(),
                step,
                source,
            }
        };
        let too_large = || SealError::TooLarge {
            file: path.to_owned(),
        };
        let mut from = open_regular(path).map_err(unreadable)?;
        if from.metadata().map_err(unreadable)?.len() > MAX_PLUGIN.as_u64() {
            return Err(too_large());
        }
        let mut to = new_memfd().map_err(|errno| failed("memfd_create")(errno.into()))?;
        let mut hasher = Sha3_512::new();
        let mut len = 0;
        let mut chunk = vec![0; 64 * 1024];
        loop {
            let read = match from.read(&mut chunk) {
                Ok(0) => break,
                Ok(read) => &chunk[..read],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(source) => return Err(unreadable(source)),
            };
            len += read.len() as u64;
            // It may grow while it is read.
            if len > MAX_PLUGIN.as_u64() {
                return Err(too_large());
            }
            hasher.update(read);
            to.write_all(read).map_err(failed("write"))?;
        }
        seal(&to).map_err(|errno| failed("fcntl(F_ADD_SEALS)")(errno.into()))?;
        Ok(Self {
            file: to,
            digest: Digest(hasher.finalize().into()),
            len,
        })
    }

    /// The digest of all bytes.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The number of bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The memfd. Its file offset means nothing: read with `pread(2)`.
    pub fn file(&self) -> &File {
        &self.file
    }
}

/// Sealed files by their digest: equal ones are held once, however many plugins they are.
#[derive(Debug, Default)]
pub(crate) struct Holdings(Mutex<HashMap<Digest, Weak<Sealed>>>);

impl Holdings {
    /// The file that is held already, if there is one of these bytes.
    pub(crate) fn share(&self, sealed: Arc<Sealed>) -> Arc<Sealed> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = held.get(&sealed.digest).and_then(Weak::upgrade) {
            return known;
        }
        held.retain(|_, known| known.strong_count() > 0);
        held.insert(sealed.digest, Arc::downgrade(&sealed));
        sealed
    }
}

impl AsFd for Sealed {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Digest {
    /// The digest's bytes.
    pub fn as_bytes(&self) -> &[u8; 64] {
        &self.0
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unsigned => f.pad("UNSIGNED"),
        }
    }
}

/// A memfd that nobody can execute. `MFD_NOEXEC_SEAL` is unknown before Linux 6.3 (EINVAL).
fn new_memfd() -> Result<File, Errno> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let name = "cordon-plugin";
    match memfd_create(name, flags | MemfdFlags::NOEXEC_SEAL) {
        Err(Errno::INVAL) => memfd_create(name, flags),
        created => created,
    }
    .map(File::from)
}

/// Seals, and reads the seals back.
fn seal(memfd: &File) -> Result<(), Errno> {
    let all = SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
    fcntl_add_seals(memfd, all)?;
    if fcntl_get_seals(memfd)?.contains(all) {
        Ok(())
    } else {
        Err(Errno::PERM)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use std::fs;
    use std::os::unix::fs::FileExt;

    use super::*;

    #[test]
    fn the_digest_is_that_of_sha3sum() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("abc");
        fs::write(&path, "abc").unwrap();
        let sealed = Sealed::copy_of(&path).unwrap();
        assert_eq!(
            sealed.digest().to_string(),
            "b751850b1a57168a5693cd924b6b096e08f621827444f70d884f5d0240d2712e\
             10e116e9192af3c91a7ec57647e3934057340b4cf408d5a56592f8274eec53f0"
        );
        assert_eq!((sealed.len(), sealed.digest().as_bytes().len()), (3, 64));
    }

    #[test]
    fn equal_bytes_are_held_once_and_no_longer_than_needed() {
        let folder = tempfile::tempdir().unwrap();
        let seal = |name: &str, content: &str| {
            let path = folder.path().join(name);
            fs::write(&path, content).unwrap();
            Arc::new(Sealed::copy_of(&path).unwrap())
        };
        let holdings = Holdings::default();
        let first = holdings.share(seal("one", "abc"));
        assert!(Arc::ptr_eq(&holdings.share(seal("two", "abc")), &first));
        let other = holdings.share(seal("three", "abd"));
        assert!(!Arc::ptr_eq(&other, &first));
        drop(first);
        drop(holdings.share(seal("four", "abe")));
        let held = holdings.0.lock().unwrap();
        assert!(held.len() <= 2, "{held:?}");
    }

    #[test]
    fn sealed_bytes_outlive_the_file_and_cannot_change() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plugin.so");
        let content: Vec<u8> = (0..300_000_u32).map(|n| n as u8).collect();
        fs::write(&path, &content).unwrap();
        let sealed = Sealed::copy_of(&path).unwrap();
        fs::write(&path, "other").unwrap();
        let mut read = vec![0; content.len()];
        sealed.file().read_exact_at(&mut read, 0).unwrap();
        assert_eq!(read, content);
        for denied in [
            sealed.file().write_at(b"x", 0).map(drop),
            sealed.file().set_len(0),
            sealed.file().set_len(1 << 20),
            fcntl_add_seals(sealed.file(), SealFlags::FUTURE_WRITE).map_err(io::Error::from),
        ] {
            assert_eq!(denied.unwrap_err().kind(), io::ErrorKind::PermissionDenied);
        }
    }

    #[test]
    fn an_empty_file_is_sealed_too() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(Sealed::copy_of(file.path()).unwrap().is_empty());
    }

    #[test]
    fn what_is_no_readable_file_gets_one_clear_sentence() {
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("fifo");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &fifo,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR,
            0,
        )
        .unwrap();
        for (path, why) in [
            (folder.path().to_owned(), "it is a directory, not a file"),
            (
                folder.path().join("none"),
                "No such file or directory (os error 2)",
            ),
            (fifo, "it is not a regular file"),
            ("/dev/zero".into(), "it is not a regular file"),
        ] {
            let error = Sealed::copy_of(&path).unwrap_err().to_string();
            assert_eq!(
                error,
                format!("{}: cannot read the plugin: {why}", path.display())
            );
        }
    }

    #[test]
    fn a_file_too_large_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(MAX_PLUGIN.as_u64() + 1).unwrap();
        assert!(matches!(
            Sealed::copy_of(file.path()),
            Err(SealError::TooLarge { .. })
        ));
    }
}
