//! Whether this user may make what a worker lives in: namespaces, a private root, and one
//! nested user namespace.

use std::io;

use super::container::RUN_OPTIONS;
use super::settings::set;
use super::trial::{Act, Tried};
use super::{Facility, Offer, Settings, State};

/// Namespaces that a user may have at a time, by kind; see namespaces(7).
const LIMITS: [&str; 7] = [
    "user.max_user_namespaces",
    "user.max_mnt_namespaces",
    "user.max_pid_namespaces",
    "user.max_net_namespaces",
    "user.max_ipc_namespaces",
    "user.max_uts_namespaces",
    "user.max_cgroup_namespaces",
];
/// Debian's switch.
const DEBIAN: &str = "kernel.unprivileged_userns_clone";
/// Ubuntu's, which leaves a namespace without capabilities.
const APPARMOR: &str = "kernel.apparmor_restrict_unprivileged_userns";
/// Enough for any number of workers.
const PLENTY: &str = "15000";

/// An AppArmor profile for `cordon`; the launcher, which runs from memory, inherits it.
const PROFILE: &str = "printf 'abi <abi/4.0>,\\ninclude <tunables/global>\\nprofile cordon %s \
     flags=(unconfined) {\\n  userns,\\n}\\n' \"$(command -v cordon)\" > /etc/apparmor.d/cordon && \
     apparmor_parser -r /etc/apparmor.d/cordon";

/// Namespaces, mounts and nesting.
pub(super) fn offers(settings: &Settings, tried: &Tried) -> [Offer; 3] {
    [
        namespaces(settings, tried),
        mounts(settings, tried),
        nesting(tried),
    ]
}

fn namespaces(settings: &Settings, tried: &Tried) -> Offer {
    let facility = Facility::Namespaces;
    let (act, error) = match (tried.act(Act::Clone), tried.act(Act::Ids)) {
        (Some(Ok(())), Some(Ok(()))) => {
            return Offer::available(facility, "user, mnt, pid, net, ipc, uts, cgroup");
        }
        (Some(Err(error)), _) => ("clone3", error),
        (_, Some(Err(error))) => (MAPS, error),
        _ => ("clone3", io::ErrorKind::Unsupported.into()),
    };
    let untried = |why| Offer::lacking(facility, State::Untried, "not tried", why);
    match error.raw_os_error() {
        Some(libc::EBUSY) => {
            return untried("this process has several threads, and only one without can try it");
        }
        Some(libc::ENOENT) => return untried("there is no /proc that tells our threads"),
        _ => {}
    }
    let offer = |found: String| {
        let why = "no worker can be made";
        Offer::lacking(facility, State::Missing, found, why)
    };
    if let Some(limit) = LIMITS
        .into_iter()
        .find(|limit| settings.sysctl(limit) == Some(0))
    {
        return offer(format!("{act}: {error}; {limit} is 0")).mended_by(set(limit, PLENTY));
    }
    if let Some(switched) = switch(settings) {
        return switched.mend(offer(format!("{act}: {error}; {}", switched.found())));
    }
    let found = format!("{act}: {error}");
    match error.raw_os_error() {
        Some(libc::ENOSPC) => offer(format!("{found}; the namespaces of this user are used up"))
            .mended_by(set(LIMITS[0], PLENTY)),
        Some(libc::EINVAL) => offer(format!("{found}; a kernel without namespaces"))
            .mended_by("a kernel with CONFIG_NAMESPACES=y and CONFIG_USER_NS=y"),
        Some(libc::EAGAIN) => offer(format!("{found}; too many processes"))
            .mended_by("ulimit -u unlimited, or TasksMax= of the systemd unit"),
        Some(libc::EPERM) if act == MAPS && is_nested(settings) => offer(format!(
            "{found}; a worker's ids aren't in this user namespace"
        ))
        .mended_by("run Cordon as an ordinary user of this container")
        .mended_by("Cordon on the host"),
        // Neither a switch nor a limit: a filter above us, or a changed root (chroot(2)).
        _ => offer(found)
            .mended_by("start Cordon outside of chroot")
            .mended_by(RUN_OPTIONS),
    }
}

/// The step that root of a container may fail at.
const MAPS: &str = "id maps";

/// Whether this is a user namespace in which only some ids are mapped.
fn is_nested(settings: &Settings) -> bool {
    let map = settings.text("/proc/self/uid_map").unwrap_or_default();
    let fields: Vec<&str> = map.split_ascii_whitespace().collect();
    // All of them, as on the host (user_namespaces(7)).
    !map.is_empty() && fields != ["0", "0", "4294967295"]
}

fn mounts(settings: &Settings, tried: &Tried) -> Offer {
    let facility = Facility::Mounts;
    let error = match tried.act(Act::Mounts) {
        Some(Ok(())) => return Offer::available(facility, "a private root from detached mounts"),
        None => return untried(facility),
        Some(Err(error)) => error,
    };
    let why = "a worker would see the host's files";
    let found = format!("new mount API: {error}");
    match (switch(settings), error.raw_os_error()) {
        // The restriction lets the namespace be made and takes its capabilities.
        (Some(switched), Some(libc::EPERM | libc::EACCES)) => {
            let found = format!("{found}; {}", switched.found());
            switched.mend(Offer::lacking(facility, State::Missing, found, why))
        }
        _ => Offer::lacking(facility, State::Missing, found, why).mended_by(RUN_OPTIONS),
    }
}

