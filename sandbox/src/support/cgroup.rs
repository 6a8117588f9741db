//! Whether groups with limits can be had: by making some, with limits, and removing them.

use rustix::io::Errno;

use super::container::RUN_OPTIONS;
use super::{Facility, Offer, State};
use crate::cgroup::{
    CpuMax, Io, Kind, Layout, LayoutError, Limits, Parent, ParentError, Place, own_name,
};

/// The mend for users of a systemd host.
const SCOPE: &str = "systemd-run --user --scope -p Delegate=yes cordon ...";

/// The number of the trial's group, beyond those of supervisors in one process.
const TRIAL: u64 = 1 << 32;

/// Tries with groups at this place.
pub(super) fn offer(place: &Place) -> Offer {
    let layout = match Layout::detect() {
        Ok(layout) => layout,
        Err(error) => return unmounted(&error),
    };
    // By this name what is left of a trial that was killed is found, too.
    let name = match own_name(TRIAL) {
        Ok(name) => name,
        Err(error) => return lacking(error.to_string()).mended_by("mount -t proc proc /proc"),
    };
    match Parent::create(&layout, place, &name, &[rustix::process::getpid()]) {
        Ok(parent) => limits(&layout, &parent),
        Err(error) => refused(layout.kind(), &error),
    }
}

fn lacking(found: String) -> Offer {
    let why = "nothing would hold a worker's memory, tasks and CPU time as a whole";
    Offer::lacking(Facility::Cgroup, State::Missing, found, why)
}

fn unmounted(error: &LayoutError) -> Offer {
    let offer = lacking(error.to_string());
    match error {
        LayoutError::Mountinfo(_) => offer.mended_by("mount -t proc proc /proc"),
        LayoutError::NotMounted => offer.mended_by("mount -t cgroup2 cgroup2 /sys/fs/cgroup"),
        LayoutError::MissingController(controller) => offer
            .mended_by(format!(
                "mkdir -p /sys/fs/cgroup/{controller} && \
                 mount -t cgroup -o {controller} {controller} /sys/fs/cgroup/{controller}"
            ))
            .mended_by("boot with cgroup_no_v1=all systemd.unified_cgroup_hierarchy=1"),
    }
    .mended_by(WITHOUT)
}

/// What is always left.
const WITHOUT: &str = "do without: --allow-degraded cgroup";

fn refused(kind: Kind, error: &ParentError) -> Offer {
    let offer = lacking(error.to_string());
    match error {
        ParentError::Unavailable { controller, .. } => offer
            .mended_by(format!(
                "mkdir -p /etc/systemd/system/user@.service.d && printf '[Service]\\n\
                 Delegate=cpu memory pids\\n' > /etc/systemd/system/user@.service.d/delegate.conf \
                 && systemctl daemon-reload, then log in again and: {SCOPE}"
            ))
            .mended_by(format!(
                "without systemd: echo +{controller} > cgroup.subtree_control, in every group \
                 above, from the root down"
            )),
        ParentError::NotDelegated {
            errno: Errno::ROFS, ..
        } => offer.mended_by(RUN_OPTIONS),
        // Of v1 nothing can be delegated but by giving groups away.
        ParentError::NotDelegated { .. } if kind != Kind::V2 => offer
            .mended_by(
                "root makes a group of one name in every hierarchy and gives it to you by \
                 chown -R: --cgroup-parent NAME",
            )
            .mended_by("boot with systemd.unified_cgroup_hierarchy=1, for cgroup v2"),
        ParentError::NotDelegated { .. }
        | ParentError::Populated(_)
        | ParentError::Occupied { .. } => offer.mended_by(SCOPE).mended_by(
            "root makes a group, gives it to you by chown -R and puts your shell into it: \
                 --cgroup-parent NAME",
        ),
        ParentError::Outside { group, .. } => offer.mended_by(SCOPE).mended_by(format!(
            "as root, before you start Cordon: echo $$ > {}/cgroup.procs",
            group.display()
        )),
        ParentError::Unseen { .. } => offer
            .mended_by("--cgroup-parent must name a group that is mounted here")
            .mended_by(RUN_OPTIONS),
        ParentError::File(_) => offer
            .mended_by("findmnt -R /sys/fs/cgroup shows what lies over it: umount that")
            .mended_by(RUN_OPTIONS),
        ParentError::Name(_)
        | ParentError::Exists(_)
        | ParentError::Own(_)
        | ParentError::Contended(_) => offer,
    }
    .mended_by(WITHOUT)
}

