//! A worker's open fds: what was handed over and, once the plugin runs, what it can have
//! made itself.

use std::collections::BTreeSet;

use super::folder::Folder;
use super::{AttestError, Channels, Expected, field, mismatch};
use crate::report::{Control, Report};
use crate::seccomp::Profile;
use crate::weaken::{Weakened, off};

/// Kinds of fds that come from no file, as the links in `/proc/PID/fd` begin, and the calls
/// that make them.
const MADE: [(&str, &[&str]); 9] = [
    ("pipe:[", &["pipe", "pipe2"]),
    ("socket:[", &["socket", "socketpair"]),
    ("anon_inode:[eventfd]", &["eventfd", "eventfd2"]),
    ("anon_inode:[eventpoll]", &["epoll_create", "epoll_create1"]),
    ("anon_inode:[timerfd]", &["timerfd_create"]),
    ("anon_inode:[signalfd]", &["signalfd", "signalfd4"]),
    ("anon_inode:inotify", &["inotify_init", "inotify_init1"]),
    // Of a file system of their own from Linux 6.9 on; both names are to be seen.
    ("pidfd:[", &["pidfd_open"]),
    ("anon_inode:[pidfd]", &["pidfd_open"]),
];

/// What a worker may have open besides files of its own root.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Openable(Vec<&'static str>);

impl Openable {
    /// What a plugin can make under a profile.
    #[must_use]
    pub fn under(profile: &Profile) -> Openable {
        let made = |(_, calls): &&(_, &[&str])| calls.iter().any(|call| profile.may_pass(call));
        Openable(MADE.iter().filter(made).map(|(kind, _)| *kind).collect())
    }
}

/// Before the plugin is there: these four, and nothing else.
pub(super) fn handed_over(
    thread: &Folder,
    channels: &Channels,
    report: &mut Report,
) -> Result<(), AttestError> {
    let mut found = BTreeSet::new();
    for number in thread.numbers("fd", "fd")? {
        let link = thread.link("fd", &format!("fd/{number}"))?;
        found.insert(format!("{number} {link}"));
    }
    let wanted = BTreeSet::from([
        "0 /dev/null".to_owned(),
        format!("1 pipe:[{}]", channels.stdout),
        format!("2 pipe:[{}]", channels.stderr),
        format!("3 socket:[{}]", channels.ipc),
    ]);
    if found != wanted {
        let (found, wanted) = (format!("{found:?}"), format!("{wanted:?}"));
        return Err(mismatch(Control::Fds, "list of open fds", found, wanted));
    }
    report.enforced(Control::Fds, "stdin (/dev/null), stdout, stderr, ipc");
    Ok(())
}

/// While the plugin runs: what was handed over, files below `mounts`, which are those of its
/// own root, and what its filter lets it make.
pub(super) fn serving(
    thread: &Folder,
    expected: &Expected,
    mounts: &BTreeSet<u32>,
    report: &mut Report,
) -> Result<(), AttestError> {
    let mut count = 0;
    for number in thread.numbers("fd", "fd")? {
        match describe(thread, number) {
            Ok(open) if open.belongs(expected, mounts) => count += 1,
            Ok(Open { link, .. }) => {
                let wanted = "one handed over, or that it can have made";
                return Err(mismatch(Control::Fds, format!("fd {number}"), link, wanted));
            }
            // Closed meanwhile.
            Err(AttestError::Gone) => {}
            Err(error) => return Err(error),
        }
    }
    report.enforced(Control::Fds, format!("{count}, handed over or its own"));
    Ok(())
}

/// An open fd.
struct Open {
    link: String,
    /// The mount that a file was opened on: its path alone tells nothing of the mount
    /// namespace that it begins in.
    mount: Option<u32>,
}

fn describe(thread: &Folder, number: u32) -> Result<Open, AttestError> {
    let link = thread.link("fd", &format!("fd/{number}"))?;
    let mount = match link.starts_with('/') {
        true => {
            let info = thread.text_of("fdinfo", &format!("fdinfo/{number}"))?;
            field(&info, "mnt_id").and_then(|id| id.parse().ok())
        }
        false => None,
    };
    Ok(Open { link, mount })
}

impl Open {
    fn belongs(&self, expected: &Expected, mounts: &BTreeSet<u32>) -> bool {
        if let Some(mount) = self.mount {
            return mounts.contains(&mount);
        }
        let Channels {
            ipc,
            stdout,
            stderr,
        } = expected.channels;
        let handed_over = [
            format!("pipe:[{stdout}]"),
            format!("pipe:[{stderr}]"),
            format!("socket:[{ipc}]"),
        ];
        let made = |kind: &&'static str| self.link.starts_with(*kind);
        handed_over.contains(&self.link)
            || expected.openable.0.iter().any(made)
            || off(Weakened::Seccomp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attest::tests::expected;
    use crate::seccomp::{Arch, Granted, Mode};

    fn belongs(link: &str, mount: Option<u32>, openable: &[&'static str]) -> bool {
        let expected = Expected {
            openable: Openable(openable.to_vec()),
            ..expected()
        };
        let open = Open {
            link: link.to_owned(),
            mount,
        };
        open.belongs(&expected, &BTreeSet::from([7]))
    }

    #[test]
    fn what_was_handed_over_belongs_and_its_like_doesnt() {
        assert!(belongs("socket:[1]", None, &[]));
        assert!(belongs("pipe:[2]", None, &[]));
        for link in ["socket:[2]", "pipe:[1]", "anon_inode:[eventfd]"] {
            assert!(!belongs(link, None, &[]), "{link}");
        }
    }

    #[test]
    fn file_belongs_by_its_mount_whatever_its_path() {
        assert!(belongs("/lib/libc.so.6", Some(7), &[]));
        assert!(!belongs("/lib/libc.so.6", Some(8), &[]));
        assert!(!belongs("/memfd:x (deleted)", None, &["pipe:["]));
    }

    #[test]
    fn what_the_filter_lets_it_make_belongs_and_nothing_else() {
        let made = ["anon_inode:[eventfd]", "pipe:["];
        assert!(belongs("pipe:[99]", None, &made));
        assert!(belongs("anon_inode:[eventfd]", None, &made));
        for link in [
            "anon_inode:seccomp notify",
            "anon_inode:bpf-prog",
            "socket:[9]",
        ] {
            assert!(!belongs(link, None, &made), "{link}");
        }
    }

    #[test]
    fn strict_profile_lets_a_plugin_make_none() {
        let strict = Profile::builtin(Mode::Strict, Arch::NATIVE, Granted::NONE).unwrap();
        assert_eq!(Openable::under(&strict), Openable::default());
    }
}
