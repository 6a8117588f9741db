//! Settings of the kernel as its files show them: sysctls, mount table, status.

use std::path::{Path, PathBuf};

use super::{Facility, Offer, State};

/// The largest setting that is read, in bytes.
const MAX_BYTES: u64 = 1 << 20;

/// The files of a host, below a root of tests or `/`.
#[derive(Debug, Clone)]
pub struct Settings {
    root: PathBuf,
}

impl Settings {
    /// Those of this host.
    #[must_use]
    pub fn of_host() -> Settings {
        Settings::below("/")
    }

    /// Those below a folder.
    #[must_use]
    pub fn below(root: impl Into<PathBuf>) -> Settings {
        Settings { root: root.into() }
    }

    /// The text of a file by its absolute path; `None` where it can't be read.
    #[must_use]
    pub fn text(&self, path: &str) -> Option<String> {
        use std::io::Read;
        let file = std::fs::File::open(self.path(path)).ok()?;
        let mut text = String::new();
        file.take(MAX_BYTES).read_to_string(&mut text).ok()?;
        Some(text)
    }

    /// A sysctl that is a number, by its dotted name.
    #[must_use]
    pub fn sysctl(&self, name: &str) -> Option<u64> {
        let path = format!("/proc/sys/{}", name.replace('.', "/"));
        self.text(&path)?.trim().parse().ok()
    }

    /// Whether a file is there.
    #[must_use]
    pub fn has(&self, path: &str) -> bool {
        self.path(path).exists()
    }

    /// What a symbolic link says, such as `pid:[4026531836]`.
    #[must_use]
    pub fn link(&self, path: &str) -> Option<String> {
        let target = std::fs::read_link(self.path(path)).ok()?;
        Some(target.to_string_lossy().into_owned())
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root
            .join(Path::new(path).strip_prefix("/").unwrap_or(Path::new(path)))
    }
}

/// The command that sets a sysctl, for now and for every boot.
#[must_use]
pub(super) fn set(name: &str, value: &str) -> String {
    format!("sysctl -w {name}={value} && echo '{name} = {value}' > /etc/sysctl.d/60-cordon.conf")
}

/// Yama's strictest scope is the one that stops us too: a worker's listener is fetched from
/// outside (pidfd_getfd(2)), and its memory read.
pub(super) fn ptrace(settings: &Settings) -> Offer {
    const SCOPE: &str = "kernel.yama.ptrace_scope";
    match settings.sysctl(SCOPE) {
        Some(3) => Offer::lacking(
            Facility::Ptrace,
            State::Refused,
            format!("{SCOPE} is 3"),
            "nobody may fetch a worker's seccomp listener from it: no plugin is loaded",
        )
        .mended_by(format!(
            "boot with {SCOPE} at 2 or less; it can't be lowered again: {}",
            set(SCOPE, "2")
        )),
        Some(scope) => Offer::available(Facility::Ptrace, format!("{SCOPE} is {scope}")),
        None => Offer::available(Facility::Ptrace, "no Yama"),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A host with these files.
    pub(in crate::support) fn host(files: &[(&str, &str)]) -> (tempfile::TempDir, Settings) {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join(path.trim_start_matches('/'));
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let settings = Settings::below(folder.path());
        (folder, settings)
    }

    #[test]
    fn sysctl_is_a_number_or_nothing() {
        let (_folder, settings) = host(&[
            ("/proc/sys/user/max_user_namespaces", "0\n"),
            ("/proc/sys/kernel/core_pattern", "core\n"),
        ]);
        assert_eq!(settings.sysctl("user.max_user_namespaces"), Some(0));
        assert_eq!(settings.sysctl("kernel.core_pattern"), None);
        assert_eq!(settings.sysctl("kernel.nothing"), None);
    }

    #[test]
    fn strictest_yama_scope_takes_the_listener_and_no_other_does() {
        for (scope, state) in [("1\n", State::Available), ("3\n", State::Refused)] {
            let (_folder, settings) = host(&[("/proc/sys/kernel/yama/ptrace_scope", scope)]);
            assert_eq!(ptrace(&settings).state, state);
        }
    }
}
