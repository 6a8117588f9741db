//! What a process can take upon itself on this kernel and processor: asked for, and taken by
//! nobody. Whether a worker really has it, its own report says.

use std::io;

use super::container::RUN_OPTIONS;
use super::filter::filters;
use super::passing::passed_fds;
use super::{Facility, Offer, Settings, State};
use crate::landlock::{SCOPES_ABI, TCP_ABI};
use crate::report::{Enforcement, Report};
use crate::sys::{keyring, landlock, prctl};

/// Landlock, and all hardening but that of sockets.
pub(super) fn offers(settings: &Settings) -> [Offer; 7] {
    let [files, tcp, scopes] = landlock_tiers(landlock::abi(), settings);
    [
        files,
        tcp,
        scopes,
        mdwe(prctl::refuses_exec_gain()),
        speculation(settings),
        core_scheduling(prctl::core_cookie(0)),
        session_keyring(keyring::session()),
    ]
}

/// Controls that no worker can have here, whatever policy demands: known without making one.
#[must_use]
pub fn foreseen() -> Report {
    let mut report = Report::default();
    let offers = offers(&Settings::of_host());
    for offer in offers.into_iter().chain([passed_fds()]) {
        let (enforcement, offered) = match offer.state {
            State::Available | State::Untried => continue,
            State::Degraded => (Enforcement::Degraded, false),
            State::Missing => (Enforcement::Absent, false),
            State::Refused => (Enforcement::Absent, true),
        };
        if let Some(control) = offer.facility.control() {
            report.add(control, enforcement, offered, offer.found);
        }
    }
    report
}

fn landlock_tiers(abi: io::Result<u32>, settings: &Settings) -> [Offer; 3] {
    let tiers = [
        (
            Facility::Landlock,
            1,
            "the private root would be the only wall",
        ),
        (
            Facility::LandlockTcp,
            TCP_ABI,
            "TCP ports can't be granted one by one",
        ),
        (
            Facility::LandlockScopes,
            SCOPES_ABI,
            "namespaces alone keep signals and abstract sockets out",
        ),
    ];
    tiers.map(|(facility, since, why)| match &abi {
        Ok(abi) if *abi >= since => Offer::available(facility, format!("ABI {abi}")),
        Ok(abi) => {
            let found = format!("ABI {abi}, and ABI {since} has it");
            let kernel = match since {
                TCP_ABI => "Linux 6.7 or newer",
                _ => "Linux 6.12 or newer",
            };
            Offer::lacking(facility, State::Missing, found, why).mended_by(kernel)
        }
        Err(error) => unusable(facility, error, settings, why),
    })
}

fn unusable(facility: Facility, error: &io::Error, settings: &Settings, why: &str) -> Offer {
    let lacking = |found: String| Offer::lacking(facility, State::Missing, found, why);
    match error.raw_os_error() {
        Some(libc::EOPNOTSUPP) => {
            let active = settings.text("/sys/kernel/security/lsm");
            let active = active.as_deref().map_or("landlock,...", str::trim);
            let list = match active.starts_with("landlock") {
                true => active.to_owned(),
                false => format!("landlock,{active}"),
            };
            lacking("switched off at boot".into()).mended_by(format!(
                "boot with lsm={list} (GRUB_CMDLINE_LINUX in /etc/default/grub, then update-grub)"
            ))
        }
        Some(libc::ENOSYS) if filters(settings) == 0 => lacking("not in this kernel".into())
            .mended_by("a kernel with CONFIG_SECURITY_LANDLOCK=y"),
        Some(libc::ENOSYS) => lacking("not in this kernel, or refused by a filter above us".into())
            .mended_by(RUN_OPTIONS)
            .mended_by("a kernel with CONFIG_SECURITY_LANDLOCK=y"),
        _ => lacking(error.to_string()).mended_by(RUN_OPTIONS),
    }
}

fn mdwe(asked: io::Result<bool>) -> Offer {
    let why = "seccomp alone keeps written memory from becoming code";
    match asked {
        Ok(_) => Offer::available(Facility::Mdwe, THERE),
        Err(error) if is(&error, libc::EINVAL) => {
            Offer::lacking(Facility::Mdwe, State::Missing, NOT_THERE, why)
                .mended_by("Linux 6.3 or newer")
        }
        Err(error) => refused(Facility::Mdwe, &error, why),
    }
}

fn core_scheduling(asked: io::Result<u64>) -> Offer {
    let facility = Facility::CoreScheduling;
    let why = "foreign code may run on the other hyperthread of a worker's core";
    match asked {
        Ok(_) => Offer::available(facility, THERE),
        Err(error) if is(&error, libc::ENODEV) => Offer::lacking(
            facility,
            State::Missing,
            "no core has a second hyperthread",
            "nothing, unless this is a guest whose host shares cores",
        ),
        Err(error) if is(&error, libc::EINVAL) => {
            Offer::lacking(facility, State::Missing, NOT_THERE, why)
                .mended_by("a kernel with CONFIG_SCHED_CORE=y, or boot with nosmt")
        }
        Err(error) => refused(facility, &error, why),
    }
}

fn session_keyring(asked: io::Result<i32>) -> Offer {
    let facility = Facility::Keyring;
    match asked {
        Err(error) if is(&error, libc::ENOSYS) => {
            let why = "nothing: there are no keys to reach";
            Offer::lacking(facility, State::Missing, "a kernel without keys", why)
        }
        Err(error) if is(&error, libc::EPERM) => refused(
            facility,
            &error,
            "a worker can reach keys of whoever started Cordon",
        ),
        // No keyring, or one that has expired, is none that can't be left.
        Ok(_) | Err(_) => Offer::available(facility, THERE),
    }
}

