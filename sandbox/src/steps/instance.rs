//! One worker as the launcher sees it: started, running, dying, gone.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, pidfd_send_signal, waitid};

use super::init::{self, Inherited};
use super::{Progress, Status};
use crate::cgroup::{Events, Leaf, Limits, Parent};
use crate::files;
use crate::image::{Image, clone_mount};
use crate::launch::{Cause, Failure, Step};
use crate::plan::{Ids, Plan};
use crate::policy::Net;
use crate::rlimits::NoRoom;
use crate::seccomp::Program;
use crate::sys::clone::{Fork, fork_into};
use crate::sys::pidfd::kill_and_reap;
use crate::weaken::{Weakened, off};

/// What every launch draws on, made once.
pub(super) struct Stock {
    pub(super) program: OwnedFd,
    pub(super) base: Image,
    pub(super) devices: Vec<OwnedFd>,
    /// Nothing where workers do without a group.
    pub(super) parent: Option<Parent>,
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
    pub(super) leaf: Option<Leaf>,
    pub(super) phase: Phase,
    pub(super) progress: Progress,
    pub(super) init: OwnedFd,
    /// Init's report, until it is handed to the supervisor.
    report: Option<OwnedFd>,
    /// Its hang-up tells init that the launcher died.
    _release: OwnedFd,
}

pub(super) enum Phase {
    /// Init builds; the pipe tells how far it is.
    Starting { status: OwnedFd },
    /// The worker was executed, or is being killed.
    Running,
    /// Init is reaped; what is left is to remove the groups.
    Reaped {
        since: Instant,
        /// What the kernel counted over the worker's life.
        events: Option<Events>,
    },
}

/// Init, cloned and let go on, with the launcher's ends of its pipes.
pub(super) struct Cloned {
    init: OwnedFd,
    status: OwnedFd,
    report: OwnedFd,
    release: OwnedFd,
}

/// Makes init in its namespaces and in the groups of `leaf`, if any, and releases it. If that
/// fails no process of it is left.
pub(super) fn clone_init(
    stock: &Stock,
    image: &Image,
    plan: &Plan,
    channels: &Channels,
    leaf: Option<&Leaf>,
    progress: &mut Progress,
) -> Result<Cloned, Failure> {
    let at = |step| move |error: io::Error| Failure::errno(step, &error);
    let mounts = Mounts::clone(stock, image).map_err(at(Step::CloneMounts))?;
    let files = files::open(&plan.files, plan.executable_files, plan.ids);
    let files = files.map_err(|error| Failure {
        step: Step::OpenFiles,
        cause: Cause::File(error),
    })?;
    progress.done(Step::OpenFiles);
    let lockdown = sealed(&plan.lockdown).map_err(at(Step::CloneMounts))?;
    progress.done(Step::CloneMounts);

    let pipe = || pipe_with(PipeFlags::CLOEXEC).map_err(io::Error::from);
    let (release_read, release) = pipe().map_err(at(Step::Clone))?;
    let (status, status_write) = pipe().map_err(at(Step::Clone))?;
    let (report, report_write) = pipe().map_err(at(Step::Clone))?;
    rustix::io::ioctl_fionbio(&status, true).map_err(|e| Failure::errno(Step::Clone, &e.into()))?;
    let inherited = Inherited {
        plan,
        release: release_read,
        status: Status::new(status_write),
        report: report_write,
        base: mounts.base,
        image: mounts.image,
        devices: mounts.devices,
        files,
        ipc: channels.ipc.as_fd(),
        stdout: channels.stdout.as_fd(),
        stderr: channels.stderr.as_fd(),
        lockdown: lockdown.as_fd(),
        program: stock.program.as_fd(),
        filter: &stock.init_filter,
    };
    let group = leaf.and_then(Leaf::clone_into);
    let fork = fork_into(namespaces(plan.net), group).map_err(at(Step::Clone))?;
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
        kill_and_reap(init.as_fd());
        return Err(failure);
    }
    Ok(Cloned {
        init,
        status,
        report,
        release,
    })
}

/// Detached mounts for one root.
struct Mounts {
    base: OwnedFd,
    image: OwnedFd,
    devices: Vec<OwnedFd>,
}

impl Mounts {
    fn clone(stock: &Stock, image: &Image) -> io::Result<Mounts> {
        let devices = stock.devices.iter();
        Ok(Mounts {
            base: stock.base.detached_mount()?,
            image: image.detached_mount()?,
            devices: devices
                .map(|device| clone_mount(device.as_fd()))
                .collect::<io::Result<_>>()?,
        })
    }
}

impl Instance {
    pub(super) fn new(
        name: String,
        leaf: Option<Leaf>,
        cloned: Cloned,
        progress: Progress,
    ) -> Instance {
        Instance {
            name,
            leaf,
            phase: Phase::Starting {
                status: cloned.status,
            },
            progress,
            init: cloned.init,
            report: Some(cloned.report),
            _release: cloned.release,
        }
    }

