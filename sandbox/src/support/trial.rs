//! A throw-away process that does what a launch does, and says how far it came.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Signal, WaitId, WaitIdOptions, pidfd_send_signal, waitid};
use rustix::thread::set_no_new_privs;

use crate::image::{Image, clone_mount};
use crate::mounts::Root;
use crate::plan::Ids;
use crate::policy::{Net, Tmpfs};
use crate::steps::{init, instance};
use crate::sys::clone::{Fork, exit_now, fork_into};
use crate::sys::seccomp::install_with_listener;

/// How long the process may take; a launch takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is tried, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Act {
    /// clone3 into namespaces of all kinds.
    Clone,
    /// Writing the id maps, and taking the ids.
    Ids,
    /// A root from detached mounts.
    Mounts,
    /// Writing `user.max_user_namespaces` from within.
    NamespaceLimit,
    /// The nested user namespace, and the proof that there is no further one.
    Nesting,
    /// Cloning a detached mount.
    DetachedClone,
    /// A filter with its listener.
    Listener,
    /// Reading from the pidfd how it ended.
    ExitStatus,
}

impl Act {
    const ALL: [Act; 8] = [
        Act::Clone,
        Act::Ids,
        Act::Mounts,
        Act::NamespaceLimit,
        Act::Nesting,
        Act::DetachedClone,
        Act::Listener,
        Act::ExitStatus,
    ];
}

/// What came of it: an errno for each act that was tried, 0 for success.
#[derive(Debug, Clone, Default)]
pub(super) struct Tried(BTreeMap<Act, i32>);

impl Tried {
    #[cfg(test)]
    pub(super) fn of(acts: impl IntoIterator<Item = (Act, i32)>) -> Tried {
        Tried(acts.into_iter().collect())
    }

    /// `None` where it wasn't tried.
    pub(super) fn act(&self, act: Act) -> Option<io::Result<()>> {
        self.0.get(&act).map(|errno| match errno {
            0 => Ok(()),
            errno => Err(io::Error::from_raw_os_error(*errno)),
        })
    }

    fn add(&mut self, act: Act, result: &io::Result<()>) {
        self.0.insert(act, errno(result));
    }
}

fn errno(result: &io::Result<()>) -> i32 {
    match result {
        Ok(()) => 0,
        Err(error) => error.raw_os_error().unwrap_or(libc::EIO),
    }
}

/// Tries all that can be tried.
pub(super) fn run(ids: Ids) -> Tried {
    let mut tried = Tried::default();
    match start(ids) {
        Ok(child) => {
            tried.add(Act::Clone, &Ok(()));
            child.watch(ids, &mut tried);
        }
        Err(error) => tried.add(Act::Clone, &Err(error)),
    }
    tried
}

/// The process, which waits for its ids.
struct Child {
    pid: u32,
    pidfd: OwnedFd,
    release: OwnedFd,
    results: OwnedFd,
}

fn start(ids: Ids) -> io::Result<Child> {
    let (release_read, release) = pipe_with(PipeFlags::CLOEXEC)?;
    let (results, results_write) = pipe_with(PipeFlags::CLOEXEC)?;
    match fork_into(instance::namespaces(Net::Isolated), None)? {
        Fork::Parent { pid, pidfd } => Ok(Child {
            pid,
            pidfd,
            release,
            results,
        }),
        Fork::Child => {
            drop((release, results));
            act_all(ids, &release_read, &results_write);
            exit_now(0)
        }
    }
}

impl Child {
    fn watch(self, ids: Ids, tried: &mut Tried) {
        let mapped = instance::map_ids(self.pid, ids);
        tried.add(Act::Ids, &mapped);
        if mapped.is_ok() {
            // If it is gone already the results say so.
            let _ = rustix::io::write(&self.release, &[1]);
            self.read(tried);
        }
        // It has ended, or hangs.
        let _ = pidfd_send_signal(&self.pidfd, Signal::KILL);
        let _ = waitid(WaitId::PidFd(self.pidfd.as_fd()), WaitIdOptions::EXITED);
        let told = crate::sys::pidfd::exit_status(&self.pidfd);
        let told = told.and_then(|status| match status {
            Some(_) => Ok(()),
            None => Err(io::ErrorKind::Unsupported.into()),
        });
        tried.add(Act::ExitStatus, &told);
    }

    fn read(&self, tried: &mut Tried) {
        let end = Instant::now() + PATIENCE;
        let mut record = [0; RECORD];
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let left = Timespec {
                tv_sec: left.as_secs() as i64,
                tv_nsec: i64::from(left.subsec_nanos()),
            };
            let mut ready = [PollFd::new(&self.results, PollFlags::IN)];
            if !matches!(poll(&mut ready, Some(&left)), Ok(1)) {
                return;
            }
            // A write of so few bytes to a pipe is never split (pipe(7)).
            if rustix::io::read(&self.results, &mut record) != Ok(RECORD) {
                return;
            }
            let [act, errno @ ..] = record;
            if let Some(act) = Act::ALL.get(usize::from(act)) {
                tried.0.insert(*act, i32::from_le_bytes(errno));
            }
        }
    }
}

/// Number of the act, and its errno.
const RECORD: usize = 5;

/// What the process does; one that fails doesn't keep the next from being tried.
fn act_all(ids: Ids, release: &OwnedFd, results: &OwnedFd) {
    let tell = |act: Act, result: &io::Result<()>| {
        let mut record = [act as u8; RECORD];
        record[1..].copy_from_slice(&errno(result).to_le_bytes());
        // With nobody to read it this process has no purpose; it ends in a moment.
        let _ = rustix::io::write(results, &record);
    };
    let mut byte = [0];
    if rustix::io::read(release, &mut byte) != Ok(1) {
        return;
    }
    let ids = init::set_ids(ids);
    tell(Act::Ids, &ids);
    if ids.is_err() {
        return;
    }
    let proc = init::OldProc::open();
    match build_root() {
        Ok(mount) => {
            tell(Act::Mounts, &Ok(()));
            tell(Act::DetachedClone, &clone_mount(mount.as_fd()).map(drop));
        }
        Err(error) => tell(Act::Mounts, &Err(error)),
    }
    let limited = proc.and_then(|proc| proc.leave_namespaces(true).map(|()| proc));
    match limited {
        Ok(proc) => {
            tell(Act::NamespaceLimit, &Ok(()));
            tell(
                Act::Nesting,
                &init::nest(&proc).and_then(|()| init::prove_confined()),
            );
        }
        Err(error) => tell(Act::NamespaceLimit, &Err(error)),
    }
    tell(Act::Listener, &listen());
}

/// A root with one image in it, entered; another detached mount of that image.
fn build_root() -> io::Result<OwnedFd> {
    let caps = Tmpfs {
        bytes: 1 << 16,
        inodes: 32,
    };
    crate::sys::mount::make_private_recursive()?;
    let image = Image::build(Vec::new())?;
    let (base, plugin) = (image.detached_mount()?, image.detached_mount()?);
    let root = Root::new(caps)?;
    root.attach_images(base.as_fd(), plugin.as_fd())?;
    root.enter()?;
    image.detached_mount()
}

/// A filter that allows everything, with a listener, as the worker's has.
fn listen() -> io::Result<()> {
    set_no_new_privs(true)?;
    install_with_listener(&[ALLOW]).map(drop)
}

/// `BPF_RET | BPF_K` with `SECCOMP_RET_ALLOW`.
const ALLOW: libc::sock_filter = libc::sock_filter {
    code: 0x06,
    jt: 0,
    jf: 0,
    k: 0x7fff_0000,
};