fn nesting(tried: &Tried) -> Offer {
    let facility = Facility::Nesting;
    match tried.act(Act::Nesting) {
        Some(Ok(())) => Offer::available(facility, "one user namespace below, and no further"),
        None => untried(facility),
        Some(Err(error)) => {
            let why = "a worker would hold capabilities over its mounts and its network";
            Offer::lacking(facility, State::Missing, error.to_string(), why)
                .mended_by(set(LIMITS[0], PLENTY))
        }
    }
}

fn untried(facility: Facility) -> Offer {
    let why = "what it rests on is missing";
    Offer::lacking(facility, State::Untried, "not tried", why)
}

/// A switch of a distribution, set against ordinary users.
#[derive(Debug, Clone, Copy)]
enum Switch {
    Debian,
    AppArmor,
}

fn switch(settings: &Settings) -> Option<Switch> {
    if settings.sysctl(DEBIAN) == Some(0) {
        return Some(Switch::Debian);
    }
    (settings.sysctl(APPARMOR) == Some(1)).then_some(Switch::AppArmor)
}

impl Switch {
    fn found(self) -> String {
        match self {
            Switch::Debian => format!("{DEBIAN} is 0"),
            Switch::AppArmor => format!("{APPARMOR} is 1"),
        }
    }

    fn mend(self, offer: Offer) -> Offer {
        match self {
            Switch::Debian => offer.mended_by(set(DEBIAN, "1")),
            Switch::AppArmor => offer.mended_by(PROFILE).mended_by(set(APPARMOR, "0")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::settings::tests::host;
    use super::*;

    fn offered(files: &[(&str, &str)], acts: &[(Act, i32)]) -> [Offer; 3] {
        let (_folder, settings) = host(files);
        offers(&settings, &Tried::of(acts.iter().copied()))
    }

    #[test]
    fn all_that_was_done_is_available() {
        let acts = [Act::Clone, Act::Ids, Act::Mounts, Act::Nesting].map(|act| (act, 0));
        for offer in offered(&[], &acts) {
            assert_eq!(offer.state, State::Available, "{offer:?}");
        }
    }

    #[test]
    fn each_cause_is_named_with_its_mend() {
        let path = |name: &str| format!("/proc/sys/{}", name.replace('.', "/"));
        for (setting, value, errno, fix) in [
            (
                "user.max_user_namespaces",
                "0",
                libc::ENOSPC,
                "sysctl -w user.max_user_namespaces=15000",
            ),
            (
                "user.max_net_namespaces",
                "0",
                libc::ENOSPC,
                "sysctl -w user.max_net_namespaces=15000",
            ),
            (
                DEBIAN,
                "0",
                libc::EPERM,
                "sysctl -w kernel.unprivileged_userns_clone=1",
            ),
            (
                APPARMOR,
                "1",
                libc::EACCES,
                "apparmor_parser -r /etc/apparmor.d/cordon",
            ),
        ] {
            let [namespaces, mounts, nesting] =
                offered(&[(&path(setting), value)], &[(Act::Clone, errno)]);
            assert!(namespaces.blocks());
            assert!(
                namespaces.found.contains(&format!("{setting} is {value}")),
                "{namespaces:?}"
            );
            assert!(namespaces.fix[0].contains(fix), "{namespaces:?}");
            assert_eq!([mounts.state, nesting.state], [State::Untried; 2]);
        }
        for (errno, word) in [
            (libc::ENOSPC, "used up"),
            (libc::EINVAL, "without namespaces"),
            (libc::EAGAIN, "too many processes"),
        ] {
            let [namespaces, ..] = offered(&[], &[(Act::Clone, errno)]);
            assert!(namespaces.found.contains(word), "{namespaces:?}");
        }
    }

    #[test]
    fn root_of_a_container_lacks_the_ids_of_workers() {
        let acts = [(Act::Clone, 0), (Act::Ids, libc::EPERM)];
        let nested = [("/proc/self/uid_map", "         0     100000      65536\n")];
        let [namespaces, ..] = offered(&nested, &acts);
        assert!(
            namespaces.found.ends_with("aren't in this user namespace"),
            "{namespaces:?}"
        );
        let host = [("/proc/self/uid_map", "         0          0 4294967295\n")];
        let [namespaces, ..] = offered(&host, &acts);
        assert!(namespaces.fix[0].contains("chroot"), "{namespaces:?}");
    }

    #[test]
    fn namespace_without_capabilities_is_apparmors_doing() {
        let acts = [(Act::Clone, 0), (Act::Ids, 0), (Act::Mounts, libc::EACCES)];
        let [namespaces, mounts, _] = offered(
            &[(
                "/proc/sys/kernel/apparmor_restrict_unprivileged_userns",
                "1\n",
            )],
            &acts,
        );
        assert_eq!(namespaces.state, State::Available);
        assert!(
            mounts
                .found
                .contains("apparmor_restrict_unprivileged_userns is 1"),
            "{mounts:?}"
        );
    }

    #[test]
    fn neither_several_threads_nor_one_without_proc_try_anything() {
        for errno in [libc::EBUSY, libc::ENOENT] {
            let [namespaces, ..] = offered(&[], &[(Act::Clone, errno)]);
            assert_eq!(namespaces.state, State::Untried);
        }
    }
}
