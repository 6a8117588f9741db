//! What the launcher may be made to do at most, fixed when it starts: so that a supervisor that
//! was captured can't make it do more.

use std::collections::BTreeSet;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::cgroup::Place;
use crate::files::rules::{self, Allowed, RuleError};
use crate::plan::{Bounds, Ids, Plan};
use crate::policy::{Capability, Net};
use crate::rlimits::Rlimits;
use crate::seccomp;

/// What the launcher may be made to do at most, fixed when it starts.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Ceiling {
    /// Host uids that a plan may name. Empty without privilege: then only [`Ids::Own`] is
    /// left, and the launcher works from a user namespace of its own.
    pub uids: Range<u32>,
    /// Below which cgroup the workers' groups stand, in every hierarchy.
    pub cgroup_place: Place,
    /// The supervisor's own group there: `cordon/NAME`.
    pub cgroup_name: String,
    /// Whether workers may do without a cgroup where none can be made.
    pub cgroup_optional: bool,
    /// Most memory of one worker, in bytes.
    pub memory: u64,
    /// Most tasks of one worker.
    pub tasks: u32,
    /// Most workers at a time.
    pub workers: usize,
    /// Most that any plan may grant.
    pub granted: MostGranted,
}

/// What a plan may grant at most: what policy grants to any plugin.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct MostGranted {
    /// Files and folders that a plan may grant.
    pub files: Vec<Allowed>,
    /// Whether a worker may be in the host's network.
    pub host_network: bool,
    /// Capabilities that a worker may have over its own network.
    pub capabilities: BTreeSet<Capability>,
    /// Most bytes that a worker may lock into memory.
    pub locked_memory: u64,
    /// Greatest RLIMIT_NICE of a worker.
    pub nice: u64,
    /// Greatest RLIMIT_RTPRIO of a worker.
    pub realtime: u64,
}

/// Why the launcher refuses a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum CeilingError {
    /// Characters or length outside what a cgroup leaf may have.
    #[error("name {0:?} is not a plain word of at most 100 characters")]
    Name(String),
    /// A host uid outside the launcher's range.
    #[error("uid {0:?} is outside the launcher's range")]
    Uid(Ids),
    /// More memory than the ceiling.
    #[error("memory limit of {0} bytes is above the launcher's ceiling")]
    Memory(u64),
    /// More tasks than the ceiling.
    #[error("limit of {0} tasks is above the launcher's ceiling")]
    Tasks(u64),
    /// No cgroup where one is demanded, or nothing that stands in for it.
    #[error("the plan bounds the worker by no cgroup")]
    Unbounded,
    /// A filter that would let a call through which no policy may grant.
    #[error("the seccomp filter allows {0}, which no policy may grant")]
    Filter(String),
    /// More workers than the ceiling.
    #[error("{0} workers are running, which is the launcher's ceiling")]
    Workers(usize),
    /// A worker of that name runs already.
    #[error("a worker of name {0:?} is running already")]
    Taken(String),
    /// Files that may not be granted, or not so.
    #[error(transparent)]
    Files(#[from] RuleError),
    /// The host's network, where the launcher was told to give it to nobody.
    #[error("no worker may be in the host's network")]
    HostNetwork,
    /// A capability beyond the ceiling, or over the host's network.
    #[error("capability {0:?} is above the launcher's ceiling")]
    Capability(Capability),
    /// More locked memory or a higher priority than the ceiling.
    #[error("RLIMIT_{0} of {1} is above the launcher's ceiling")]
    Limit(String, u64),
    /// A variable that changes how the dynamic loader works.
    #[error("environment variable {0:?} is not allowed")]
    Environment(String),
}

impl Ceiling {
    /// Checks one plan.
    ///
    /// # Errors
    /// The first excess found.
    pub fn check(&self, plan: &Plan) -> Result<(), CeilingError> {
        if !is_plain_word(&plan.name) {
            return Err(CeilingError::Name(plan.name.chars().take(100).collect()));
        }
        let ids_allowed = match plan.ids {
            Ids::Mapped(uid) => self.uids.contains(&uid),
            Ids::Own => self.uids.is_empty(),
        };
        if !ids_allowed {
            return Err(CeilingError::Uid(plan.ids));
        }
        self.check_bounds(plan)?;
        let loader = |name: &&String| name.starts_with("LD_") || name.starts_with("GLIBC_");
        if let Some(name) = plan.environment.keys().find(loader) {
            return Err(CeilingError::Environment(name.clone()));
        }
        rules::check(&plan.files, plan.tmp.is_some(), &self.granted.files)?;
        self.check_network(plan)?;
        self.check_limits(&plan.lockdown.rlimits)?;
        match seccomp::never_list_violations(&plan.lockdown.filter).first() {
            Some(name) => Err(CeilingError::Filter((*name).to_owned())),
            None => Ok(()),
        }
    }

    fn check_network(&self, plan: &Plan) -> Result<(), CeilingError> {
        let host = plan.net == Net::Host;
        if host && !self.granted.host_network {
            return Err(CeilingError::HostNetwork);
        }
        let beyond =
            |capability: &&Capability| host || !self.granted.capabilities.contains(capability);
        match plan.capabilities.iter().find(beyond) {
            Some(capability) => Err(CeilingError::Capability(*capability)),
            None => Ok(()),
        }
    }

    fn check_limits(&self, limits: &Rlimits) -> Result<(), CeilingError> {
        let rows = [
            ("MEMLOCK", limits.memlock, self.granted.locked_memory),
            ("NICE", limits.nice, self.granted.nice),
            ("RTPRIO", limits.rtprio, self.granted.realtime),
        ];
        match rows.iter().find(|(_, planned, most)| planned > most) {
            Some((name, planned, _)) => Err(CeilingError::Limit((*name).to_owned(), *planned)),
            None => Ok(()),
        }
    }
}

