//! The launcher: a small, single-threaded process that holds whatever privilege there
//! is, takes plans from the supervisor, and outlives it just long enough to clean up.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};

use super::group::{self, GroupError};
use super::instance::{Channels, Stock};
use super::rootless::{self, RootlessError};
use super::workers::Workers;
use crate::ceiling::{Ceiling, CeilingError};
use crate::codec;
use crate::image::Image;
use crate::launch::{Answer, Cause, Failure, Request, Step};
use crate::mounts::open_devices;
use crate::plan::{ImageKey, Plan};
use crate::sys::socket::{MAX_FDS, receive, send};

/// How often a group that is still busy is tried again.
const RETRY: Duration = Duration::from_millis(2);
/// How long a dying launcher waits for its workers' groups.
const FAREWELL: Duration = Duration::from_secs(5);
/// The most images kept.
const MAX_IMAGES: usize = 4096;

/// Why a launcher can't go on.
#[derive(Debug, thiserror::Error)]
pub enum LauncherError {
    /// The socket to the supervisor.
    #[error("socket to the supervisor: {0}")]
    Socket(#[source] io::Error),
    /// The first message isn't the one that starts a launcher.
    #[error("the supervisor's first message doesn't start a launcher")]
    NotStarted,
    /// Namespaces of its own, without privilege.
    #[error(transparent)]
    Rootless(#[from] RootlessError),
    /// No group can be made for workers.
    #[error(
        "cgroup: {0}; {remedy}have resource limits of the process stand in for it by \
         --allow-degraded cgroup",
        remedy = group::or(.0.remedy())
    )]
    Cgroup(#[from] GroupError),
    /// What every launch needs can't be had here.
    #[error("{0}")]
    Stock(String),
}

/// Serves the supervisor at the other end of `socket` until either ends, then kills
/// every worker and removes every group.
///
/// # Errors
/// [`LauncherError`], before any worker was made, and where the supervisor couldn't be told.
pub fn run(socket: OwnedFd) -> Result<(), LauncherError> {
    // A session of its own: the terminal's Ctrl-C is the supervisor's business. The name
    // is for whoever looks at a list of processes.
    let _ = rustix::process::setsid();
    let _ = rustix::thread::set_name(c"cordon-launcher");
    let (mut launcher, without_cgroup) = match start(&socket) {
        Ok(started) => started,
        Err(error) => {
            let refusal = codec::encode(&Answer::Refused(error.to_string())).unwrap_or_default();
            return send(socket.as_fd(), &refusal, &[]).or(Err(error));
        }
    };
    rustix::io::ioctl_fionbio(&socket, true).map_err(|e| LauncherError::Socket(e.into()))?;
    launcher.answer(&Answer::Started { without_cgroup }, Vec::new());
    while launcher.turn(&socket) {}
    launcher.end();
    Ok(())
}

struct Launcher {
    stock: Stock,
    ceiling: Ceiling,
    supervisor: OwnedFd,
    images: HashMap<ImageKey, Image>,
    workers: Workers,
    outbox: VecDeque<(Vec<u8>, Vec<OwnedFd>)>,
    /// Held as long as any worker may run under an id of the range.
    _uid_lock: Option<OwnedFd>,
}

/// The launcher, and why it has no group for workers if it has none.
fn start(socket: &OwnedFd) -> Result<(Launcher, Option<String>), LauncherError> {
    let Incoming { request, fds, .. } = next_request(socket.as_fd())
        .map_err(LauncherError::Socket)?
        .ok_or(LauncherError::NotStarted)?;
    let Request::Start {
        ceiling,
        base,
        init_filter,
    } = request
    else {
        return Err(LauncherError::NotStarted);
    };
    let rootless = ceiling.uids.is_empty();
    if fds.len() != base.len() + if rootless { 2 } else { 3 } {
        return Err(LauncherError::NotStarted);
    }
    let mut fds = fds.into_iter();
    let (Some(supervisor), Some(program)) = (fds.next(), fds.next()) else {
        return Err(LauncherError::NotStarted);
    };
    let uid_lock = if rootless { None } else { fds.next() };
    if rootless {
        // Before any mount is touched: only those of its own mount namespace can be cloned.
        rootless::enter()?;
    }
    let stock = |what: &str, error: &dyn std::fmt::Display| {
        LauncherError::Stock(format!("{what}: {error}"))
    };
    let base = Image::build(base.into_iter().zip(fds).collect())
        .map_err(|error| stock("image of the worker's libraries", &error))?;
    let devices = open_devices().map_err(|error| stock("/dev of the host", &error))?;
    let (parent, without_cgroup) = match group::parent(&ceiling, &supervisor) {
        Ok(parent) => (Some(parent), None),
        Err(why) if ceiling.cgroup_optional => (None, Some(why.to_string())),
        Err(why) => return Err(why.into()),
    };
    let launcher = Launcher {
        stock: Stock {
            program,
            base,
            devices,
            parent,
            init_filter,
        },
        ceiling,
        supervisor,
        images: HashMap::new(),
        workers: Workers::default(),
        outbox: VecDeque::new(),
        _uid_lock: uid_lock,
    };
    Ok((launcher, without_cgroup))
}

impl Launcher {
    /// Waits for something to happen and handles it; `false` when it is time to end.
    fn turn(&mut self, socket: &OwnedFd) -> bool {
        let mut interest = PollFlags::IN;
        if !self.outbox.is_empty() {
            interest |= PollFlags::OUT;
        }
        let mut polled = vec![
            PollFd::new(&self.supervisor, PollFlags::IN),
            PollFd::from_borrowed_fd(socket.as_fd(), interest),
        ];
        let watched = self.workers.watched();
        for one in &watched {
            let interest = match one.end_alone {
                true => PollFlags::empty(),
                false => PollFlags::IN,
            };
            polled.push(PollFd::from_borrowed_fd(one.fd, interest));
        }
        let timeout = self.workers.dying().then(|| rustix::time::Timespec {
            tv_sec: 0,
            tv_nsec: i64::from(RETRY.subsec_nanos()),
        });
        match poll(&mut polled, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return false,
        }
        let ready: Vec<PollFlags> = polled.iter().map(PollFd::revents).collect();
        drop(polled);
        if !ready[0].is_empty() {
            return false;
        }
        let mut due: Vec<u64> = watched
            .iter()
            .zip(&ready[2..])
            .filter(|(_, ready)| !ready.is_empty())
            .map(|(one, _)| one.id)
            .collect();
        due.dedup();
        for id in due {
            if let Some((answer, fds)) = self.workers.advance(id) {
                self.answer(&answer, fds);
            }
        }
        for answer in self.workers.bury() {
            self.answer(&answer, Vec::new());
        }
        let alive = ready[1].is_empty() || self.serve(socket, ready[1]);
        self.flush(socket);
        alive
    }

