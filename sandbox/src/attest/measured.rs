//! What the worker measured of itself while it was still trusted: the controls that no
//! kernel shows to others. None of them can be undone.

use serde::{Deserialize, Serialize};

use super::{AttestError, mismatch};
use crate::codec::{self, CodecError};
use crate::hardening::Taken;
use crate::landlock::{Restricted, Ruleset, SCOPES_ABI, TCP_ABI};
use crate::plan::Lockdown;
use crate::policy::TcpPorts;
use crate::report::{Control, Enforcement, Report};
use crate::weaken::{Weakened, off};

/// Sent before a plugin byte is mapped, and never again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measured {
    /// How far Landlock holds, after its canary; `None`: it was left out.
    pub landlock: Option<Restricted>,
    /// Memory-deny-write-execute, after its canary.
    pub mdwe: Taken,
    /// A session keyring that wasn't there before.
    pub keyring: Taken,
    /// A core scheduling cookie.
    pub cores: Taken,
    /// Whether the process is undumpable.
    pub undumpable: bool,
}

/// The longest encoded [`Measured`], in bytes.
pub const MAX_MEASURED: usize = 64;

impl Measured {
    /// As it travels to the supervisor.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        // Of such few bytes none is too many; from nothing at all nothing is decoded.
        codec::encode(self).unwrap_or_default()
    }

    /// Reads what a worker sent.
    ///
    /// # Errors
    /// [`CodecError`] for bytes that no worker of this version sends.
    pub fn decode(bytes: &[u8]) -> Result<Measured, CodecError> {
        if bytes.len() > MAX_MEASURED {
            return Err(CodecError::TooLong(bytes.len()));
        }
        codec::decode(bytes)
    }
}

/// Holds it against what the worker was to take upon itself.
pub(super) fn attest(
    measured: &Measured,
    lockdown: &Lockdown,
    report: &mut Report,
) -> Result<(), AttestError> {
    landlock(measured.landlock, &lockdown.landlock, report)?;
    mdwe(measured.mdwe, lockdown.jit, report)?;
    let own = "one of its own, of another serial number than before";
    taken(Control::Keyring, measured.keyring, own, report);
    Ok(())
}

fn landlock(
    restricted: Option<Restricted>,
    ruleset: &Ruleset,
    report: &mut Report,
) -> Result<(), AttestError> {
    let absent = |report: &mut Report, why: &str| {
        for control in [
            Control::Landlock,
            Control::LandlockTcp,
            Control::LandlockScopes,
        ] {
            report.add(control, Enforcement::Absent, false, why);
        }
    };
    let (abi, tcp, scopes) = match restricted {
        Some(Restricted::Abi { abi, tcp, scopes }) => (abi, tcp, scopes),
        Some(Restricted::NotBuilt) => {
            absent(report, "this kernel is built without Landlock");
            return Ok(());
        }
        Some(Restricted::SwitchedOff) => {
            absent(
                report,
                "switched off: add landlock to lsm= of the boot line",
            );
            return Ok(());
        }
        None if off(Weakened::Landlock) => {
            absent(report, "left out");
            return Ok(());
        }
        None => {
            let found = "left out".to_owned();
            return Err(mismatch(Control::Landlock, "domain", found, "in force"));
        }
    };
    let files = format!("ABI {abi}, {} rules, canary refused", ruleset.files.len());
    report.enforced(Control::Landlock, files);
    let tiers = [
        (Control::LandlockTcp, TCP_ABI, tcp, ports(&ruleset.tcp)),
        (
            Control::LandlockScopes,
            SCOPES_ABI,
            scopes,
            "signals and abstract sockets".to_owned(),
        ),
    ];
    for (control, since, holds, value) in tiers {
        if holds {
            report.enforced(control, value);
        } else if abi < since {
            let why = format!("Landlock ABI {abi} of this kernel hasn't got it, ABI {since} has");
            report.add(control, Enforcement::Absent, false, why);
        } else {
            report.add(control, Enforcement::Absent, true, "left out");
        }
    }
    Ok(())
}

fn ports(tcp: &TcpPorts) -> String {
    let list = |ports: &std::collections::BTreeSet<u16>| match ports.len() {
        0 => "none".to_owned(),
        1..=8 => ports
            .iter()
            .map(u16::to_string)
            .collect::<Vec<_>>()
            .join(" "),
        more => format!("{more} ports"),
    };
    format!("bind {}, connect {}", list(&tcp.bind), list(&tcp.connect))
}

