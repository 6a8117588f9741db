//! System calls that something above us refuses, and whether a filter of our own can be had.

use super::container::RUN_OPTIONS;
use super::trial::{Act, Tried};
use super::{Facility, Offer, Settings, State};
use crate::sys::refusal::{CALLS, refused};

/// Every call that a launch takes and that filters of containers are known to refuse.
pub(super) fn calls(settings: &Settings) -> Offer {
    let refused: Vec<&str> = CALLS
        .iter()
        .filter(|call| refused(call))
        .map(|call| call.name)
        .collect();
    judge(settings, &refused)
}

fn judge(settings: &Settings, refused: &[&str]) -> Offer {
    let above = match filters(settings) {
        0 => "no filter above us".to_owned(),
        count => format!("{count} seccomp filter(s) above us"),
    };
    if refused.is_empty() {
        return Offer::available(Facility::SystemCalls, format!("none refused, {above}"));
    }
    let found = format!("refused: {}; {above}", refused.join(", "));
    let why = "a launch takes them";
    let offer = Offer::lacking(Facility::SystemCalls, State::Missing, found, why);
    match filters(settings) {
        0 => offer.mended_by("a kernel that has them"),
        _ => offer
            .mended_by("SystemCallFilter= of the systemd unit must allow them")
            .mended_by(RUN_OPTIONS),
    }
}

/// How many filters this process has, see proc_pid_status(5).
pub(super) fn filters(settings: &Settings) -> u32 {
    let status = settings.text("/proc/self/status").unwrap_or_default();
    crate::attest::field(&status, "Seccomp_filters")
        .and_then(|count| count.parse().ok())
        .unwrap_or(0)
}

/// A filter with its listener, as every worker has one.
pub(super) fn seccomp(tried: &Tried) -> Offer {
    let facility = Facility::Seccomp;
    let why = "nothing would keep a worker from any system call";
    match tried.act(Act::Listener) {
        Some(Ok(())) => Offer::available(facility, "a filter with its listener"),
        Some(Err(error)) => {
            let offer = Offer::lacking(facility, State::Missing, error.to_string(), why);
            match error.raw_os_error() {
                Some(libc::EBUSY) => {
                    offer.mended_by("start Cordon outside of the sandbox that listens to it")
                }
                _ => offer.mended_by("a kernel with CONFIG_SECCOMP_FILTER=y"),
            }
        }
        None => Offer::lacking(facility, State::Untried, "not tried", why),
    }
}

#[cfg(test)]
mod tests {
    use super::super::settings::tests::host;
    use super::*;

    #[test]
    fn refused_calls_are_named_with_who_refuses_them() {
        let (_folder, filtered) =
            host(&[("/proc/self/status", "Seccomp:\t2\nSeccomp_filters:\t1\n")]);
        let offer = judge(&filtered, &["unshare", "clone3"]);
        assert!(offer.blocks());
        assert_eq!(
            offer.found,
            "refused: unshare, clone3; 1 seccomp filter(s) above us"
        );
        assert!(
            offer.fix[1].contains("--security-opt seccomp=unconfined"),
            "{offer:?}"
        );
        let (_folder, free) = host(&[]);
        assert_eq!(judge(&free, &["openat2"]).fix, ["a kernel that has them"]);
    }

    #[test]
    fn this_kernel_refuses_none() {
        let offer = calls(&Settings::of_host());
        assert_eq!(offer.state, State::Available, "{offer:?}");
    }

    #[test]
    fn listener_of_somebody_else_is_in_the_way() {
        let offer = seccomp(&Tried::of([(Act::Listener, libc::EBUSY)]));
        assert!(offer.fix[0].contains("outside of the sandbox"), "{offer:?}");
        assert_eq!(seccomp(&Tried::default()).state, State::Untried);
    }
}
