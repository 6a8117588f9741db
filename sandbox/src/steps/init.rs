//! Pid 1 of a worker's pid namespace: builds the root, forks the worker, drops all
//! that it has, waits, and reports how the worker ended.
//!
//! Runs in a fork of the launcher and never returns into it. Nothing
//! plugin-supplied is ever read or mapped here.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::sched::{CloneFlags, unshare};
use rustix::fs::{Mode, OFlags, open, openat};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{
    DumpableBehavior, Pid, Signal, set_dumpable_behavior, set_parent_process_death_signal, setsid,
};

use super::guard::{guard, lock_down};
use super::{Status, fds};
use crate::capabilities;
use crate::files::{self, Opened};
use crate::launch::Step;
use crate::mounts::Root;
use crate::plan::{Ids, Plan};
use crate::seccomp::Program;
use crate::sys::clone::{Fork, exit_now, fork_again};
use crate::sys::process::{close_from, place_fd};
use crate::sys::ptrace;
use crate::weaken::{Weakened, off};

/// What init was given, all inherited through the fork.
pub(crate) struct Inherited<'a> {
    pub(crate) plan: &'a Plan,
    /// Reads one byte once the id maps are written; hangs up when the launcher dies.
    pub(crate) release: OwnedFd,
    pub(crate) status: Status,
    /// Takes the records of [`Report`](crate::trace::Report).
    pub(crate) report: OwnedFd,
    pub(crate) base: OwnedFd,
    pub(crate) image: OwnedFd,
    pub(crate) devices: Vec<OwnedFd>,
    /// Detached mounts of the plan's files, in their order.
    pub(crate) files: Vec<Opened>,
    pub(crate) ipc: BorrowedFd<'a>,
    pub(crate) stdout: BorrowedFd<'a>,
    pub(crate) stderr: BorrowedFd<'a>,
    pub(crate) lockdown: BorrowedFd<'a>,
    pub(crate) program: BorrowedFd<'a>,
    /// Init's own filter, compiled once for all.
    pub(crate) filter: &'a Program,
}

/// The host's `/proc`, kept past the pivot for what only its files can do.
pub(crate) struct OldProc {
    folder: OwnedFd,
    /// Opened for writing in init's user namespace, whose limit it sets; without a
    /// namespace of init's own it would be the host's.
    namespace_limit: Option<OwnedFd>,
}

/// Runs init to its end.
pub(crate) fn run(inherited: Inherited<'_>) -> ! {
    let status = &inherited.status;
    become_pid_1(&inherited);
    let proc = status.step(Step::Propagation, || {
        crate::sys::mount::make_private_recursive()?;
        OldProc::open()
    });
    build_root(&inherited);
    status.step(Step::Hostname, || {
        Ok(rustix::system::sethostname(b"cordon")?)
    });
    if inherited.plan.loopback && !off(Weakened::Net) {
        status.step(Step::Loopback, crate::sys::network::raise_loopback);
    }
    let nested = inherited.plan.capabilities.is_empty();
    status.step(Step::NamespaceLimit, || proc.leave_namespaces(nested));
    match status.step(Step::Fork, fork_worker) {
        Forked::Worker => become_worker(&inherited, &proc),
        Forked::Init { worker } => {
            if lock_down(&inherited).is_err() {
                exit_now(1);
            }
            guard(worker)
        }
    }
}

enum Forked {
    Init { worker: Pid },
    Worker,
}

/// Forks the worker and traces it before it goes on: what it gives up, and the namespace that
/// it enters, then don't matter. Where the host lets nobody trace it goes on untraced, and the
/// attestation says so.
fn fork_worker() -> io::Result<Forked> {
    let (wait, go) = pipe_with(PipeFlags::CLOEXEC)?;
    // Taking the ids has made us undumpable, and the child is as we are: no right over the
    // memory of the launcher's user namespace comes with those over our own.
    set_dumpable_behavior(DumpableBehavior::Dumpable)?;
    match fork_again()? {
        Fork::Child => {
            drop(go);
            // The end of it is the sign, also where init has died.
            rustix::io::read(&wait, &mut [0; 1])?;
            set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
            Ok(Forked::Worker)
        }
        Fork::Parent { pid, .. } => {
            set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
            let worker = Pid::from_raw(pid as i32).ok_or(io::ErrorKind::InvalidData)?;
            trace(worker)?;
            drop(go);
            Ok(Forked::Init { worker })
        }
    }
}

/// Without a tracer it goes on only where the host forbids tracing: Yama, a security module, a filter.
fn trace(worker: Pid) -> io::Result<()> {
    match ptrace::seize(worker) {
        Err(error)
            if let Some(libc::EPERM | libc::EACCES | libc::ENOSYS) = error.raw_os_error() =>
        {
            Ok(())
        }
        other => other,
    }
}

