//! What a plan's files may be, whatever the file systems hold.

use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::policy::{FileAccess, FileGrant};

/// The most files and folders that one worker is granted.
pub const MAX_FILES: usize = 64;
/// The most components of a source or a target.
pub const MAX_DEPTH: usize = 64;

/// Folders that are the sandbox's own.
const OWN: [&str; 8] = [
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    crate::mounts::PLUGIN_FOLDER,
    "/dev",
    "/proc",
    "/sys",
];

/// A file or folder of the host that policy grants to somebody, and how far.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Allowed {
    /// Where it is, as [`locate`](super::locate::locate) gives it. What is below it is
    /// allowed too.
    pub source: PathBuf,
    /// The most that may be done with it.
    pub access: FileAccess,
}

/// Why the launcher refuses a plan for its files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum RuleError {
    /// More than [`MAX_FILES`].
    #[error("{0} files are granted, at most {MAX_FILES} can be")]
    TooMany(usize),
    /// Neither source nor target may leave room for interpretation.
    #[error("{} isn't an absolute path of at most {MAX_DEPTH} plain names", .0.display())]
    Path(PathBuf),
    /// No rule of the policy covers it.
    #[error("{} isn't below anything that policy granted when Cordon started", .0.display())]
    Source(PathBuf),
    /// Policy allows less.
    #[error("{} may be granted for less than that", .0.display())]
    Access(PathBuf),
    /// The sandbox's own.
    #[error("nothing can be granted at {}: {why}", target.display())]
    Reserved {
        /// Where it was to be seen.
        target: PathBuf,
        /// What that place is for.
        why: String,
    },
    /// What lies below a folder that can be written can be moved about there, and what is
    /// written there would be seen through the other grant.
    #[error("{} lies in {}, which is granted for writing: grant one of them, or folders beside each other", inner.display(), outer.display())]
    Overlap {
        /// The source below, or the same.
        inner: PathBuf,
        /// The one around it.
        outer: PathBuf,
    },
    /// Hidden by another one, at the same place or around it.
    #[error("{} would hide what else is granted there or below it", .0.display())]
    Taken(PathBuf),
}

/// Holds the files of a plan against what is allowed, and against each other.
///
/// # Errors
/// The first that can't be granted.
pub fn check(files: &[FileGrant], tmp: bool, allowed: &[Allowed]) -> Result<(), RuleError> {
    if files.len() > MAX_FILES {
        return Err(RuleError::TooMany(files.len()));
    }
    for (index, file) in files.iter().enumerate() {
        for path in [&file.source, &file.target] {
            if !is_plain(path) {
                return Err(RuleError::Path(path.clone()));
            }
        }
        source(file, allowed)?;
        target(&file.target, tmp)?;
        let earlier = &files[..index];
        if (earlier.iter()).any(|other| other.target.starts_with(&file.target)) {
            return Err(RuleError::Taken(file.target.clone()));
        }
        overlap(index, files)?;
    }
    Ok(())
}

/// Whether another grant reaches into this one, which can be written.
fn overlap(index: usize, files: &[FileGrant]) -> Result<(), RuleError> {
    let outer = &files[index];
    if !matches!(outer.access, FileAccess::Write { .. }) {
        return Ok(());
    }
    let mut others = files.iter().enumerate();
    let within = |(other, file): &(usize, &FileGrant)| {
        *other != index && file.source.starts_with(&outer.source)
    };
    match others.find(within) {
        None => Ok(()),
        Some((_, inner)) => Err(RuleError::Overlap {
            inner: inner.source.clone(),
            outer: outer.source.clone(),
        }),
    }
}

/// In which order they are attached: what is within another one after it.
pub(crate) fn sort(files: &mut [FileGrant]) {
    files.sort_by_key(|file| file.target.components().count());
}

/// Inodes of the private root that their mount points take.
pub(crate) fn mount_points(files: &[FileGrant]) -> u64 {
    let depth = |file: &FileGrant| file.target.components().count() as u64;
    files.iter().map(depth).sum()
}