/// The smallest limits that make sense, in a group of their own, read back.
fn limits(layout: &Layout, parent: &Parent) -> Offer {
    let limits = Limits {
        memory_max: 16 << 20,
        memory_high: None,
        pids_max: 2,
        cpu_max: CpuMax::default(),
        cpu_weight: None,
        io: Io::default(),
    };
    let kind = match layout.kind() {
        Kind::V2 => "v2",
        Kind::Hybrid => "v1 with a unified tree",
        Kind::V1 => "v1",
    };
    match parent.leaf("trial", &limits) {
        Ok(mut leaf) => {
            let swap = match leaf.applied().swap_max {
                Some(_) => "swap off",
                None => "no swap",
            };
            match leaf.remove() {
                Ok(()) => Offer::available(
                    Facility::Cgroup,
                    format!("{kind}, limits read back: memory, pids, cpu; {swap}"),
                ),
                Err(error) => lacking(error.to_string()).mended_by(WITHOUT),
            }
        }
        Err(error) => lacking(error.to_string())
            .mended_by("boot with cgroup_enable=memory swapaccount=1")
            .mended_by(WITHOUT),
    }
}

/// Whether the kernel measures for how long the tasks of a group stand still.
pub(super) fn pressure() -> Offer {
    let lacking = |found: &str, fix: &str| {
        let why = "nothing tells that a plugin stands still for want of memory or CPU time";
        Offer::lacking(Facility::Pressure, State::Missing, found, why).mended_by(fix)
    };
    let unified = Layout::detect().is_ok_and(|layout| layout.kind() != Kind::V1);
    // It can be opened where it is switched off, but not read.
    match std::fs::read("/proc/pressure/memory") {
        _ if !unified => lacking(
            "cgroup v1 alone",
            "mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified",
        ),
        Ok(_) => Offer::available(Facility::Pressure, "stalls for memory and CPU time (PSI)"),
        Err(_) => lacking("no PSI", "boot with psi=1, in a kernel with CONFIG_PSI"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cgroup::Controller;

    #[test]
    fn each_cause_has_its_mend_and_the_last_is_to_do_without() {
        for (error, mend) in [
            (
                LayoutError::NotMounted,
                "mount -t cgroup2 cgroup2 /sys/fs/cgroup",
            ),
            (
                LayoutError::MissingController(Controller::Pids),
                "mount -t cgroup -o pids pids",
            ),
        ] {
            let offer = unmounted(&error);
            assert!(offer.blocks());
            assert!(offer.fix[0].contains(mend), "{offer:?}");
            assert_eq!(offer.fix.last().unwrap(), WITHOUT);
        }
        let unavailable = ParentError::Unavailable {
            controller: Controller::Cpu,
            group: "/sys/fs/cgroup/user.slice".into(),
        };
        let populated = ParentError::Populated("/sys/fs/cgroup".into());
        let group = "/sys/fs/cgroup/user.slice";
        let refused_by = |errno| ParentError::NotDelegated {
            group: group.into(),
            errno,
        };
        let outside = ParentError::Outside {
            own: "/sys/fs/cgroup/session".into(),
            group: group.into(),
        };
        for (error, mend) in [
            (unavailable, "Delegate=cpu memory pids"),
            (
                populated,
                "systemd-run --user --scope -p Delegate=yes cordon",
            ),
            (
                refused_by(Errno::ACCESS),
                "systemd-run --user --scope -p Delegate=yes cordon",
            ),
            (refused_by(Errno::ROFS), "/sys/fs/cgroup:rw"),
            (outside, "systemd-run --user --scope"),
        ] {
            let offer = refused(Kind::V2, &error);
            assert!(offer.fix[0].contains(mend), "{offer:?}");
            assert_eq!(offer.fix.last().unwrap(), WITHOUT);
        }
        let hybrid = refused(Kind::Hybrid, &refused_by(Errno::ACCESS));
        assert!(hybrid.fix[0].contains("chown -R"), "{hybrid:?}");
    }
}
