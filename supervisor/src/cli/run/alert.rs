//! `--on-violation COMMAND`: run for violations, told of each as JSON on its standard input.
//!
//! The command line is the operator's, as written, to `sh -c`; nothing that a plugin says
//! gets into it, or into the environment. Commands run one at a time, each in a process group of
//! its own, of which nothing is left when it has ended or taken too long.

use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use cordon_supervisor::Supervisor;
use cordon_supervisor::history::line;
use cordon_supervisor::plugin::Event;
use cordon_supervisor::violations::Violation;
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};
use sandbox::sys::readiness::register;
use tokio::io::Interest;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::watch;
use tokio::time::sleep_until;

use crate::cli::exit::Code;
use crate::cli::{Failure, runtime};

/// How long a command may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long all that are left may take when cordon ends.
const LAST: Duration = Duration::from_secs(5);
/// Commands that may be run at once, one after the other; one more is each second.
const BURST: u32 = 10;
const REFILL: Duration = Duration::from_secs(1);

/// Runs the command for violations.
pub(super) struct OnViolation {
    end: watch::Sender<Option<Instant>>,
    thread: JoinHandle<()>,
}

impl OnViolation {
    /// Begins with those that come from now on.
    pub(super) fn start(command: &str, supervisor: &Supervisor) -> Result<OnViolation, Failure> {
        let (sender, end) = watch::channel(None);
        let events = supervisor.subscribe();
        let mut alerts = Alerts {
            command: command.to_owned(),
            rate: Rate::new(Instant::now()),
            held: None,
            lost: 0,
            end,
        };
        let runtime = runtime()?;
        // Whoever reads standard output slowly must not hold alerts up.
        let thread = std::thread::Builder::new()
            .name("on-violation".into())
            .spawn(move || runtime.block_on(alerts.run(events)))
            .map_err(|error| Failure::new(Code::Error, error))?;
        Ok(OnViolation {
            end: sender,
            thread,
        })
    }

    /// Runs it for what has come so far, as long as that doesn't take too long. To be called
    /// before the supervisor ends, whose group must be empty by then.
    pub(super) fn finish(self) {
        self.end.send_replace(Some(Instant::now() + LAST));
        self.thread.join().ok();
    }
}

struct Alerts {
    command: String,
    rate: Rate,
    /// The latest that came too soon after others.
    held: Option<Arc<Violation>>,
    /// How many weren't told since the last that was, but for the one held.
    lost: u64,
    /// When everything has to have ended, once that is known.
    end: watch::Receiver<Option<Instant>>,
}

impl Alerts {
    async fn run(&mut self, mut events: Receiver<Event>) {
        while self.end.borrow().is_none() {
            let due = self.held.as_ref().map(|_| self.rate.next());
            tokio::select! {
                biased;
                _ = self.end.changed() => break,
                event = events.recv() => match event {
                    Ok(Event::Violation(violation)) => self.take(violation).await,
                    Ok(_) => {}
                    Err(RecvError::Lagged(count)) => self.lost += count,
                    Err(RecvError::Closed) => break,
                },
                () = until(due) => self.tell_held().await,
            }
        }
        loop {
            match events.try_recv() {
                Ok(Event::Violation(violation)) => self.take(violation).await,
                Ok(_) => {}
                Err(TryRecvError::Lagged(count)) => self.lost += count,
                Err(TryRecvError::Empty | TryRecvError::Closed) => break,
            }
        }
        self.tell_held().await;
    }

    async fn take(&mut self, violation: Arc<Violation>) {
        if self.rate.take(Instant::now()) {
            self.lost += u64::from(self.held.take().is_some());
            self.tell(&violation).await;
        } else {
            self.lost += u64::from(self.held.replace(violation).is_some());
        }
    }

    async fn tell_held(&mut self) {
        if let Some(violation) = self.held.take() {
            self.rate.take(Instant::now());
            self.tell(&violation).await;
        }
    }