/// Absolute, not the root, and nothing in it that a lookup would interpret: a path has one
/// spelling then, and prefixes are compared name by name.
pub(crate) fn is_plain(path: &Path) -> bool {
    let mut plain = PathBuf::from("/");
    for component in path.components().skip(1) {
        match component {
            Component::Normal(name) => plain.push(name),
            _ => return false,
        }
    }
    // Comparing the text finds what `components` tidies away: `//`, `/./`, a slash at the end.
    let depth = plain.components().count() - 1;
    path.as_os_str() == plain.as_os_str()
        && path.to_str().is_some_and(|text| !text.contains('\0'))
        && (1..=MAX_DEPTH).contains(&depth)
}

fn source(file: &FileGrant, allowed: &[Allowed]) -> Result<(), RuleError> {
    let mut covering = allowed
        .iter()
        .filter(|allowed| file.source.starts_with(&allowed.source))
        .peekable();
    if covering.peek().is_none() {
        return Err(RuleError::Source(file.source.clone()));
    }
    match covering.any(|allowed| within(file.access, allowed.access)) {
        true => Ok(()),
        false => Err(RuleError::Access(file.source.clone())),
    }
}

/// An overlay only reads what it lies over.
fn within(asked: FileAccess, most: FileAccess) -> bool {
    match (asked, most) {
        (FileAccess::Read | FileAccess::Overlay(_), _) => true,
        (
            FileAccess::Write { create, delete },
            FileAccess::Write {
                create: may_create,
                delete: may_delete,
            },
        ) => create <= may_create && delete <= may_delete,
        (FileAccess::Write { .. }, _) => false,
    }
}