const THERE: &str = "the kernel has it";
const NOT_THERE: &str = "this kernel hasn't got it";

fn is(error: &io::Error, errno: i32) -> bool {
    error.raw_os_error() == Some(errno)
}

/// An answer that no kernel gives to the question: that of a filter.
fn refused(facility: Facility, error: &io::Error, why: &str) -> Offer {
    let found = format!("refused by a filter above us: {error}");
    Offer::lacking(facility, State::Refused, found, why)
        .mended_by("SystemCallFilter= of the systemd unit must allow it")
        .mended_by(RUN_OPTIONS)
}

/// Misfeatures of processors by their lines in `status`, see proc_pid_status(5), and what
/// switches them off for all processes.
const MISFEATURES: [(&str, &str, &str); 2] = [
    (
        "Speculation_Store_Bypass",
        "store bypass",
        "spec_store_bypass_disable=prctl",
    ),
    (
        "SpeculationIndirectBranch",
        "indirect branches",
        "spectre_v2_user=prctl",
    ),
];

fn speculation(settings: &Settings) -> Offer {
    let status = settings.text("/proc/self/status").unwrap_or_default();
    let (mut values, mut fixes) = (Vec::new(), Vec::new());
    for (line, name, boot) in MISFEATURES {
        let value = crate::attest::field(&status, line).unwrap_or("unknown");
        values.push(format!("{name}: {value}"));
        if !harmless_or_switchable(value) {
            fixes.push(boot);
        }
    }
    let found = values.join(", ");
    let state = match fixes.len() {
        0 => return Offer::available(Facility::Speculation, found),
        1 => State::Degraded,
        _ => State::Missing,
    };
    let why = "a worker may speculate across its own checks";
    Offer::lacking(Facility::Speculation, state, found, why).mended_by(format!(
        "boot with {}, and without mitigations=off",
        fixes.join(" ")
    ))
}

/// Values of `task_seccomp()` in the kernel's `fs/proc/array.c`.
fn harmless_or_switchable(value: &str) -> bool {
    let switchable = value.starts_with("thread ") || value.starts_with("conditional ");
    let harmless =
        value.starts_with("not ") || value == "globally mitigated" || value == "always disabled";
    switchable || harmless
}

#[cfg(test)]
mod tests {
    use super::super::settings::tests::host;
    use super::*;

    fn errno<T>(errno: i32) -> io::Result<T> {
        Err(io::Error::from_raw_os_error(errno))
    }

    #[test]
    fn landlock_has_tiers() {
        let (_folder, settings) = host(&[]);
        for (abi, wanted) in [
            (2, [true, false, false]),
            (5, [true, true, false]),
            (6, [true; 3]),
        ] {
            let offers = landlock_tiers(Ok(abi), &settings);
            let found = offers.map(|offer| offer.state == State::Available);
            assert_eq!(found, wanted, "ABI {abi}");
        }
    }

    #[test]
    fn landlock_that_is_off_is_told_from_one_that_is_missing() {
        let (_folder, settings) =
            host(&[("/sys/kernel/security/lsm", "lockdown,capability,yama\n")]);
        let [off, ..] = landlock_tiers(errno(libc::EOPNOTSUPP), &settings);
        assert!(off.blocks());
        assert!(
            off.fix[0].contains("lsm=landlock,lockdown,capability,yama "),
            "{off:?}"
        );
        let [missing, tcp, _] = landlock_tiers(errno(libc::ENOSYS), &settings);
        assert!(
            missing.fix[0].contains("CONFIG_SECURITY_LANDLOCK=y"),
            "{missing:?}"
        );
        assert!(!tcp.blocks());
    }

    #[test]
    fn hardening_that_is_missing_blocks_nothing() {
        for offer in [
            mdwe(errno(libc::EINVAL)),
            core_scheduling(errno(libc::EINVAL)),
            core_scheduling(errno(libc::ENODEV)),
            session_keyring(errno(libc::ENOSYS)),
        ] {
            assert_eq!(offer.state, State::Missing, "{offer:?}");
            assert!(!offer.blocks() && !offer.why.is_empty());
        }
        assert_eq!(session_keyring(errno(libc::ENOKEY)).state, State::Available);
    }

    #[test]
    fn hardening_that_a_filter_refuses_is_still_demanded() {
        for offer in [
            mdwe(errno(libc::EPERM)),
            core_scheduling(errno(libc::EPERM)),
            session_keyring(errno(libc::EPERM)),
        ] {
            assert!(offer.state == State::Refused && offer.blocks(), "{offer:?}");
        }
    }

    #[test]
    fn speculation_counts_each_misfeature() {
        for (bypass, branches, wanted) in [
            ("thread vulnerable", "conditional enabled", State::Available),
            ("not vulnerable", "not affected", State::Available),
            ("vulnerable", "always disabled", State::Degraded),
            ("vulnerable", "always enabled", State::Missing),
        ] {
            let status = format!(
                "Speculation_Store_Bypass:\t{bypass}\nSpeculationIndirectBranch:\t{branches}\n"
            );
            let (_folder, settings) = host(&[("/proc/self/status", &status)]);
            assert_eq!(speculation(&settings).state, wanted, "{bypass}, {branches}");
        }
    }

    #[test]
    fn foreseen_controls_are_those_that_no_worker_has() {
        for finding in foreseen().findings {
            assert_ne!(finding.enforcement, Enforcement::Enforced, "{finding:?}");
        }
    }
}
