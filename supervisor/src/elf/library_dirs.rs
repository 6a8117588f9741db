//! The folders in which libraries are trusted: the operator's, then the system's as in `ld.so(8)`.

use std::collections::{HashSet, VecDeque};
use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, Stat, fstat, open, openat2};
use rustix::io::Errno;
use rustix::process::geteuid;
use thiserror::Error;

use super::dynamic::Soname;
use crate::manifest::AbsolutePath;
use crate::regular::read_text;

/// Where `ldconfig(8)` is told of further folders.
const SYSTEM_CONF: &str = "/etc/ld.so.conf";
#[cfg(target_arch = "x86_64")]
const TRIPLET: &str = "x86_64-linux-gnu";
#[cfg(target_arch = "aarch64")]
const TRIPLET: &str = "aarch64-linux-gnu";

/// The longest configuration file, the most of them, and the most folders.
const MAX_CONF: u64 = 64 * 1024;
const MAX_CONFS: usize = 256;
const MAX_DIRS: usize = 256;

/// Open folders, in the order in which libraries are looked for.
#[derive(Debug)]
pub struct LibraryDirs {
    dirs: Vec<Dir>,
    skipped: Vec<Skipped>,
}

#[derive(Debug)]
struct Dir {
    path: PathBuf,
    fd: OwnedFd,
}

/// A system folder that isn't searched, since others could write to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// The folder.
    pub path: PathBuf,
    /// Why.
    pub why: Distrust,
}

/// Why a file or folder isn't trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Distrust {
    /// It belongs to neither root nor the caller.
    Owner(u32),
    /// Its group or everybody can write to it.
    Writable(u32),
    /// It isn't what it should be.
    NotRegular,
}

/// Why the folders of libraries can't be used.
#[derive(Debug, Error)]
pub enum LibraryDirsError {
    /// A folder or configuration file can't be read.
    #[error("{}: cannot read it to find libraries: {source}", path.display())]
    Unreadable {
        /// The folder or file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A folder that policy names isn't safe.
    #[error("library_dirs: {}: not trusted: {why}", path.display())]
    Untrusted {
        /// The folder.
        path: PathBuf,
        /// Why.
        why: Distrust,
    },
    /// There is too much of it.
    #[error("{}: more than {max} {what}", conf.display())]
    TooMany {
        /// The configuration file.
        conf: PathBuf,
        /// Of what.
        what: &'static str,
        /// The most allowed.
        max: usize,
    },
}

impl LibraryDirs {
    /// The operator's folders, then those of `/etc/ld.so.conf`, then the architecture's defaults.
    pub fn system(operator: &[AbsolutePath]) -> Result<Self, LibraryDirsError> {
        Self::with_conf(operator, Path::new(SYSTEM_CONF))
    }

    /// As [`system`](Self::system), with another configuration file.
    pub fn with_conf(operator: &[AbsolutePath], conf: &Path) -> Result<Self, LibraryDirsError> {
        let mut found = Self {
            dirs: Vec::new(),
            skipped: Vec::new(),
        };
        let mut seen = HashSet::new();
        for path in operator {
            let added = found.add(path.as_path(), &mut seen);
            added.map_err(|source| LibraryDirsError::Unreadable {
                path: path.as_path().to_owned(),
                source,
            })?;
        }
        if let Some(Skipped { path, why }) = found.skipped.pop() {
            return Err(LibraryDirsError::Untrusted { path, why });
        }
        let defaults = ["/lib/", "/usr/lib/"].map(|lib| PathBuf::from(format!("{lib}{TRIPLET}")));
        let plain = ["/lib64", "/usr/lib64", "/lib", "/usr/lib"].map(PathBuf::from);
        for path in configured(conf)?.into_iter().chain(defaults).chain(plain) {
            match found.add(&path, &mut seen) {
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                    ) => {}
                added => added.map_err(|source| LibraryDirsError::Unreadable { path, source })?,
            }
        }
        Ok(found)
    }

    /// System folders that aren't searched.
    pub fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }

    /// The files called `soname`, in the order of the folders, each opened without following magic
    /// links.
    pub(super) fn candidates(
        &self,
        soname: &Soname,
    ) -> impl Iterator<Item = (PathBuf, io::Result<OwnedFd>)> {
        self.dirs.iter().filter_map(move |dir| {
            let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
            let opened = openat2(
                &dir.fd,
                soname.as_str(),
                flags,
                Mode::empty(),
                ResolveFlags::NO_MAGICLINKS,
            );
            match opened {
                Err(Errno::NOENT) => None,
                opened => Some((
                    dir.path.join(soname.as_str()),
                    opened.map_err(io::Error::from),
                )),
            }
        })
    }

    /// Adds the folder once, however it is called; one that isn't trusted is noted instead.
    fn add(&mut self, path: &Path, seen: &mut HashSet<(u64, u64)>) -> io::Result<()> {
        let fd = open(
            path,
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        let stat = fstat(&fd)?;
        if !seen.insert((stat.st_dev, stat.st_ino)) {
            return Ok(());
        }
        match distrust(&stat) {
            Some(why) => self.skipped.push(Skipped {
                path: path.to_owned(),
                why,
            }),
            None => self.dirs.push(Dir {
                path: path.to_owned(),
                fd,
            }),
        }
        Ok(())
    }
}

/// Checks that `file` is regular, and that nobody but root and the caller can change it.
pub(super) fn trusted_file(file: impl AsFd) -> io::Result<Result<u64, Distrust>> {
    let stat = fstat(file)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Ok(Err(Distrust::NotRegular));
    }
    Ok(distrust(&stat).map_or(Ok(stat.st_size as u64), Err))
}