fn target(target: &Path, tmp: bool) -> Result<(), RuleError> {
    let reserved = |why: String| {
        Err(RuleError::Reserved {
            target: target.to_owned(),
            why,
        })
    };
    for own in OWN {
        if target.starts_with(own) || Path::new(own).starts_with(target) {
            return reserved(format!("{own} is the sandbox's own"));
        }
    }
    // The loader of the worker's own program reads /etc/ld.so.preload and /etc/ld.so.cache
    // (ld.so(8)) before anything is locked down.
    let name = target.strip_prefix("/etc").ok().map(Path::to_str);
    if name.is_some_and(|name| name.is_none_or(|name| name.is_empty() || name.starts_with("ld"))) {
        return reserved("the loader reads its files in /etc; grant others of it singly".into());
    }
    if tmp && target == Path::new("/tmp") {
        return reserved("the private /tmp is there".into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Tmpfs;

    const WRITE: FileAccess = FileAccess::Write {
        create: false,
        delete: true,
    };
    const OVERLAY: FileAccess = FileAccess::Overlay(Tmpfs {
        bytes: 1,
        inodes: 1,
    });

    fn file(source: &str, target: &str, access: FileAccess) -> FileGrant {
        FileGrant {
            source: source.into(),
            target: target.into(),
            access,
        }
    }

    fn allowed() -> Vec<Allowed> {
        let entry = |source: &str, access| Allowed {
            source: source.into(),
            access,
        };
        vec![
            entry("/srv/data", FileAccess::Read),
            entry("/srv/out", WRITE),
        ]
    }

    fn at(target: &str) -> Result<(), RuleError> {
        check(
            &[file("/srv/data/x", target, FileAccess::Read)],
            true,
            &allowed(),
        )
    }

    #[test]
    fn sources_below_what_is_allowed_pass_as_far_as_it_is() {
        for (source, access) in [
            ("/srv/data", FileAccess::Read),
            ("/srv/data/a/b", OVERLAY),
            ("/srv/out", WRITE),
            ("/srv/out/a", FileAccess::Read),
        ] {
            let files = [file(source, "/data", access)];
            assert_eq!(check(&files, false, &allowed()), Ok(()), "{source}");
        }
    }

    #[test]
    fn nothing_else_is_granted_below_what_can_be_written() {
        let whole = file("/srv/out", "/out", WRITE);
        for inner in ["/srv/out/a", "/srv/out"] {
            for access in [FileAccess::Read, WRITE, OVERLAY] {
                let files = [whole.clone(), file(inner, "/x", access)];
                let refused = Err(RuleError::Overlap {
                    inner: inner.into(),
                    outer: "/srv/out".into(),
                });
                assert_eq!(check(&files, false, &allowed()), refused, "{inner}");
            }
        }
        let apart = [
            file("/srv/out/a", "/a", WRITE),
            file("/srv/out/b", "/b", WRITE),
            file("/srv/out/bb", "/c", FileAccess::Read),
        ];
        assert_eq!(check(&apart, false, &allowed()), Ok(()));
    }

    #[test]
    fn sources_beside_or_above_what_is_allowed_are_refused() {
        for source in ["/srv", "/srv/data2", "/etc/passwd", "/srv/dat"] {
            let files = [file(source, "/data", FileAccess::Read)];
            let refused = Err(RuleError::Source(source.into()));
            assert_eq!(check(&files, false, &allowed()), refused);
        }
    }

    #[test]
    fn more_access_than_allowed_is_refused() {
        let create = FileAccess::Write {
            create: true,
            delete: false,
        };
        for (source, access) in [("/srv/data", WRITE), ("/srv/out/a", create)] {
            let files = [file(source, "/data", access)];
            let refused = Err(RuleError::Access(source.into()));
            assert_eq!(check(&files, false, &allowed()), refused);
        }
    }

    #[test]
    fn paths_with_more_than_names_are_refused() {
        for path in [
            "/",
            "",
            "data",
            "/srv/data/..",
            "/srv//data",
            "/srv/./data",
            "/srv/data/",
            "/srv/data\0",
        ] {
            let refused = Err(RuleError::Path(path.into()));
            let source = [file(path, "/data", FileAccess::Read)];
            assert_eq!(check(&source, false, &allowed()), refused, "{path:?}");
            assert_eq!(at(path), refused, "{path:?}");
        }
        let deep = "/a".repeat(MAX_DEPTH);
        assert_eq!(at(&deep), Ok(()));
        assert!(matches!(at(&format!("{deep}/a")), Err(RuleError::Path(_))));
    }

    #[test]
    fn targets_of_the_sandbox_itself_are_refused() {
        for target in [
            "/lib",
            "/lib/x",
            "/lib64",
            "/usr",
            "/usr/lib",
            "/usr/lib64/x",
            "/plugin",
            "/dev",
            "/dev/shm",
            "/proc",
            "/sys/fs",
            "/etc",
            "/etc/ld.so.preload",
            "/etc/ld.so.conf.d/x",
            "/tmp",
        ] {
            let reserved = matches!(at(target), Err(RuleError::Reserved { .. }));
            assert!(reserved, "{target}");
        }
        for target in ["/usr/share", "/library", "/etc/hosts", "/tmp/x", "/device"] {
            assert_eq!(at(target), Ok(()), "{target}");
        }
    }

    #[test]
    fn nothing_hides_what_else_is_granted() {
        let twice = [
            file("/srv/data/a", "/data", FileAccess::Read),
            file("/srv/data/b", "/data", FileAccess::Read),
        ];
        let taken = Err(RuleError::Taken("/data".into()));
        assert_eq!(check(&twice, false, &allowed()), taken);
        let inner_first = [
            file("/srv/data/a", "/data/a", FileAccess::Read),
            file("/srv/data/b", "/data", FileAccess::Read),
        ];
        assert_eq!(check(&inner_first, false, &allowed()), taken);
    }

    #[test]
    fn too_many_are_refused() {
        let many: Vec<_> = (0..=MAX_FILES)
            .map(|n| file("/srv/data", &format!("/data/{n}"), FileAccess::Read))
            .collect();
        assert_eq!(check(&many[1..], false, &allowed()), Ok(()));
        let refused = Err(RuleError::TooMany(MAX_FILES + 1));
        assert_eq!(check(&many, false, &allowed()), refused);
    }

    #[test]
    fn what_is_within_another_comes_after_it() {
        let mut files = [
            file("/srv/data/a", "/data/a/b", FileAccess::Read),
            file("/srv/data", "/data", FileAccess::Read),
        ];
        sort(&mut files);
        assert_eq!(files[0].target, Path::new("/data"));
        assert_eq!(mount_points(&files), 6);
    }
}