fn mdwe(measured: Taken, jit: bool, report: &mut Report) -> Result<(), AttestError> {
    match measured {
        Taken::NotAsked if jit => {
            let why = "absent by grant: the plugin may make memory executable";
            report.add(Control::Mdwe, Enforcement::Absent, true, why);
        }
        Taken::NotAsked if !off(Weakened::Mdwe) => {
            let found = "left out".to_owned();
            return Err(mismatch(Control::Mdwe, "process", found, "in force"));
        }
        other => taken(Control::Mdwe, other, "in force, canary refused", report),
    }
    Ok(())
}

fn taken(control: Control, taken: Taken, value: &str, report: &mut Report) {
    let (enforcement, offered, value) = match taken {
        Taken::Held => (Enforcement::Enforced, true, value.to_owned()),
        Taken::NotOffered => {
            let why = "this kernel or processor hasn't got it".to_owned();
            (Enforcement::Absent, false, why)
        }
        Taken::Refused(errno) => {
            let error = std::io::Error::from_raw_os_error(errno);
            (Enforcement::Absent, true, format!("refused: {error}"))
        }
        Taken::NotAsked => (Enforcement::Absent, true, "left out".to_owned()),
    };
    report.add(control, enforcement, offered, value);
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn abi(abi: u32) -> Restricted {
        Restricted::Abi {
            abi,
            tcp: abi >= TCP_ABI,
            scopes: abi >= SCOPES_ABI,
        }
    }

    const FULL: Measured = Measured {
        landlock: Some(abi(7)),
        mdwe: Taken::Held,
        keyring: Taken::Held,
        cores: Taken::NotOffered,
        undumpable: true,
    };

    fn lockdown(jit: bool) -> Lockdown {
        Lockdown {
            jit,
            ..super::super::tests::plan().lockdown
        }
    }

    fn report(measured: Measured, jit: bool) -> Result<Report, AttestError> {
        let mut report = Report::default();
        attest(&measured, &lockdown(jit), &mut report).map(|()| report)
    }

    fn enforcement(report: &Report, control: Control) -> (Enforcement, bool) {
        let finding = report.finding(control).unwrap();
        (finding.enforcement, finding.offered)
    }

    #[test]
    fn survives_the_wire_and_is_bounded() {
        let refused = Measured {
            keyring: Taken::Refused(i32::MIN),
            ..FULL
        };
        for measured in [FULL, refused] {
            let bytes = measured.encode();
            assert!(bytes.len() <= MAX_MEASURED);
            assert_eq!(Measured::decode(&bytes).unwrap(), measured);
            assert!(Measured::decode(&bytes[1..]).is_err());
        }
        assert!(Measured::decode(&[0; MAX_MEASURED + 1]).is_err());
    }

    #[test]
    fn tiers_follow_the_abi() {
        use Control::{Landlock, LandlockScopes, LandlockTcp};
        for (version, tcp, scopes) in [(2, false, false), (5, true, false), (6, true, true)] {
            let landlock = Some(abi(version));
            let report = report(Measured { landlock, ..FULL }, false).unwrap();
            let held = |holds| match holds {
                true => (Enforcement::Enforced, true),
                false => (Enforcement::Absent, false),
            };
            assert_eq!(enforcement(&report, Landlock), held(true));
            assert_eq!(enforcement(&report, LandlockTcp), held(tcp));
            assert_eq!(enforcement(&report, LandlockScopes), held(scopes));
        }
    }

    #[test]
    fn kernel_without_landlock_is_a_finding_and_one_left_out_a_mismatch() {
        for landlock in [Restricted::NotBuilt, Restricted::SwitchedOff] {
            let landlock = Some(landlock);
            let report = report(Measured { landlock, ..FULL }, false).unwrap();
            let found = enforcement(&report, Control::Landlock);
            assert_eq!(found, (Enforcement::Absent, false));
        }
        let landlock = None;
        let error = report(Measured { landlock, ..FULL }, false).unwrap_err();
        assert!(error.to_string().starts_with("landlock: "), "{error}");
    }

    #[test]
    fn mdwe_is_waived_by_a_granted_jit_alone() {
        let mdwe = Taken::NotAsked;
        let waived = report(Measured { mdwe, ..FULL }, true).unwrap();
        let found = enforcement(&waived, Control::Mdwe);
        assert_eq!(found, (Enforcement::Absent, true));
        let error = report(Measured { mdwe, ..FULL }, false).unwrap_err();
        assert!(error.to_string().starts_with("mdwe: "), "{error}");
        let mdwe = Taken::Refused(libc::EPERM);
        let refused = report(Measured { mdwe, ..FULL }, false).unwrap();
        assert_eq!(
            enforcement(&refused, Control::Mdwe),
            (Enforcement::Absent, true)
        );
    }
}