impl Ceiling {
    fn check_bounds(&self, plan: &Plan) -> Result<(), CeilingError> {
        let (memory, tasks) = match (&plan.bounds, plan.lockdown.rlimits.stand_in) {
            (Bounds::Cgroup(limits), _) => (limits.memory_max, limits.pids_max.into()),
            (Bounds::Rlimits, Some(stand_in)) if self.cgroup_optional => {
                (stand_in.memory, stand_in.tasks)
            }
            (Bounds::Rlimits, _) => return Err(CeilingError::Unbounded),
        };
        if memory > self.memory {
            return Err(CeilingError::Memory(memory));
        }
        if tasks > self.tasks.into() {
            return Err(CeilingError::Tasks(tasks));
        }
        Ok(())
    }
}

fn is_plain_word(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    (1..=100).contains(&name.len()) && !name.starts_with('.') && name.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cgroup::Limits;
    use crate::plan::tests::plan;
    use crate::policy::{FileAccess, FileGrant};

    fn ceiling() -> Ceiling {
        Ceiling {
            uids: 1000..1010,
            cgroup_place: Place::Below("/".into()),
            cgroup_name: "test".into(),
            cgroup_optional: false,
            memory: 1 << 30,
            tasks: 100,
            workers: 10,
            granted: MostGranted::default(),
        }
    }

    fn limits(plan: &mut Plan) -> &mut Limits {
        match &mut plan.bounds {
            Bounds::Cgroup(limits) => limits,
            Bounds::Rlimits => panic!("no cgroup"),
        }
    }

    #[test]
    fn without_cgroup_the_stand_in_is_held_against_the_ceiling() {
        let without = Ceiling {
            cgroup_optional: true,
            ..ceiling()
        };
        assert_eq!(without.check(&plan().without_cgroup()), Ok(()));
        let mut missing = plan();
        missing.bounds = Bounds::Rlimits;
        assert_eq!(without.check(&missing), Err(CeilingError::Unbounded));
        let mut many = plan();
        limits(&mut many).pids_max = 102;
        let error = without.check(&many.without_cgroup());
        assert_eq!(error, Err(CeilingError::Tasks(101)));
    }

    #[test]
    fn plan_at_the_ceiling_passes() {
        let mut plan = plan();
        plan.ids = Ids::Mapped(1009);
        limits(&mut plan).memory_max = 1 << 30;
        limits(&mut plan).pids_max = 100;
        assert_eq!(ceiling().check(&plan), Ok(()));
    }

    #[test]
    fn each_excess_is_refused_by_name() {
        type Change = fn(&mut Plan);
        let excesses: [(Change, &str); 15] = [
            (|plan| plan.name = "../greet".into(), "plain word"),
            (|plan| plan.name = ".hidden".into(), "plain word"),
            (|plan| plan.ids = Ids::Mapped(0), "uid"),
            (|plan| plan.ids = Ids::Mapped(1010), "uid"),
            (|plan| plan.ids = Ids::Own, "uid"),
            (|plan| limits(plan).memory_max += 1 << 30, "memory"),
            (|plan| limits(plan).pids_max = 101, "tasks"),
            (|plan| *plan = plan.clone().without_cgroup(), "no cgroup"),
            (|plan| plan.net = Net::Host, "host's network"),
            (
                |plan| plan.capabilities.extend([Capability::NetRaw]),
                "NetRaw",
            ),
            (|plan| plan.lockdown.rlimits.memlock = 1, "RLIMIT_MEMLOCK"),
            (|plan| plan.lockdown.rlimits.nice = 1, "RLIMIT_NICE"),
            (|plan| plan.lockdown.rlimits.rtprio = 1, "RLIMIT_RTPRIO"),
            (
                |plan| {
                    let preload = ("LD_PRELOAD".to_owned(), "/plugin/x.so".to_owned());
                    plan.environment.extend([preload]);
                },
                "LD_PRELOAD",
            ),
            (
                |plan| {
                    plan.files.push(FileGrant {
                        source: "/etc".into(),
                        target: "/data".into(),
                        access: FileAccess::Read,
                    });
                },
                "/etc isn't below anything",
            ),
        ];
        for (change, named) in excesses {
            let mut plan = plan();
            change(&mut plan);
            let error = ceiling().check(&plan).unwrap_err().to_string();
            assert!(error.contains(named), "{error}");
        }
    }

    #[test]
    fn capabilities_go_with_a_network_of_its_own_alone() {
        let mut generous = ceiling();
        generous.granted.host_network = true;
        generous.granted.capabilities.insert(Capability::NetRaw);
        let mut plan = plan();
        plan.capabilities.insert(Capability::NetRaw);
        assert_eq!(generous.check(&plan), Ok(()));
        plan.net = Net::Host;
        let refused = CeilingError::Capability(Capability::NetRaw);
        assert_eq!(generous.check(&plan), Err(refused));
        plan.capabilities.clear();
        assert_eq!(generous.check(&plan), Ok(()));
    }

    #[test]
    fn filter_is_held_against_the_never_list() {
        let mut plan = plan();
        // BPF_RET | BPF_K, SECCOMP_RET_ERRNO.
        plan.lockdown.filter = vec![(0x06, 0, 0, 0x0005_0001)].try_into().unwrap();
        assert_eq!(ceiling().check(&plan), Ok(()));
        // BPF_RET | BPF_K, SECCOMP_RET_ALLOW.
        plan.lockdown.filter = vec![(0x06, 0, 0, 0x7fff_0000)].try_into().unwrap();
        let error = ceiling().check(&plan).unwrap_err();
        assert!(matches!(error, CeilingError::Filter(_)), "{error}");
    }
}
