//! All workers of a launcher, from their start until nothing of them is left.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use super::Progress;
use super::instance::{Channels, Instance, Phase, Stock, cgroup, clone_init, limits};
use crate::cgroup::Leaf;
use crate::image::Image;
use crate::launch::{Answer, Cause, Failure, Group, Stage, Step};
use crate::plan::{Bounds, Plan};

/// How long groups of a reaped worker are tried before the supervisor is told that it is
/// gone: no process of it is left in any case.
const BURIAL: Duration = Duration::from_secs(4);

#[derive(Default)]
pub(super) struct Workers {
    instances: BTreeMap<u64, Instance>,
    /// Groups of the dead that couldn't be removed yet.
    remains: Vec<Leaf>,
}

/// An fd to watch, and what it tells of.
pub(super) struct Watched<'a> {
    pub(super) id: u64,
    pub(super) fd: BorrowedFd<'a>,
    /// Its hang-up alone, not what can be read: a wake-up per record would slow the very
    /// steps that are recorded.
    pub(super) end_alone: bool,
}

impl Workers {
    pub(super) fn len(&self) -> usize {
        self.instances.len()
    }

    pub(super) fn get(&self, id: u64) -> Option<&Instance> {
        self.instances.get(&id)
    }

    /// Whether a worker has this id, or a group of this name.
    pub(super) fn taken(&self, id: u64, name: &str) -> bool {
        let mut names = self.instances.values().map(|instance| &instance.name);
        self.instances.contains_key(&id) || names.any(|taken| taken == name)
    }

    /// Makes groups and init, and lets it go on.
    pub(super) fn start(
        &mut self,
        id: u64,
        stock: &Stock,
        image: &Image,
        plan: &Plan,
        channels: &Channels,
    ) -> Result<(), Failure> {
        let mut progress = Progress::default();
        progress.done(Step::Ceiling);
        let leaf = leaf(stock, plan)?;
        progress.done(Step::Cgroup);
        match clone_init(stock, image, plan, channels, leaf.as_ref(), &mut progress) {
            Ok(cloned) => {
                let instance = Instance::new(plan.name.clone(), leaf, cloned, progress);
                self.instances.insert(id, instance);
                Ok(())
            }
            Err(failure) => {
                self.discard(leaf);
                Err(failure)
            }
        }
    }

    /// What tells of the next change, by worker. Nothing tells when a group can be removed:
    /// while [`dying`](Self::dying) it must be tried.
    pub(super) fn watched(&self) -> Vec<Watched<'_>> {
        let mut watched = Vec::new();
        for (&id, instance) in &self.instances {
            let (fd, end_alone) = (instance.init.as_fd(), false);
            match &instance.phase {
                Phase::Reaped { .. } => continue,
                Phase::Running => {}
                Phase::Starting { status } => watched.push(Watched {
                    id,
                    fd: status.as_fd(),
                    end_alone: true,
                }),
            }
            watched.push(Watched { id, fd, end_alone });
        }
        watched
    }

    /// Whether a reaped worker's groups are still there.
    pub(super) fn dying(&self) -> bool {
        let mut phases = self.instances.values().map(|instance| &instance.phase);
        phases.any(|phase| matches!(phase, Phase::Reaped { .. }))
    }

    /// Something happened to a worker: init went on, or ended.
    pub(super) fn advance(&mut self, id: u64) -> Option<(Answer, Vec<OwnedFd>)> {
        let instance = self.instances.get_mut(&id)?;
        let mut launched = None;
        if let Phase::Starting { status } = &instance.phase
            && instance.progress.read(status.as_fd())
        {
            launched = started(id, instance);
        }
        if instance.reap() {
            instance.kill_group();
        }
        launched
    }

    /// Removes the groups of reaped workers and tells the supervisor.
    pub(super) fn bury(&mut self) -> Vec<Answer> {
        let mut buried = Vec::new();
        for (id, instance) in &mut self.instances {
            let Phase::Reaped { since, events } = &instance.phase else {
                continue;
            };
            // Busy, or whatever else: what is to last is not for the errno to say.
            let removed = match &mut instance.leaf {
                Some(leaf) => leaf.remove().is_ok(),
                None => true,
            };
            if removed || since.elapsed() >= BURIAL {
                buried.push((*id, *events));
            } else {
                instance.kill_group();
            }
        }
        let mut answers = Vec::with_capacity(buried.len());
        for (id, events) in buried {
            let Some(instance) = self.instances.remove(&id) else {
                continue;
            };
            self.discard(instance.leaf);
            answers.push(match instance.progress.failure {
                Some(failure) => Answer::LaunchFailed(id, failure),
                None => Answer::Gone { id, events },
            });
        }
        answers
    }

    /// Kills all of them and reaps those that have ended.
    pub(super) fn kill_all(&mut self) {
        for instance in self.instances.values_mut() {
            instance.kill();
            instance.reap();
        }
    }

    /// Tries again what couldn't be removed, at every further death and at the end.
    pub(super) fn clear_remains(&mut self) {
        self.remains.retain_mut(|leaf| leaf.remove().is_err());
    }

    fn discard(&mut self, leaf: Option<Leaf>) {
        self.remains.extend(leaf);
        self.clear_remains();
    }
}

/// The worker's group with its limits; nothing where the plan has none.
fn leaf(stock: &Stock, plan: &Plan) -> Result<Option<Leaf>, Failure> {
    match (&plan.bounds, &stock.parent) {
        (Bounds::Rlimits, _) => Ok(None),
        (Bounds::Cgroup(planned), Some(parent)) => {
            let leaf = parent.leaf(&plan.name, &limits(planned));
            leaf.map(Some).map_err(|error| cgroup(Step::Cgroup, &error))
        }
        (Bounds::Cgroup(_), None) => Err(cgroup(Step::Cgroup, &"this launcher has none to give")),
    }
}

/// The status pipe ended: the worker was executed, or it failed.
fn started(id: u64, instance: &mut Instance) -> Option<(Answer, Vec<OwnedFd>)> {
    let progress = &instance.progress;
    let swept = |stage: &Stage| stage.step == Step::FdSweep;
    if progress.failure.is_some() || !progress.stages.iter().any(swept) {
        let last = progress.stages.last().map(|stage| stage.step);
        instance.give_up(last.unwrap_or(Step::Release), Cause::Vanished);
        return None;
    }
    instance.progress.done(Step::Exec);
    match instance.hand_over() {
        Ok(fds) => {
            instance.phase = Phase::Running;
            let answer = Answer::Launched {
                id,
                group: instance.leaf.as_ref().map(|leaf| Group {
                    applied: leaf.applied().clone(),
                    directories: leaf.describe(),
                }),
                stages: instance.progress.stages.clone(),
            };
            Some((answer, fds))
        }
        Err(error) => {
            let Failure { step, cause } = Failure::errno(Step::HandOver, &error);
            instance.give_up(step, cause);
            None
        }
    }
}