    fn serve(&mut self, socket: &OwnedFd, ready: PollFlags) -> bool {
        if ready.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) {
            match next_request(socket.as_fd()) {
                Ok(Some(incoming)) if incoming.truncated => self.refuse(incoming.request),
                Ok(Some(Incoming { request, fds, .. })) => self.handle(request, fds),
                // A supervisor that says what no supervisor says is a captured one.
                Ok(None) => return false,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return false,
            }
        }
        true
    }

    /// This process has too many fds open to get those of the request.
    fn refuse(&mut self, request: Request) {
        let failure = Failure {
            step: Step::Request,
            cause: Cause::Errno(libc::EMFILE),
        };
        let answer = match request {
            Request::Launch { id, .. } => Answer::LaunchFailed(id, failure),
            Request::Image { key, .. } => Answer::ImageFailed(key, failure),
            // These have no fds.
            request => return self.handle(request, Vec::new()),
        };
        self.answer(&answer, Vec::new());
    }

    fn handle(&mut self, request: Request, fds: Vec<OwnedFd>) {
        match request {
            Request::Start { .. } => {}
            Request::Image { key, files } => {
                let answer = match self.image(key, files, fds) {
                    Ok(()) => Answer::Image(key),
                    Err(failure) => Answer::ImageFailed(key, failure),
                };
                self.answer(&answer, Vec::new());
            }
            Request::Launch { id, plan } => {
                if let Err(failure) = self.launch(id, &plan, fds) {
                    self.answer(&Answer::LaunchFailed(id, failure), Vec::new());
                }
            }
            Request::Kill { id } => {
                if let Some(instance) = self.workers.get(id) {
                    instance.kill();
                }
            }
            Request::Evict { key } => drop(self.images.remove(&key)),
        }
    }