impl fmt::Display for Distrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Owner(uid) => write!(f, "it belongs to uid {uid}, not to root"),
            Self::Writable(mode) => write!(f, "others can write to it (mode {mode:04o})"),
            Self::NotRegular => f.write_str("it is not a regular file"),
        }
    }
}

fn distrust(stat: &Stat) -> Option<Distrust> {
    let mode = stat.st_mode & 0o7777;
    if stat.st_uid != 0 && stat.st_uid != geteuid().as_raw() {
        return Some(Distrust::Owner(stat.st_uid));
    }
    (mode & 0o022 != 0).then_some(Distrust::Writable(mode))
}

/// The folders that `conf` and what it includes name, in order.
fn configured(conf: &Path) -> Result<Vec<PathBuf>, LibraryDirsError> {
    let mut dirs = Vec::new();
    let mut confs = VecDeque::from([conf.to_owned()]);
    let mut read = 0;
    while let Some(file) = confs.pop_front() {
        read += 1;
        if read > MAX_CONFS {
            return Err(LibraryDirsError::TooMany {
                conf: conf.to_owned(),
                what: "files",
                max: MAX_CONFS,
            });
        }
        let text = match read_text(&file, MAX_CONF) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            text => text.map_err(|source| LibraryDirsError::Unreadable {
                path: file.clone(),
                source,
            })?,
        };
        for line in text
            .lines()
            .map(|line| line.split('#').next().unwrap_or_default().trim())
        {
            match line.split_once([' ', '\t']) {
                Some(("include", patterns)) => {
                    for pattern in patterns.split_whitespace() {
                        confs.extend(matching(&file, pattern)?);
                    }
                }
                // `hwcap` lines mean nothing to glibc any more.
                Some(("hwcap", _)) => {}
                _ if line.starts_with('/') => dirs.push(PathBuf::from(line)),
                _ => {}
            }
        }
        if dirs.len() > MAX_DIRS || confs.len() > MAX_CONFS {
            return Err(LibraryDirsError::TooMany {
                conf: conf.to_owned(),
                what: "folders",
                max: MAX_DIRS,
            });
        }
    }
    Ok(dirs)
}

/// The files that an `include` of `conf` means, sorted. One `*`, in the last component, as
/// distributions use.
fn matching(conf: &Path, pattern: &str) -> Result<Vec<PathBuf>, LibraryDirsError> {
    let pattern = conf.parent().unwrap_or(Path::new("/")).join(pattern);
    let (Some(folder), Some(name)) = (
        pattern.parent(),
        pattern.file_name().and_then(OsStr::to_str),
    ) else {
        return Ok(Vec::new());
    };
    let Some((before, after)) = name.split_once('*') else {
        return Ok(vec![pattern]);
    };
    let unreadable = |source| LibraryDirsError::Unreadable {
        path: folder.to_owned(),
        source,
    };
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(unreadable)?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let name = entry.map_err(unreadable)?.file_name();
        let long_enough = name.len() >= before.len() + after.len();
        if name
            .to_str()
            .is_some_and(|name| long_enough && name.starts_with(before) && name.ends_with(after))
        {
            files.push(folder.join(name));
        }
        if files.len() > MAX_CONFS {
            return Err(LibraryDirsError::TooMany {
                conf: conf.to_owned(),
                what: "files",
                max: MAX_CONFS,
            });
        }
    }
    files.sort_unstable();
    Ok(files)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn includes_are_followed_in_order_and_comments_ignored() {
        let folder = tempfile::tempdir().unwrap();
        let conf = folder.path().join("ld.so.conf");
        fs::create_dir(folder.path().join("d")).unwrap();
        fs::write(
            &conf,
            "# main\n/first # comment\ninclude d/*.conf\nhwcap 1 x\nrelative\n",
        )
        .unwrap();
        fs::write(folder.path().join("d/b.conf"), "/b\n").unwrap();
        fs::write(folder.path().join("d/a.conf"), "/a\n").unwrap();
        fs::write(folder.path().join("d/c.txt"), "/c\n").unwrap();
        assert_eq!(
            configured(&conf).unwrap(),
            ["/first", "/a", "/b"].map(PathBuf::from)
        );
    }

    #[test]
    fn a_file_that_includes_itself_ends_in_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let conf = folder.path().join("ld.so.conf");
        fs::write(&conf, "include ld.so.conf\ninclude ld.so.conf\n").unwrap();
        assert!(matches!(
            configured(&conf),
            Err(LibraryDirsError::TooMany { .. })
        ));
    }

    #[test]
    fn no_configuration_leaves_the_defaults() {
        let dirs = LibraryDirs::with_conf(&[], Path::new("/nonexistent")).unwrap();
        assert!(
            dirs.candidates(&Soname::parse(b"libc.so.6").unwrap())
                .next()
                .is_some()
        );
    }

    #[test]
    fn an_operators_folder_comes_first_and_must_be_trusted() {
        let folder = tempfile::tempdir().unwrap();
        let path = AbsolutePath::try_from(folder.path().to_str().unwrap().to_owned()).unwrap();
        let dirs = LibraryDirs::system(std::slice::from_ref(&path)).unwrap();
        assert_eq!(dirs.dirs[0].path, folder.path());
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        let error = LibraryDirs::system(std::slice::from_ref(&path))
            .unwrap_err()
            .to_string();
        assert!(
            error.ends_with("not trusted: others can write to it (mode 0777)"),
            "{error}"
        );
    }
}
