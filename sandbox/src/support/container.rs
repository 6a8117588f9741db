//! Whether this is the host itself, or a container on it.

use super::{Facility, Offer, Settings, State};

/// Files that container engines leave in the root, see `systemd-detect-virt(1)`.
const MARKS: [(&str, &str); 2] = [("/.dockerenv", "Docker"), ("/run/.containerenv", "Podman")];

/// Inodes of the first namespaces of a host, the same on all (`include/linux/proc_ns.h`).
const FIRST: [(&str, u64); 3] = [
    ("pid", 0xeffffffc),
    ("cgroup", 0xeffffffb),
    ("user", 0xeffffffd),
];

/// What mends most of what containers take away.
pub(super) const RUN_OPTIONS: &str = "docker run --cap-add=SYS_ADMIN --security-opt seccomp=unconfined \
     --security-opt apparmor=unconfined --security-opt systempaths=unconfined --cgroupns=host -v /sys/fs/cgroup:/sys/fs/cgroup:rw, \
     or Cordon on the host";

pub(super) fn offer(settings: &Settings) -> Offer {
    let signs = signs(settings);
    if signs.is_empty() {
        return Offer::available(Facility::Container, "the host itself");
    }
    Offer::lacking(
        Facility::Container,
        State::Degraded,
        signs.join(", "),
        "what else is missing here may be the container's doing",
    )
    .mended_by(RUN_OPTIONS)
}

fn signs(settings: &Settings) -> Vec<String> {
    let marks = MARKS.iter().filter(|(path, _)| settings.has(path));
    let mut signs: Vec<String> = marks
        .map(|(path, engine)| format!("{path} of {engine}"))
        .collect();
    for (name, first) in FIRST {
        let link = settings.link(&format!("/proc/self/ns/{name}"));
        // A file system that doesn't tell is another facility's matter.
        if link.is_some_and(|link| link != format!("{name}:[{first}]")) {
            signs.push(format!("not the host's {name} namespace"));
        }
    }
    signs
}

#[cfg(test)]
mod tests {
    use super::super::settings::tests::host;
    use super::*;

    fn with_namespaces(files: &[(&str, &str)], pid: u64) -> Offer {
        let (folder, settings) = host(files);
        let namespaces = folder.path().join("proc/self/ns");
        std::fs::create_dir_all(&namespaces).unwrap();
        let link = |name: &str, inode: u64| {
            std::os::unix::fs::symlink(format!("{name}:[{inode}]"), namespaces.join(name)).unwrap();
        };
        link("pid", pid);
        link("cgroup", 4_026_531_835);
        link("user", 4_026_531_837);
        offer(&settings)
    }

    #[test]
    fn host_shows_no_sign_of_a_container() {
        let offer = with_namespaces(&[], 4_026_531_836);
        assert_eq!(offer.state, State::Available, "{offer:?}");
    }

    #[test]
    fn container_is_known_by_marks_and_by_namespaces() {
        let offer = with_namespaces(&[("/.dockerenv", ""), ("/run/.containerenv", "")], 7);
        assert_eq!(offer.state, State::Degraded);
        let found =
            "/.dockerenv of Docker, /run/.containerenv of Podman, not the host's pid namespace";
        assert_eq!(offer.found, found);
    }
}