    fn image(
        &mut self,
        key: ImageKey,
        files: Vec<String>,
        fds: Vec<OwnedFd>,
    ) -> Result<(), Failure> {
        if self.images.contains_key(&key) {
            return Ok(());
        }
        if files.len() != fds.len() || self.images.len() >= MAX_IMAGES {
            return Err(refused(
                Step::Image,
                "files and fds differ in number, or too many images",
            ));
        }
        let image = Image::build(files.into_iter().zip(fds).collect())
            .map_err(|error| Failure::errno(Step::Image, &error))?;
        self.images.insert(key, image);
        Ok(())
    }

    fn launch(&mut self, id: u64, plan: &Plan, fds: Vec<OwnedFd>) -> Result<(), Failure> {
        let ceiling = |error| Failure {
            step: Step::Ceiling,
            cause: Cause::Ceiling(error),
        };
        self.ceiling.check(plan).map_err(ceiling)?;
        if self.workers.len() >= self.ceiling.workers {
            return Err(ceiling(CeilingError::Workers(self.workers.len())));
        }
        if self.workers.taken(id, &plan.name) {
            return Err(ceiling(CeilingError::Taken(plan.name.clone())));
        }
        let image = self
            .images
            .get(&plan.image)
            .ok_or_else(|| refused(Step::Image, "no image of that name was built"))?;
        let Ok([ipc, stdout, stderr]) = <[OwnedFd; 3]>::try_from(fds) else {
            return Err(refused(Step::Ceiling, "a launch takes three fds"));
        };
        let channels = Channels {
            ipc,
            stdout,
            stderr,
        };
        self.workers.start(id, &self.stock, image, plan, &channels)
    }

    fn answer(&mut self, answer: &Answer, fds: Vec<OwnedFd>) {
        if let Ok(bytes) = codec::encode(answer) {
            self.outbox.push_back((bytes, fds));
        }
    }

    /// Never blocks: a supervisor that doesn't read must not keep us from its pidfd.
    fn flush(&mut self, socket: &OwnedFd) {
        while let Some((bytes, fds)) = self.outbox.front() {
            let borrowed: Vec<BorrowedFd<'_>> = fds.iter().map(AsFd::as_fd).collect();
            match send(socket.as_fd(), bytes, &borrowed) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // A socket that fails is noticed at the next poll.
                _ => drop(self.outbox.pop_front()),
            }
        }
    }

    /// Kills all workers and removes all groups.
    fn end(mut self) {
        let deadline = Instant::now() + FAREWELL;
        while self.workers.len() > 0 && Instant::now() < deadline {
            self.workers.kill_all();
            self.workers.bury();
            std::thread::sleep(RETRY);
        }
        let Some(parent) = &mut self.stock.parent else {
            return;
        };
        while parent.remove().is_err() && Instant::now() < deadline {
            self.workers.clear_remains();
            std::thread::sleep(RETRY);
        }
    }
}

fn refused(step: Step, why: &str) -> Failure {
    Failure {
        step,
        cause: Cause::Request(why.to_owned()),
    }
}

struct Incoming {
    request: Request,
    fds: Vec<OwnedFd>,
    /// Whether fds are missing.
    truncated: bool,
}

/// The next request; `None` at the end of the socket and for what isn't a request.
fn next_request(socket: BorrowedFd<'_>) -> io::Result<Option<Incoming>> {
    let mut buffer = vec![0; codec::MAX_MESSAGE];
    let received = receive(socket, &mut buffer, MAX_FDS)?;
    let request = codec::decode(&buffer[..received.bytes]).ok();
    Ok(request.map(|request| Incoming {
        request,
        fds: received.fds,
        truncated: received.truncated,
    }))
}
