//! One worker as the launcher sees it: started, running, dying, gone.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, pidfd_send_signal, waitid};

use super::init::{self, Inherited};
use super::{Progress, Status};
use crate::cgroup::{Leaf, Limits, Parent};
use crate::image::{Image, clone_mount};
use crate::launch::{Cause, Failure, Step};
use crate::plan::{Ids, Plan};
use crate::seccomp::Program;
use crate::sys::clone::{Fork, fork_into};
use crate::weaken::{Weakened, off};

/// What every launch draws on, made once.
pub(super) struct Stock {
    pub(super) program: OwnedFd,
    pub(super) base: Image,
    pub(super) devices: Vec<OwnedFd>,
    pub(super) parent: Parent,
    pub(super) init_filter: Program,
}

/// The worker's ends of its channels.
pub(super) struct Channels {
    pub(super) ipc: OwnedFd,
    pub(super) stdout: OwnedFd,
    pub(super) stderr: OwnedFd,
}

pub(super) struct Instance {
    pub(super) name: String,
    pub(super) leaf: Leaf,
    pub(super) init: OwnedFd,
    pub(super) phase: Phase,
    pub(super) progress: Progress,
    /// Init's report, until it is handed to the supervisor.
    pub(super) report: Option<OwnedFd>,
}

pub(super) enum Phase {
    /// Init builds; the pipe tells how far it is. The other is init's release pipe,
    /// whose hang-up tells it that the launcher died.
    Starting { status: OwnedFd, _release: OwnedFd },
    /// The supervisor was told of it.
    Running { _release: Option<OwnedFd> },
    /// Init is reaped; what is left is to remove the groups.
    Reaped,
}

impl Instance {
    /// Makes the cgroup leaf and init in its namespaces, and releases it.
    pub(super) fn start(
        stock: &Stock,
        image: &Image,
        plan: &Plan,
        channels: Channels,
    ) -> Result<Instance, Failure> {
        let mut progress = Progress::default();
        progress.done(Step::Ceiling);
        let mut leaf = stock
            .parent
            .leaf(&plan.name, &limits(plan))
            .map_err(|error| cgroup(Step::Cgroup, &error))?;
        progress.done(Step::Cgroup);
        match Self::start_in(&leaf, stock, image, plan, &channels, &mut progress) {
            Ok((init, report, phase)) => {
                let name = plan.name.clone();
                Ok(Instance {
                    name,
                    leaf,
                    init,
                    phase,
                    progress,
                    report: Some(report),
                })
            }
            Err(failure) => {
                // Empty: nothing was put in it, or what was is dead and reaped.
                leaf.remove()
                    .map_err(|error| cgroup(Step::Cgroup, &error))?;
                Err(failure)
            }
        }
    }

    fn start_in(
        leaf: &Leaf,
        stock: &Stock,
        image: &Image,
        plan: &Plan,
        channels: &Channels,
        progress: &mut Progress,
    ) -> Result<(OwnedFd, OwnedFd, Phase), Failure> {
        let at = |step| move |error: io::Error| Failure::errno(step, &error);
        let base = stock.base.detached_mount().map_err(at(Step::CloneMounts))?;
        let image = image.detached_mount().map_err(at(Step::CloneMounts))?;
        let devices: io::Result<_> = stock
            .devices
            .iter()
            .map(|device| clone_mount(device.as_fd()))
            .collect();
        let devices = devices.map_err(at(Step::CloneMounts))?;
        let lockdown = sealed(&plan.lockdown).map_err(at(Step::CloneMounts))?;
        progress.done(Step::CloneMounts);

        let pipe = || pipe_with(PipeFlags::CLOEXEC).map_err(io::Error::from);
        let (release_read, release) = pipe().map_err(at(Step::Clone))?;
        let (status, status_write) = pipe().map_err(at(Step::Clone))?;
        let (report, report_write) = pipe().map_err(at(Step::Clone))?;
        let inherited = Inherited {
            plan,
            release: release_read,
            status: Status::new(status_write),
            report: report_write,
            base,
            image,
            devices,
            ipc: channels.ipc.as_fd(),
            stdout: channels.stdout.as_fd(),
            stderr: channels.stderr.as_fd(),
            lockdown: lockdown.as_fd(),
            program: stock.program.as_fd(),
            filter: &stock.init_filter,
        };
        let fork = fork_into(namespaces(), leaf.clone_into()).map_err(at(Step::Clone))?;
        let (pid, init) = match fork {
            Fork::Child => {
                drop(release);
                init::run(inherited)
            }
            Fork::Parent { pid, pidfd } => (pid, pidfd),
        };
        drop(inherited);
        progress.done(Step::Clone);
        if let Err(failure) = admit(leaf, plan, pid, &release, progress) {
            kill_and_reap(&init);
            return Err(failure);
        }
        rustix::io::ioctl_fionbio(&status, true)
            .map_err(|error| Failure::errno(Step::Release, &error.into()))?;
        Ok((
            init,
            report,
            Phase::Starting {
                status,
                _release: release,
            },
        ))
    }