    async fn tell(&mut self, violation: &Violation) {
        let told = line(violation, self.lost);
        let ended = match spawn(&self.command, &told) {
            Ok(child) => wait(child, &mut self.end).await,
            Err(error) => Err(error),
        };
        let why = match ended {
            Ok(Some(status)) if status.success() => None,
            Ok(Some(status)) => Some(format!("failed: {status}")),
            Ok(None) => Some("took too long, and was killed".to_owned()),
            Err(error) => Some(format!("can't be run: {error}")),
        };
        if let Some(why) = &why {
            tracing::warn!("the command of --on-violation {why}");
        }
        self.lost = if why.is_none() { 0 } else { self.lost + 1 };
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

/// A bucket of permissions that fills by one each second.
struct Rate {
    /// When it was, or will be, empty.
    empty: Instant,
}

impl Rate {
    fn new(now: Instant) -> Rate {
        let full = REFILL * BURST;
        Rate {
            empty: now.checked_sub(full).unwrap_or(now),
        }
    }

    /// Takes one, if there is one.
    fn take(&mut self, now: Instant) -> bool {
        let full = now.checked_sub(REFILL * BURST).unwrap_or(self.empty);
        self.empty = self.empty.max(full);
        let there = self.next() <= now;
        if there {
            self.empty += REFILL;
        }
        there
    }

    /// When there is one.
    fn next(&self) -> Instant {
        self.empty + REFILL
    }
}

/// Standard input is a file, so that a command that reads nothing holds nobody up. What it
/// prints goes to standard error: standard output has the results.
fn spawn(command: &str, input: &[u8]) -> io::Result<Child> {
    let mut file = File::from(memfd_create("violation", MemfdFlags::CLOEXEC)?);
    file.write_all(input)?;
    file.rewind()?;
    let output: OwnedFd = io::stderr().as_fd().try_clone_to_owned()?;
    Command::new("/bin/sh")
        .args(["-c", command])
        .process_group(0)
        .stdin(file)
        .stdout(output)
        .spawn()
}

/// Waits until it has ended, kills it when it is late (`None`), and in either case all that it
/// left in its process group.
async fn wait(
    mut child: Child,
    end: &mut watch::Receiver<Option<Instant>>,
) -> io::Result<Option<ExitStatus>> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    let in_time = match pid {
        Some(pid) => {
            let in_time = ends(pid, end).await;
            // Not reaped yet, so that neither pid nor group is another's.
            kill_process_group(pid, Signal::KILL).ok();
            in_time
        }
        None => Err(io::Error::other("it has no pid")),
    };
    let status = child.wait()?;
    Ok(in_time?.then_some(status))
}

/// Whether it ends in time.
async fn ends(pid: Pid, end: &mut watch::Receiver<Option<Instant>>) -> io::Result<bool> {
    let pidfd = register(pidfd_open(pid, PidfdFlags::empty())?, Interest::READABLE)?;
    let late = Instant::now() + PATIENCE;
    loop {
        let late = end.borrow_and_update().map_or(late, |end| end.min(late));
        tokio::select! {
            biased;
            ended = pidfd.readable() => return ended.map(|_| true),
            () = sleep_until(late.into()) => return Ok(false),
            Ok(()) = end.changed() => {}
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// How it ends, with so much time.
    fn ended(child: Child, patience: Duration) -> Option<ExitStatus> {
        let (_sender, mut end) = watch::channel(Some(Instant::now() + patience));
        runtime().unwrap().block_on(wait(child, &mut end)).unwrap()
    }

    #[test]
    fn a_burst_and_then_one_each_second() {
        let start = Instant::now() + REFILL * BURST;
        let mut rate = Rate::new(start);
        for _ in 0..BURST {
            assert!(rate.take(start));
        }
        assert!(!rate.take(start));
        assert!(!rate.take(start + REFILL / 2));
        assert_eq!(rate.next(), start + REFILL);
        assert!(rate.take(start + REFILL));
        assert!(!rate.take(start + REFILL));
        // However long it rests, it holds no more.
        let later = start + REFILL * 1000;
        let taken = (0..2 * BURST).filter(|_| rate.take(later)).count();
        assert_eq!(taken, BURST as usize);
    }

    #[test]
    fn a_command_that_is_late_is_killed_with_all_that_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let pids = folder.path().join("pids");
        let command = format!("sleep 1000 & echo $! $$ >{}; wait", pids.display());
        let child = spawn(&command, b"").unwrap();
        while std::fs::read_to_string(&pids).is_ok_and(|pids| pids.is_empty()) || !pids.exists() {
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(ended(child, Duration::ZERO), None);
        for pid in std::fs::read_to_string(&pids).unwrap().split_whitespace() {
            let gone = || {
                let status = std::fs::read_to_string(format!("/proc/{pid}/stat"));
                status.map_or(true, |status| status.contains(") Z"))
            };
            let end = Instant::now() + Duration::from_secs(30);
            while !gone() {
                assert!(Instant::now() < end, "{pid}");
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }

    #[test]
    fn what_a_command_leaves_behind_is_killed_when_it_ends() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("late");
        let command = format!("(sleep 2; : >{}) & exit 3", file.display());
        let status = ended(spawn(&command, b"").unwrap(), PATIENCE);
        assert_eq!(status.unwrap().code(), Some(3));
        std::thread::sleep(Duration::from_millis(2500));
        assert!(!file.exists());
    }

    #[test]
    fn a_command_reads_what_it_is_told_or_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("told");
        let command = format!("cat >{}", file.display());
        let input = vec![b'x'; 1 << 20];
        let status = ended(spawn(&command, &input).unwrap(), PATIENCE);
        assert!(status.unwrap().success());
        assert_eq!(std::fs::read(&file).unwrap(), input);
        let status = ended(spawn(":", &input).unwrap(), PATIENCE);
        assert!(status.unwrap().success());
    }
}
