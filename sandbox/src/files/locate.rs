//! Where a path of the policy really leads, by the supervisor: it alone sees who owns a link,
//! since in a rootless launcher's user namespace every foreign owner looks the same.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{
    CWD, FileType, Mode, OFlags, PROC_SUPER_MAGIC, fstat, fstatfs, openat, readlinkat,
};

use super::rules::MAX_DEPTH;

/// The most links followed on one path, the kernel's own limit (path_resolution(7)).
const MAX_LINKS: u32 = 40;

/// Why a path of the policy leads nowhere that could be granted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LocateError {
    /// Not absolute, with `..` in it, or not UTF-8.
    #[error("{} isn't an absolute path of plain names", .0.display())]
    Path(PathBuf),
    /// It isn't there, or can't be reached.
    #[error("{}: {}: {}", path.display(), at.display(), io::Error::from_raw_os_error(*errno))]
    Open {
        /// The whole path.
        path: PathBuf,
        /// What couldn't be opened.
        at: PathBuf,
        /// Why.
        errno: i32,
    },
    /// A link that could lead elsewhere at any time.
    #[error(
        "{}: {} is a symlink of uid {owner}; only those of root and of you (uid {operator}) \
         are followed: grant the path that it leads to", path.display(), at.display()
    )]
    ForeignLink {
        /// The whole path.
        path: PathBuf,
        /// The link.
        at: PathBuf,
        /// Whose it is.
        owner: u32,
        /// Whose else it might be.
        operator: u32,
    },
    /// A link that is none: it leads to what a process has open.
    #[error("{}: {} is a link of /proc, which isn't followed", path.display(), at.display())]
    MagicLink {
        /// The whole path.
        path: PathBuf,
        /// The link.
        at: PathBuf,
    },
    /// Links without end.
    #[error("{}: more than {MAX_LINKS} symlinks, or {MAX_DEPTH} folders", .0.display())]
    TooLong(PathBuf),
}

/// Follows `path` link by link, each owned by root or by `operator`, to a path without any.
/// The launcher opens that one, and nothing that has become a link since.
///
/// # Errors
/// [`LocateError`] names the component that isn't followed.
pub fn locate(path: &Path, operator: u32) -> Result<PathBuf, LocateError> {
    let names = path.components().skip(1);
    let plain = |component| matches!(component, Component::Normal(_));
    if !path.is_absolute() || path.to_str().is_none() || !names.clone().all(plain) {
        return Err(LocateError::Path(path.to_owned()));
    }
    let mut walk = Walk {
        path,
        operator,
        root: open(CWD, OsStr::new("/")).map_err(|error| LocateError::Open {
            path: path.to_owned(),
            at: "/".into(),
            errno: error.raw_os_error(),
        })?,
        held: Vec::new(),
        ahead: names.map(|name| name.as_os_str().to_owned()).collect(),
        links: 0,
    };
    while let Some(name) = walk.ahead.pop_front() {
        walk.step(&name)?;
    }
    Ok(walk.at(None))
}

/// A lookup that holds every folder it is in, so that `..` of a link means the folder it came
/// through, and nothing is looked up twice.
struct Walk<'a> {
    path: &'a Path,
    operator: u32,
    root: OwnedFd,
    held: Vec<(OsString, OwnedFd)>,
    ahead: VecDeque<OsString>,
    links: u32,
}

impl Walk<'_> {
    fn step(&mut self, name: &OsStr) -> Result<(), LocateError> {
        if name == ".." {
            self.held.pop();
            return Ok(());
        }
        let failed = |errno: rustix::io::Errno| LocateError::Open {
            path: self.path.to_owned(),
            at: self.at(Some(name)),
            errno: errno.raw_os_error(),
        };
        let here = self.held.last().map_or(&self.root, |(_, folder)| folder);
        let next = open(here.as_fd(), name).map_err(failed)?;
        let stat = fstat(&next).map_err(failed)?;
        if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink {
            let magic = fstatfs(&next).map_err(failed)?.f_type == PROC_SUPER_MAGIC;
            // Of this very link: its text never changes while its inode lives.
            let text = readlinkat(&next, c"", Vec::new()).map_err(failed)?;
            return self.follow(name, magic, stat.st_uid, OsStr::from_bytes(text.to_bytes()));
        }
        if self.held.len() >= MAX_DEPTH {
            return Err(LocateError::TooLong(self.path.to_owned()));
        }
        self.held.push((name.to_owned(), next));
        Ok(())
    }

    fn follow(
        &mut self,
        name: &OsStr,
        magic: bool,
        owner: u32,
        text: &OsStr,
    ) -> Result<(), LocateError> {
        let (path, at) = (self.path.to_owned(), self.at(Some(name)));
        if magic {
            return Err(LocateError::MagicLink { path, at });
        }
        if owner != 0 && owner != self.operator {
            return Err(LocateError::ForeignLink {
                path,
                at,
                owner,
                operator: self.operator,
            });
        }
        self.links += 1;
        if self.links > MAX_LINKS {
            return Err(LocateError::TooLong(path));
        }
        for component in Path::new(text).components().rev() {
            match component {
                Component::RootDir => self.held.clear(),
                Component::CurDir | Component::Prefix(_) => {}
                Component::ParentDir | Component::Normal(_) => {
                    self.ahead.push_front(component.as_os_str().to_owned());
                }
            }
        }
        Ok(())
    }

    /// The path of the folder that was reached, or of `name` in it.
    fn at(&self, name: Option<&OsStr>) -> PathBuf {
        let mut path = PathBuf::from("/");
        path.extend(self.held.iter().map(|(name, _)| name));
        path.extend(name);
        path
    }
}