    /// What the supervisor gets of a worker that was executed, by their places: init's
    /// pidfd, the pipe of init's report, then the cgroup's directories.
    pub(super) fn hand_over(&mut self) -> io::Result<Vec<OwnedFd>> {
        let mut fds = vec![self.init.try_clone()?];
        fds.push(self.report.take().ok_or(io::ErrorKind::NotFound)?);
        for directory in self.leaf.iter().flat_map(Leaf::directories) {
            fds.push(directory.try_clone_to_owned()?);
        }
        Ok(fds)
    }

    /// Kills a worker that no supervisor was told of; once it is buried the answer is why.
    pub(super) fn give_up(&mut self, step: Step, cause: Cause) {
        self.kill();
        self.phase = Phase::Running;
        self.progress.failure.get_or_insert(Failure { step, cause });
    }

    /// Kills every process of it. Init's death alone ends its whole pid namespace; the
    /// group is killed too, against a worker outside the namespace (none is known).
    pub(super) fn kill(&self) {
        if !matches!(self.phase, Phase::Reaped { .. }) {
            // Either one suffices, and both fail only for what is dead already.
            let _ = pidfd_send_signal(&self.init, Signal::KILL);
            self.kill_group();
        }
    }

    /// Kills whatever is in its group, if it has one.
    pub(super) fn kill_group(&self) {
        if let Some(leaf) = &self.leaf {
            // Init's death suffices; this is for what nobody knows a way to.
            let _ = leaf.kill();
        }
    }

    /// Reaps init if it has ended; `true` if it did so now.
    pub(super) fn reap(&mut self) -> bool {
        if let Phase::Reaped { .. } = self.phase {
            return false;
        }
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
        match waitid(WaitId::PidFd(self.init.as_fd()), options) {
            Ok(None) | Err(rustix::io::Errno::INTR) => false,
            Ok(Some(_)) | Err(_) => {
                self.phase = Phase::Reaped {
                    since: Instant::now(),
                    events: self.leaf.as_ref().and_then(|leaf| leaf.events().ok()),
                };
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

/// Joins groups, checks membership, maps ids, raises limits, and lets init go on.
fn admit(
    leaf: Option<&Leaf>,
    plan: &Plan,
    pid: u32,
    release: &OwnedFd,
    progress: &mut Progress,
) -> Result<(), Failure> {
    let task = Pid::from_raw(pid as i32)
        .ok_or_else(|| Failure::errno(Step::Clone, &io::ErrorKind::InvalidData.into()))?;
    if let Some(leaf) = leaf {
        leaf.attach(task)
            .map_err(|error| cgroup(Step::CgroupAttach, &error))?;
        // CLONE_INTO_CGROUP is a flag that old libraries wrote as 0: trust what is read.
        leaf.verify_member(task)
            .map_err(|error| cgroup(Step::CgroupAttach, &error))?;
    }
    progress.done(Step::CgroupAttach);
    if !off(Weakened::Ids) {
        map_ids(pid, plan.ids).map_err(|error| Failure::errno(Step::IdMaps, &error))?;
    }
    progress.done(Step::IdMaps);
    if !off(Weakened::Rlimits) {
        let room = plan.lockdown.rlimits.make_room(task);
        room.map_err(|error| short(&error))?;
    }
    progress.done(Step::RaiseLimits);
    match rustix::io::write(release, &[1]) {
        Ok(_) => Ok(()),
        Err(error) => Err(Failure::errno(Step::Release, &error.into())),
    }
}

fn short(error: &NoRoom) -> Failure {
    match error {
        NoRoom::Short { name, granted, own } => Failure {
            step: Step::RaiseLimits,
            cause: Cause::Limit {
                name: (*name).to_owned(),
                granted: *granted,
                own: *own,
            },
        },
        NoRoom::Errno(error) => Failure::errno(Step::RaiseLimits, error),
    }
}

/// The child is ours and not reaped, so its pid can't be another's.
pub(crate) fn map_ids(pid: u32, ids: Ids) -> io::Result<()> {
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

pub(crate) fn namespaces(net: Net) -> u64 {
    let mut flags = libc::CLONE_NEWNS | libc::CLONE_NEWIPC | libc::CLONE_NEWUTS;
    let net = match net {
        Net::Isolated => libc::CLONE_NEWNET,
        Net::Host => 0,
    };
    let kinds = [
        (Weakened::Ids, libc::CLONE_NEWUSER),
        (Weakened::Pid, libc::CLONE_NEWPID),
        (Weakened::Net, net),
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

pub(super) fn cgroup(step: Step, error: &dyn std::fmt::Display) -> Failure {
    Failure {
        step,
        cause: Cause::Cgroup(error.to_string()),
    }
}

/// The limits as planned, but for those that a test build leaves out.
pub(super) fn limits(planned: &Limits) -> Limits {
    let mut limits = planned.clone();
    if off(Weakened::Memory) {
        limits.memory_max = 1 << 40;
    }
    if off(Weakened::Pids) {
        limits.pids_max = 1 << 20;
    }
    limits
}
