//! Whether all of `/proc` is there, and writable where the kernel lets one write.

use super::container::RUN_OPTIONS;
use super::trial::{Act, Tried};
use super::{Facility, Offer, Settings, State};

/// The one setting that a launch writes, see user_namespaces(7).
const LIMIT: &str = "/proc/sys/user/max_user_namespaces";

/// A mount that hides a part of `/proc`, or keeps it from being written.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mask {
    point: String,
    kind: String,
    read_only: bool,
}

pub(super) fn offer(settings: &Settings, tried: &Tried) -> Offer {
    let table = settings.text("/proc/self/mountinfo");
    let lacking =
        |found: String, why: &str| Offer::lacking(Facility::Procfs, State::Missing, found, why);
    let Some(table) = table else {
        return lacking("no /proc".into(), "nothing can be read back of a worker")
            .mended_by("mount -t proc proc /proc");
    };
    let masks = masks(&table);
    let shown: Vec<String> = masks.iter().map(Mask::to_string).collect();
    let shown = match shown.is_empty() {
        true => "whole".to_owned(),
        false => shown.join(", "),
    };
    match tried.act(Act::NamespaceLimit) {
        Some(Ok(())) if masks.is_empty() => Offer::available(Facility::Procfs, shown),
        // Masked paths are none that a launch needs; a fresh mount in a namespace of one's own
        // is refused for their sake.
        Some(Ok(())) => Offer::available(Facility::Procfs, format!("enough of it: {shown}")),
        Some(Err(error)) => {
            let found = format!("{LIMIT}: {error}; {shown}");
            let offer = lacking(found, "a worker could go on making user namespaces");
            let over: Vec<&Mask> = masks
                .iter()
                .filter(|mask| LIMIT.starts_with(&mask.point))
                .collect();
            match over.last() {
                Some(mask) if mask.read_only && mask.kind == "proc" => offer
                    .mended_by(format!("mount -o remount,bind,rw {}", mask.point))
                    .mended_by(RUN_OPTIONS),
                Some(mask) => offer
                    .mended_by(format!("umount {}", mask.point))
                    .mended_by(RUN_OPTIONS),
                None => offer.mended_by(RUN_OPTIONS),
            }
        }
        None if settings.has(LIMIT) => Offer::lacking(
            Facility::Procfs,
            State::Untried,
            shown,
            "there is no user namespace to try it from",
        ),
        None => lacking(
            format!("no {LIMIT}; {shown}"),
            "a worker could go on making user namespaces",
        )
        .mended_by("umount what lies over /proc/sys, or a kernel with CONFIG_USER_NS=y"),
    }
}

/// What is mounted below `/proc`, or over it and not procfs, see proc_pid_mountinfo(5).
fn masks(mountinfo: &str) -> Vec<Mask> {
    mountinfo.lines().filter_map(mask).collect()
}

fn mask(line: &str) -> Option<Mask> {
    let (mount, file_system) = line.split_once(" - ")?;
    let fields: Vec<&str> = mount.split(' ').collect();
    let (point, options) = (*fields.get(4)?, *fields.get(5)?);
    let kind = file_system.split(' ').next()?;
    let read_only = options.split(',').any(|option| option == "ro");
    let below = point.starts_with("/proc/");
    // Handlers of foreign executables; every system mounts them there.
    let usual = point == "/proc/sys/fs/binfmt_misc";
    let whole = point == "/proc" && (kind != "proc" || read_only);
    ((below && !usual) || whole).then(|| Mask {
        point: point.to_owned(),
        kind: kind.to_owned(),
        read_only,
    })
}

impl std::fmt::Display for Mask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Mask { point, kind, .. } = self;
        match self.read_only {
            true => write!(f, "{kind} over {point}, read-only"),
            false => write!(f, "{kind} over {point}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::settings::tests::host;
    use super::*;

    const PROC: &str = "22 27 0:21 / /proc rw,relatime - proc proc rw\n";
    /// As Docker masks it, in part.
    const DOCKER: &str = "\
        702 700 0:62 /sys /proc/sys ro,nosuid,nodev,noexec,relatime - proc proc rw\n\
        705 700 0:67 / /proc/kcore rw,nosuid - tmpfs tmpfs rw,size=65536k,mode=755\n\
        709 700 0:71 / /proc/acpi ro,relatime - tmpfs tmpfs ro\n";

    fn offered(mountinfo: &str, errno: Option<i32>) -> Offer {
        let files = [("/proc/self/mountinfo", mountinfo), (LIMIT, "9\n")];
        let (_folder, settings) = host(&files);
        let act = errno.map(|errno| (Act::NamespaceLimit, errno));
        offer(&settings, &Tried::of(act))
    }

    #[test]
    fn whole_proc_is_enough_and_so_is_one_with_harmless_masks() {
        let usual = "90 22 0:33 / /proc/sys/fs/binfmt_misc rw - autofs systemd-1 rw\n";
        let whole = offered(&format!("{PROC}{usual}"), Some(0));
        assert_eq!(
            (whole.state, whole.found.as_str()),
            (State::Available, "whole")
        );
        let masked = "705 700 0:67 / /proc/kcore rw,nosuid - tmpfs tmpfs rw\n";
        let offer = offered(&format!("{PROC}{masked}"), Some(0));
        assert_eq!(offer.state, State::Available);
        assert_eq!(offer.found, "enough of it: tmpfs over /proc/kcore");
    }

    #[test]
    fn read_only_sys_is_named_with_its_mend() {
        let offer = offered(&format!("{PROC}{DOCKER}"), Some(libc::EROFS));
        assert_eq!(offer.state, State::Missing);
        assert!(
            offer.found.contains("proc over /proc/sys, read-only"),
            "{offer:?}"
        );
        assert_eq!(offer.fix[0], "mount -o remount,bind,rw /proc/sys");
    }

    #[test]
    fn other_file_system_over_sys_is_to_be_unmounted() {
        let over = "91 22 0:34 / /proc/sys rw,relatime - tmpfs none rw\n";
        let offer = offered(&format!("{PROC}{over}"), Some(libc::ENOENT));
        assert_eq!(offer.fix[0], "umount /proc/sys");
    }

    #[test]
    fn nothing_tried_is_nothing_known() {
        assert_eq!(offered(PROC, None).state, State::Untried);
    }
}
