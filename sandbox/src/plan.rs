//! A launch, fully resolved, and the ceiling that the launcher holds it against.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::cgroup::{Limits, Place};
use crate::files::rules::{self, Allowed, RuleError};
use crate::policy::{FileGrant, Policy, Tmpfs};
use crate::rlimits::{Rlimits, StandIn};
use crate::seccomp::{self, Program};

/// SHA3-512 of a plugin file.
pub type Digest = [u8; 64];

/// Everything that one launch needs; the fds it refers to travel beside it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Plan {
    /// Names the worker's cgroup leaf: letters, digits, `.`, `_`, `-`.
    pub name: String,
    /// Whom the worker is to the rest of the host.
    pub ids: Ids,
    /// What holds it to its share of memory, tasks and CPU time.
    pub bounds: Bounds,
    /// Which image holds the plugin.
    pub image: ImageKey,
    /// Caps of the private root itself, which holds mount points alone.
    pub root: Tmpfs,
    /// A private `/tmp`.
    pub tmp: Option<Tmpfs>,
    /// Files and folders of the host, outer targets before what is within them. Sources are as
    /// [`locate`](crate::files::locate::locate) gives them.
    pub files: Vec<FileGrant>,
    /// Whether those that may only be read can be executed.
    pub executable_files: bool,
    /// What the worker applies to itself before a plugin byte is there.
    pub lockdown: Lockdown,
    /// The whole environment of the worker.
    pub environment: BTreeMap<String, String>,
}

/// Names an image: the plugin's digest, and a fingerprint of its library closure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ImageKey {
    /// SHA3-512 of the sealed plugin file, its two halves (serde knows arrays to 32).
    pub digest: ([u8; 32], [u8; 32]),
    /// Distinguishes closures of one plugin, as libraries of the host change.
    pub closure: u64,
}

/// Host ids of a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ids {
    /// This host uid and gid, which nobody else on the host has.
    Mapped(u32),
    /// The launcher's own, as an ordinary user must.
    Own,
}

/// What holds a worker to its share of memory, tasks and CPU time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Bounds {
    /// Limits of a cgroup of its own.
    Cgroup(Limits),
    /// No cgroup: [`Rlimits::stand_in`], and of CPU time nothing.
    Rlimits,
}

/// What the worker does to itself after exec and before `dlopen`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Lockdown {
    /// Resource limits.
    pub rlimits: Rlimits,
    /// The one seccomp filter.
    pub filter: Program,
}

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
    /// Files and folders that a plan may grant.
    pub files: Vec<Allowed>,
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
        rules::check(&plan.files, plan.tmp.is_some(), &self.files)?;
        match seccomp::never_list_violations(&plan.lockdown.filter).first() {
            Some(name) => Err(CeilingError::Filter((*name).to_owned())),
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

/// What a worker's own program needs besides the plugin's threads and files.
mod overhead {
    /// Init itself.
    pub(super) const TASKS: u32 = 1;
    /// Queued signals: glibc's timers and aio aside, nobody needs many.
    pub(super) const SIGPENDING: u64 = 64;
    /// The main thread's stack, as most systems have it.
    pub(super) const STACK: u64 = 8 << 20;
    /// Mount points of the private root.
    pub(super) const ROOT: super::Tmpfs = super::Tmpfs {
        bytes: 64 << 10,
        inodes: 64,
    };
}

impl Plan {
    /// Resolves a policy for one worker.
    #[must_use]
    pub fn resolve(
        policy: &Policy,
        name: String,
        ids: Ids,
        image: ImageKey,
        filter: Program,
    ) -> Plan {
        let mut files = policy.files.clone();
        rules::sort(&mut files);
        let mut root = overhead::ROOT;
        root.inodes += rules::mount_points(&files);
        Plan {
            name,
            ids,
            bounds: Bounds::Cgroup(Limits {
                memory_max: policy.memory,
                memory_high: None,
                pids_max: policy.threads.saturating_add(overhead::TASKS),
                cpu_max: policy.cpu,
                cpu_weight: None,
            }),
            image,
            root,
            tmp: policy.tmp,
            files,
            executable_files: policy.processes,
            lockdown: Lockdown {
                rlimits: Rlimits {
                    nofile: policy.fds,
                    fsize: policy.file_size,
                    stack: overhead::STACK,
                    sigpending: overhead::SIGPENDING,
                    stand_in: None,
                },
                filter,
            },
            environment: policy.environment.clone(),
        }
    }

    /// The same without a cgroup: resource limits of the process stand in for it.
    #[must_use]
    pub fn without_cgroup(mut self) -> Plan {
        if let Bounds::Cgroup(limits) = self.bounds {
            let threads = limits.pids_max.saturating_sub(overhead::TASKS).into();
            let stand_in = StandIn::new(limits.memory_max, threads, overhead::STACK);
            self.lockdown.rlimits.stand_in = Some(stand_in);
            self.bounds = Bounds::Rlimits;
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seccomp::{Arch, Mode, Profile, init_program};

    fn ceiling() -> Ceiling {
        Ceiling {
            uids: 1000..1010,
            cgroup_place: Place::Below("/".into()),
            cgroup_name: "test".into(),
            cgroup_optional: false,
            memory: 1 << 30,
            tasks: 100,
            workers: 10,
            files: Vec::new(),
        }
    }

    fn plan() -> Plan {
        let policy = Policy {
            memory: 1 << 20,
            threads: 4,
            cpu: crate::cgroup::CpuMax::default(),
            fds: 32,
            file_size: 0,
            tmp: None,
            environment: BTreeMap::new(),
            mode: Mode::Strict,
            files: Vec::new(),
            net: crate::policy::Net::Isolated,
            tcp: crate::policy::TcpPorts::default(),
            capabilities: std::collections::BTreeSet::new(),
            locked_memory: 0,
            nice: 0,
            realtime: 0,
            processes: false,
            jit: false,
        };
        let image = ImageKey {
            digest: ([0; 32], [0; 32]),
            closure: 0,
        };
        let profile = Profile::builtin(Mode::Strict, Arch::NATIVE).unwrap();
        let filter = profile.compile().unwrap();
        Plan::resolve(&policy, "greet.0".into(), Ids::Mapped(1000), image, filter)
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
        let excesses: [(Change, &str); 9] = [
            (|plan| plan.name = "../greet".into(), "plain word"),
            (|plan| plan.name = ".hidden".into(), "plain word"),
            (|plan| plan.ids = Ids::Mapped(0), "uid"),
            (|plan| plan.ids = Ids::Mapped(1010), "uid"),
            (|plan| plan.ids = Ids::Own, "uid"),
            (|plan| limits(plan).memory_max += 1 << 30, "memory"),
            (|plan| limits(plan).pids_max = 101, "tasks"),
            (|plan| *plan = plan.clone().without_cgroup(), "no cgroup"),
            (
                |plan| {
                    let preload = ("LD_PRELOAD".to_owned(), "/plugin/x.so".to_owned());
                    plan.environment.extend([preload]);
                },
                "LD_PRELOAD",
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
    fn filter_is_held_against_the_never_list() {
        let mut plan = plan();
        plan.lockdown.filter = init_program().unwrap();
        assert_eq!(ceiling().check(&plan), Ok(()));
        // BPF_RET | BPF_K, SECCOMP_RET_ALLOW.
        plan.lockdown.filter = vec![(0x06, 0, 0, 0x7fff_0000)].try_into().unwrap();
        let error = ceiling().check(&plan).unwrap_err();
        assert!(matches!(error, CeilingError::Filter(_)), "{error}");
    }
}
