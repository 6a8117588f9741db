//! The running kernel's version, where nothing better can be asked.

use std::sync::OnceLock;

use super::{Facility, Offer, State};

/// Version of the running kernel, and what Cordon makes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct Kernel {
    /// First number of the release.
    pub major: u32,
    /// Second number of the release.
    pub minor: u32,
}

/// The oldest kernel that every core control works on (Debian 12's).
pub const BASELINE: Kernel = Kernel { major: 6, minor: 1 };

impl Kernel {
    /// The running kernel, by uname(2).
    #[must_use]
    pub fn running() -> Kernel {
        static RUNNING: OnceLock<Kernel> = OnceLock::new();
        *RUNNING.get_or_init(|| Kernel::parse(&Kernel::release()))
    }

    /// The running kernel's release as uname(2) gives it.
    #[must_use]
    pub fn release() -> String {
        let name = rustix::system::uname();
        name.release().to_string_lossy().into_owned()
    }

    fn parse(release: &str) -> Kernel {
        let mut numbers = release
            .split(|c: char| !c.is_ascii_digit())
            .map(|n| n.parse().unwrap_or(0));
        Kernel {
            major: numbers.next().unwrap_or(0),
            minor: numbers.next().unwrap_or(0),
        }
    }

    /// Whether a detached mount can be cloned again (Linux 6.15): an image is then
    /// built once, else for every worker.
    #[must_use]
    pub fn clones_detached_mounts(self) -> bool {
        self >= Kernel {
            major: 6,
            minor: 15,
        }
    }
}

impl std::fmt::Display for Kernel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// Whether the kernel is of the baseline. What a younger one has besides is asked of it, not
/// concluded from its version.
pub(super) fn offer() -> Offer {
    judge(Kernel::running(), &Kernel::release())
}

fn judge(kernel: Kernel, release: &str) -> Offer {
    let found = format!("Linux {release}");
    if kernel >= BASELINE {
        return Offer::available(Facility::Kernel, found);
    }
    let why = format!("core controls need Linux {BASELINE} or newer");
    Offer::lacking(Facility::Kernel, State::Missing, found, why)
        .mended_by("a newer kernel, such as Debian 12's: apt-get install linux-image-amd64")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn release_strings_of_distributions_parse() {
        assert_eq!(Kernel::parse("6.1.0-28-amd64"), BASELINE);
        assert_eq!(
            Kernel::parse("6.18.44-fc"),
            Kernel {
                major: 6,
                minor: 18
            }
        );
        assert!(Kernel::parse("weird") < BASELINE);
    }

    #[test]
    fn numbers_compare_as_numbers() {
        assert!(
            Kernel { major: 6, minor: 9 }
                < Kernel {
                    major: 6,
                    minor: 15
                }
        );
    }

    #[test]
    fn kernel_before_the_baseline_is_too_old() {
        let old = judge(
            Kernel {
                major: 5,
                minor: 15,
            },
            "5.15.0-91-generic",
        );
        assert!(old.blocks());
        assert_eq!(old.found, "Linux 5.15.0-91-generic");
        assert!(!judge(BASELINE, "6.1.0").blocks());
    }
}