fn open(folder: BorrowedFd<'_>, name: &OsStr) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(folder, name, flags, Mode::empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{chown, lchown, symlink};

    /// Somebody who isn't root and runs nothing here.
    const STRANGER: u32 = 4_000_000;

    fn own() -> u32 {
        rustix::process::geteuid().as_raw()
    }

    /// A folder whose own path has no link in it.
    fn folder() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = fs::canonicalize(folder.path()).unwrap();
        (folder, path)
    }

    #[test]
    fn own_links_are_followed_to_the_end() {
        let (_folder, base) = folder();
        fs::create_dir_all(base.join("real/deep")).unwrap();
        fs::write(base.join("real/file"), "").unwrap();
        symlink("real", base.join("link")).unwrap();
        symlink("../../real/./deep/..", base.join("real/deep/back")).unwrap();
        symlink(base.join("link"), base.join("absolute")).unwrap();
        for path in [
            "real/file",
            "link/file",
            "real/deep/back/file",
            "absolute/deep/back/file",
        ] {
            assert_eq!(locate(&base.join(path), own()), Ok(base.join("real/file")));
        }
    }

    #[test]
    fn link_of_somebody_else_is_refused_by_name() {
        let (_folder, base) = folder();
        fs::create_dir(base.join("real")).unwrap();
        symlink("real", base.join("link")).unwrap();
        let operator = match rustix::process::geteuid().is_root() {
            true => {
                lchown(base.join("link"), Some(STRANGER), None).unwrap();
                0
            }
            // The link is the test's own; it is the operator who is somebody else.
            false => STRANGER,
        };
        let error = locate(&base.join("link/x"), operator).unwrap_err();
        let LocateError::ForeignLink { at, .. } = &error else {
            panic!("{error}");
        };
        assert_eq!(*at, base.join("link"));
        // A folder of the same stranger is no link.
        chown(base.join("real"), None, None).unwrap();
        assert_eq!(locate(&base.join("real"), operator), Ok(base.join("real")));
    }

    #[test]
    fn links_of_proc_are_refused() {
        for path in ["/proc/self/root", "/proc/self/fd/0", "/proc/self/exe"] {
            let error = locate(Path::new(path), own()).unwrap_err();
            assert!(matches!(error, LocateError::MagicLink { .. }), "{error}");
        }
    }

    #[test]
    fn circles_and_depths_end() {
        let (_folder, base) = folder();
        symlink("b", base.join("a")).unwrap();
        symlink("a", base.join("b")).unwrap();
        symlink("grow/x", base.join("grow")).unwrap();
        let deep = base.join("d/".repeat(MAX_DEPTH + 1));
        fs::create_dir_all(&deep).unwrap();
        for path in [base.join("a"), base.join("grow"), deep] {
            let error = locate(&path, own()).unwrap_err();
            assert!(matches!(error, LocateError::TooLong(_)), "{error}");
        }
    }

    #[test]
    fn what_is_missing_or_no_folder_is_named() {
        let (_folder, base) = folder();
        fs::write(base.join("file"), "").unwrap();
        for (path, component, errno) in [
            ("no/x", "no", libc::ENOENT),
            ("file/x", "file/x", libc::ENOTDIR),
        ] {
            let expected = LocateError::Open {
                path: base.join(path),
                at: base.join(component),
                errno,
            };
            assert_eq!(locate(&base.join(path), own()), Err(expected));
        }
    }

    #[test]
    fn relative_paths_and_dots_are_refused() {
        for path in ["etc", "/etc/../root", ""] {
            assert_eq!(
                locate(Path::new(path), own()),
                Err(LocateError::Path(path.into()))
            );
        }
    }
}