fn become_pid_1(inherited: &Inherited<'_>) {
    let status = &inherited.status;
    status.step(Step::Release, || {
        let mut byte = [0];
        match rustix::io::read(&inherited.release, &mut byte)? {
            1 => Ok(()),
            _ => Err(io::Error::from_raw_os_error(libc::EPIPE)),
        }
    });
    status.step(Step::Session, || {
        crate::sys::process::default_signals();
        rustix::thread::set_name(c"cordon-init")?;
        Ok(setsid().map(drop)?)
    });
    // Before any mount: a file system made under unmapped ids is EOVERFLOW to its owner.
    status.step(Step::Ids, || set_ids(inherited.plan.ids));
    status.step(Step::ParentWatch, || {
        // Setting ids clears it, hence the order.
        set_parent_process_death_signal(Some(Signal::KILL))?;
        let mut poll = [rustix::event::PollFd::new(
            &inherited.release,
            rustix::event::PollFlags::IN,
        )];
        rustix::event::poll(&mut poll, Some(&rustix::time::Timespec::default()))?;
        // The launcher died before the signal was armed.
        if poll[0].revents().contains(rustix::event::PollFlags::HUP) {
            return Err(io::Error::from_raw_os_error(libc::ESRCH));
        }
        Ok(())
    });
    // Now, not at clone: only here is every group joined, so that the worker's own
    // group is the root of what it could ever see.
    status.step(Step::CgroupNamespace, || {
        Ok(unshare(CloneFlags::CLONE_NEWCGROUP)?)
    });
}

pub(crate) fn set_ids(ids: Ids) -> io::Result<()> {
    if off(Weakened::Ids) {
        return Ok(());
    }
    if let Ids::Mapped(_) = ids {
        rustix::thread::set_thread_groups(&[])?;
    }
    let (uid, gid) = (rustix::process::Uid::ROOT, rustix::process::Gid::ROOT);
    rustix::thread::set_thread_res_gid(gid, gid, gid)?;
    Ok(rustix::thread::set_thread_res_uid(uid, uid, uid)?)
}

fn build_root(inherited: &Inherited<'_>) {
    let (status, plan) = (&inherited.status, inherited.plan);
    let root = status.step(Step::RootMount, || Root::new(plan.root));
    status.step(Step::AttachImages, || {
        root.attach_images(inherited.base.as_fd(), inherited.image.as_fd())
    });
    status.step(Step::Devices, || root.attach_devices(&inherited.devices));
    if let Some(caps) = plan.tmp {
        status.step(Step::Tmp, || root.attach_tmp(caps));
    }
    status.step(Step::AttachFiles, || {
        files::attach(root.fd(), &plan.files, &inherited.files)
    });
    #[cfg(feature = "weaken")]
    if off(Weakened::Root) {
        status.step(Step::RootMount, || host_files(&root));
    }
    status.step(Step::Pivot, || root.enter());
}

/// Lays the host's folders into the private root.
#[cfg(feature = "weaken")]
fn host_files(root: &Root) -> io::Result<()> {
    for folder in [c"etc", c"bin", c"sbin", c"root", c"var", c"proc"] {
        let path = format!("/{}", folder.to_string_lossy());
        let flags = rustix::mount::OpenTreeFlags::OPEN_TREE_CLONE
            | rustix::mount::OpenTreeFlags::AT_RECURSIVE;
        let Ok(mount) = rustix::mount::open_tree(rustix::fs::CWD, path, flags) else {
            continue;
        };
        rustix::fs::mkdirat(root.fd(), folder, Mode::from_raw_mode(0o755))?;
        crate::mounts::attach(mount.as_fd(), root.fd(), folder)?;
    }
    Ok(())
}

impl OldProc {
    pub(crate) fn open() -> io::Result<OldProc> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = open(c"/proc", flags, Mode::empty())?;
        if off(Weakened::Ids) {
            return Ok(OldProc {
                folder,
                namespace_limit: None,
            });
        }
        let write = OFlags::WRONLY | OFlags::CLOEXEC;
        let limit = openat(
            &folder,
            c"sys/user/max_user_namespaces",
            write,
            Mode::empty(),
        )?;
        Ok(OldProc {
            folder,
            namespace_limit: Some(limit),
        })
    }

    /// The worker's nested namespace, if it gets one, takes the one slot; it can make none
    /// itself, since the limit counts for everything below.
    pub(crate) fn leave_namespaces(&self, nested: bool) -> io::Result<()> {
        match &self.namespace_limit {
            Some(limit) => write_all(limit.as_fd(), if nested { b"1" } else { b"0" }),
            None => Ok(()),
        }
    }

    fn write(&self, file: &CStr, content: &[u8]) -> io::Result<()> {
        let file = openat(
            &self.folder,
            file,
            OFlags::WRONLY | OFlags::CLOEXEC,
            Mode::empty(),
        )?;
        write_all(file.as_fd(), content)
    }
}