    /// The pipe to watch while init builds.
    pub(super) fn status_pipe(&self) -> Option<BorrowedFd<'_>> {
        match &self.phase {
            Phase::Starting { status, .. } => Some(status.as_fd()),
            _ => None,
        }
    }

    /// Kills every process of it. Init's death alone ends its whole pid namespace; the
    /// group is killed too, against a worker outside the namespace (none is known).
    pub(super) fn kill(&self) {
        if !matches!(self.phase, Phase::Reaped) {
            // Either one suffices, and both fail only for what is dead already.
            let _ = pidfd_send_signal(&self.init, Signal::KILL);
            let _ = self.leaf.kill();
        }
    }

    /// Reaps init if it has ended.
    pub(super) fn reap(&mut self) -> bool {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
        match waitid(WaitId::PidFd(self.init.as_fd()), options) {
            Ok(None) | Err(rustix::io::Errno::INTR) => false,
            Ok(Some(_)) | Err(_) => {
                self.phase = Phase::Reaped;
                true
            }
        }
    }
}

impl Progress {
    pub(super) fn done(&mut self, step: Step) {
        self.stages.push(crate::launch::Stage {
            step,
            at: super::now(),
        });
    }
}

/// Joins groups, checks membership, maps ids, and lets init go on.
fn admit(
    leaf: &Leaf,
    plan: &Plan,
    pid: u32,
    release: &OwnedFd,
    progress: &mut Progress,
) -> Result<(), Failure> {
    let task = Pid::from_raw(pid as i32)
        .ok_or_else(|| Failure::errno(Step::Clone, &io::ErrorKind::InvalidData.into()))?;
    leaf.attach(task)
        .map_err(|error| cgroup(Step::CgroupAttach, &error))?;
    // CLONE_INTO_CGROUP is a flag that old libraries wrote as 0: trust what is read.
    leaf.verify_member(task)
        .map_err(|error| cgroup(Step::CgroupAttach, &error))?;
    progress.done(Step::CgroupAttach);
    if !off(Weakened::Ids) {
        map_ids(pid, plan.ids).map_err(|error| Failure::errno(Step::IdMaps, &error))?;
    }
    progress.done(Step::IdMaps);
    match rustix::io::write(release, &[1]) {
        Ok(_) => Ok(()),
        Err(error) => Err(Failure::errno(Step::Release, &error.into())),
    }
}

/// The child is ours and not reaped, so its pid can't be another's.
fn map_ids(pid: u32, ids: Ids) -> io::Result<()> {
    let write = |file: &str, content: String| {
        let path = format!("/proc/{pid}/{file}");
        File::options()
            .write(true)
            .open(path)?
            .write_all(content.as_bytes())
    };
    let (uid, gid) = match ids {
        Ids::Mapped(id) => (id, id),
        Ids::Own => {
            write("setgroups", "deny".into())?;
            (
                rustix::process::geteuid().as_raw(),
                rustix::process::getegid().as_raw(),
            )
        }
    };
    write("uid_map", format!("0 {uid} 1"))?;
    write("gid_map", format!("0 {gid} 1"))
}

fn namespaces() -> u64 {
    let mut flags = libc::CLONE_NEWNS | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS;
    let kinds = [
        (Weakened::Ids, libc::CLONE_NEWUSER),
        (Weakened::Pid, libc::CLONE_NEWPID),
        (Weakened::Net, libc::CLONE_NEWNET),
    ];
    for (control, flag) in kinds {
        if !off(control) {
            flags |= flag;
        }
    }
    flags as u64
}

fn sealed(lockdown: &crate::plan::Lockdown) -> io::Result<OwnedFd> {
    let bytes =
        crate::codec::encode(lockdown).map_err(|_| io::Error::from_raw_os_error(libc::EMSGSIZE))?;
    let fd = memfd_create(c"lockdown", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    let mut file = File::from(fd);
    file.write_all(&bytes)?;
    let fd = OwnedFd::from(file);
    let seals = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
    fcntl_add_seals(&fd, seals)?;
    Ok(fd)
}

fn kill_and_reap(init: &OwnedFd) {
    // It holds nothing but what it inherited; the caller reports the first failure.
    let _ = pidfd_send_signal(init, Signal::KILL);
    let _ = waitid(WaitId::PidFd(init.as_fd()), WaitIdOptions::EXITED);
}

fn cgroup(step: Step, error: &dyn std::fmt::Display) -> Failure {
    Failure {
        step,
        cause: Cause::Cgroup(error.to_string()),
    }
}

fn limits(plan: &Plan) -> Limits {
    let mut limits = plan.cgroup.clone();
    if off(Weakened::Memory) {
        limits.memory_max = 1 << 40;
    }
    if off(Weakened::Pids) {
        limits.pids_max = 1 << 20;
    }
    limits
}
