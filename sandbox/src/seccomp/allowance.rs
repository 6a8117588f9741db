//! What a denied call would have needed.

use std::sync::OnceLock;

use super::arch::Arch;
use super::mode::{Grant, Granted, Mode};
use super::notify::Notification;
use super::profile::{Action, Profile};

/// What lets a call pass that a narrower profile denies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allowance {
    /// A wider mode, whatever is granted.
    Mode(Mode),
    /// A grant, and with it the mode that has rules for it.
    Grant(Grant),
}

impl Notification {
    /// The narrowest allowance under which the kernel runs this call, judged by its registers;
    /// `None` where no built-in profile ever allows it. Reads the profiles at its first use,
    /// which takes some milliseconds.
    #[must_use]
    pub fn allowance(&self) -> Option<Allowance> {
        static PROFILES: OnceLock<Vec<(Allowance, Profile)>> = OnceLock::new();
        if Arch::from_audit(self.arch) != Some(Arch::NATIVE) {
            return None;
        }
        let allows = |profile: &Profile| profile.action(self.nr, &self.args) == Action::Allow;
        let profiles = PROFILES.get_or_init(profiles);
        let first = profiles.iter().find(|(_, profile)| allows(profile));
        first.map(|(allowance, _)| *allowance)
    }
}

/// From narrow to wide; of one width the mode before its grants.
fn profiles() -> Vec<(Allowance, Profile)> {
    let mut profiles = Vec::new();
    for mode in Mode::ALL {
        // Those that come with the program are never broken, as their tests say.
        let files = mode.files(Arch::NATIVE).unwrap_or_default();
        let grants = Grant::ALL.into_iter().filter(|grant| grant.mode() == mode);
        let with_grant =
            grants.map(|grant| (Allowance::Grant(grant), [grant].into_iter().collect()));
        let alone = (Allowance::Mode(mode), Granted::NONE);
        for (allowance, granted) in std::iter::once(alone).chain(with_grant) {
            profiles.extend(Profile::of_files(&files, granted).map(|profile| (allowance, profile)));
        }
    }
    profiles
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowance(call: &str, args: [u64; 6]) -> Option<Allowance> {
        let nr = Arch::NATIVE.number(call).unwrap();
        let arch = Arch::NATIVE.audit();
        let call = Notification {
            id: 0,
            tid: 0,
            nr,
            arch,
            ip: 0,
            args,
        };
        call.allowance()
    }

    #[test]
    fn narrowest_allowance_is_named() {
        let open = [libc::AT_FDCWD as u32 as u64, 0, 0, 0, 0, 0];
        let write = [open[0], 0, libc::O_WRONLY as u64, 0, 0, 0];
        for (call, args, expected) in [
            ("getpid", [0; 6], Some(Allowance::Mode(Mode::Strict))),
            ("openat", open, Some(Allowance::Grant(Grant::Files))),
            ("openat", write, Some(Allowance::Grant(Grant::FilesWrite))),
            (
                "socket",
                [2, 1, 0, 0, 0, 0],
                Some(Allowance::Grant(Grant::Tcp)),
            ),
            ("mlock", [0; 6], Some(Allowance::Grant(Grant::Memlock))),
            ("ptrace", [0; 6], None),
            ("unshare", [0x1000_0000, 0, 0, 0, 0, 0], None),
        ] {
            assert_eq!(allowance(call, args), expected, "{call}");
        }
    }

    #[test]
    fn every_profile_is_there() {
        assert_eq!(profiles().len(), Mode::ALL.len() + Grant::ALL.len());
    }
}