fn write_all(fd: BorrowedFd<'_>, content: &[u8]) -> io::Result<()> {
    // Files of /proc take a value in one write or not at all.
    match rustix::io::write(fd, content)? {
        length if length == content.len() => Ok(()),
        _ => Err(io::ErrorKind::WriteZero.into()),
    }
}

fn become_worker(inherited: &Inherited<'_>, proc: &OldProc) -> ! {
    let status = &inherited.status;
    let kept = &inherited.plan.capabilities;
    if kept.is_empty() {
        status.step(Step::NestedUser, || nest(proc));
    }
    // Only here: entering a user namespace refills every set.
    status.step(Step::SealCapabilities, || {
        if off(Weakened::Capabilities) {
            Ok(())
        } else {
            capabilities::seal(kept)
        }
    });
    status.step(Step::DropCapabilities, || {
        if off(Weakened::Capabilities) {
            Ok(())
        } else {
            capabilities::drop_all_but(kept)
        }
    });
    status.step(Step::ProveConfined, prove_confined);
    let arguments = [c"cordon-worker", c"worker"];
    let environment = environment(inherited.plan);
    let status = match hand_over(inherited) {
        Ok(status) => status,
        Err(error) => status.step(Step::FdSweep, || Err(error)),
    };
    status.write(Step::FdSweep, 0);
    let program = fd(fds::PROGRAM);
    let error = nix::unistd::execveat(
        program,
        c"",
        &arguments,
        &environment,
        nix::fcntl::AtFlags::AT_EMPTY_PATH,
    );
    status.write(
        Step::Exec,
        error.err().unwrap_or(nix::errno::Errno::EIO) as i32,
    );
    exit_now(1)
}

/// The nested user namespace: the worker holds no capability over the namespaces that
/// own its mounts and its network.
pub(crate) fn nest(proc: &OldProc) -> io::Result<()> {
    if off(Weakened::Ids) {
        return Ok(());
    }
    unshare(CloneFlags::CLONE_NEWUSER)?;
    // The maps of an undumpable process belong to root of the host.
    set_dumpable_behavior(DumpableBehavior::Dumpable)?;
    proc.write(c"self/setgroups", b"deny")?;
    proc.write(c"self/uid_map", b"0 0 1")?;
    proc.write(c"self/gid_map", b"0 0 1")?;
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

/// With every slot taken, a further user namespace must be refused for lack of
/// slots; any other answer means that the limit isn't what we think it is.
pub(crate) fn prove_confined() -> io::Result<()> {
    if off(Weakened::Ids) || off(Weakened::Capabilities) {
        return Ok(());
    }
    match unshare(CloneFlags::CLONE_NEWUSER) {
        Err(nix::errno::Errno::ENOSPC) => Ok(()),
        Err(error) => Err(error.into()),
        Ok(()) => Err(io::Error::from_raw_os_error(libc::EEXIST)),
    }
}

fn environment(plan: &Plan) -> Vec<CString> {
    #[allow(unused_mut)]
    let mut list: Vec<CString> = plan
        .environment
        .iter()
        .filter_map(|(name, value)| CString::new(format!("{name}={value}")).ok())
        .collect();
    #[cfg(feature = "weaken")]
    if let Ok(value) = std::env::var(crate::weaken::VARIABLE) {
        list.extend(CString::new(format!("{}={value}", crate::weaken::VARIABLE)).ok());
    }
    list
}

/// Puts what the worker may have at its fixed numbers and closes all else, the status
/// pipe's old number included: it goes on under its new one.
fn hand_over(inherited: &Inherited<'_>) -> io::Result<Status> {
    let null = open(
        c"/dev/null",
        OFlags::RDONLY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    let sources = [
        (null.as_fd(), fds::STDIN),
        (inherited.stdout, fds::STDOUT),
        (inherited.stderr, fds::STDERR),
        (inherited.ipc, fds::IPC),
        (inherited.lockdown, fds::LOCKDOWN),
        (inherited.status.as_fd(), fds::STATUS),
        (inherited.program, fds::PROGRAM),
    ];
    // First out of the way, so that no source is overwritten before it is placed.
    let mut lifted = Vec::with_capacity(sources.len());
    for (source, number) in sources {
        lifted.push((rustix::io::fcntl_dupfd_cloexec(source, 64)?, number));
    }
    for (source, number) in &lifted {
        place_fd(source.as_raw_fd(), *number)?;
    }
    for number in [fds::STATUS, fds::PROGRAM] {
        rustix::io::fcntl_setfd(fd(number), rustix::io::FdFlags::CLOEXEC)?;
    }
    // The numbers above are all closed here; their owners never run again.
    std::mem::forget(lifted);
    std::mem::forget(null);
    close_from(fds::PROGRAM as u32 + 1)?;
    Ok(Status::new(crate::sys::process::inherited_fd(fds::STATUS)?))
}

pub(super) fn fd(number: i32) -> BorrowedFd<'static> {
    crate::sys::process::borrow_placed(number)
}
