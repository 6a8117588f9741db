//! Whether root is root here: a launcher takes some capabilities, and containers take some away.

use super::container::RUN_OPTIONS;
use super::{Facility, Offer, Settings, State};

/// What a launcher that is root does with each, by number and name of capabilities(7).
const CAPABILITIES: [(u32, &str, &str); 4] = [
    (1, "DAC_OVERRIDE", "read a worker's files in /proc"),
    (6, "SETGID", "map a worker's ids"),
    (7, "SETUID", "map a worker's ids"),
    (21, "SYS_ADMIN", "make images and clone mounts"),
];

/// An ordinary user needs none: the launcher has them in a user namespace of its own.
pub(super) fn offer(settings: &Settings) -> Offer {
    let user = rustix::process::geteuid();
    if !user.is_root() {
        let found = format!("an ordinary user, id {}", user.as_raw());
        return Offer::available(Facility::Privilege, found);
    }
    judge(settings)
}

fn judge(settings: &Settings) -> Offer {
    let facility = Facility::Privilege;
    let status = settings.text("/proc/self/status").unwrap_or_default();
    let effective = crate::attest::field(&status, "CapEff");
    let Some(effective) = effective.and_then(|set| u64::from_str_radix(set, 16).ok()) else {
        let why = "there is no /proc that tells our capabilities";
        return Offer::lacking(facility, State::Untried, "not tried", why);
    };
    let lacking: Vec<_> = CAPABILITIES
        .iter()
        .filter(|(number, ..)| effective & 1 << number == 0)
        .collect();
    if lacking.is_empty() {
        return Offer::available(
            facility,
            "root, with the capabilities that a launcher takes",
        );
    }
    let names: Vec<&str> = lacking.iter().map(|(_, name, _)| *name).collect();
    let acts: Vec<&str> = lacking.iter().map(|(.., act)| *act).collect();
    let found = format!("root without {}", names.join(", "));
    let why = format!("the launcher can't {}", acts.join(", "));
    Offer::lacking(facility, State::Missing, found, why)
        .mended_by("CapabilityBoundingSet= of the systemd unit must keep them")
        .mended_by(RUN_OPTIONS)
        .mended_by("run Cordon as an ordinary user")
}

#[cfg(test)]
mod tests {
    use super::super::settings::tests::host;
    use super::*;

    #[test]
    fn capabilities_that_a_container_took_are_named() {
        for (effective, state, found) in [
            ("000001ffffffffff", State::Available, "root, with "),
            ("00000000a80425fb", State::Missing, "root without SYS_ADMIN"),
            ("rubbish", State::Untried, "not tried"),
        ] {
            let status = format!("CapEff:\t{effective}\n");
            let (_folder, settings) = host(&[("/proc/self/status", &status)]);
            let offer = judge(&settings);
            assert_eq!(offer.state, state, "{offer:?}");
            assert!(offer.found.starts_with(found), "{offer:?}");
        }
    }
}
