//! One life of a supervisor, from its start to its end, seen from outside.

use std::fs;
use std::io::{BufRead, BufReader, Lines};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use cordon_tests::traces::{below, groups};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use tempfile::TempDir;

use crate::Result;
use crate::host::{Rest, Word, copy};
use crate::tally::Tally;

/// How long what was left of a killed supervisor may take to be gone: its launcher gives
/// busy groups five seconds.
const FAREWELL: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(20);

/// Where all of it happens: copies of the plugin, the folder for what outlives a supervisor,
/// and one for temporary files.
pub(crate) struct Stage {
    folder: TempDir,
    plugins: usize,
}

impl Stage {
    pub(crate) fn new(plugin: &Path, plugins: usize) -> Result<Stage> {
        let folder = tempfile::Builder::new().prefix("cordon-soak-").tempdir()?;
        fs::create_dir(folder.path().join("tmp"))?;
        for number in 0..plugins {
            let manifest =
                format!("id = \"soaked-{number}\"\nversion = \"1.0.0\"\nabi = \"1.0\"\n");
            fs::write(
                folder.path().join(format!("soaked-{number}.toml")),
                manifest,
            )?;
            fs::copy(plugin, copy(folder.path(), number))?;
        }
        Ok(Stage { folder, plugins })
    }

    pub(crate) fn tmp(&self) -> PathBuf {
        self.folder.path().join("tmp")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }
}

pub(crate) struct Round {
    child: Child,
    words: Lines<BufReader<ChildStdout>>,
    begun: Rest,
    plugins: usize,
}

impl Round {
    /// Starts a supervisor and waits until it has loaded every plugin once.
    pub(crate) fn start(stage: &Stage, seed: u64) -> Result<Round> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["--plugin", "-", "--plugins", &stage.plugins.to_string()])
            .args(["--seed", &seed.to_string(), "--host"])
            .arg(stage.folder.path())
            .env("TMPDIR", stage.tmp())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().ok_or("no stdout")?;
        let mut words = BufReader::new(stdout).lines();
        match next(&mut words)? {
            Word::Begun(begun) => Ok(Round {
                child,
                words,
                begun,
                plugins: stage.plugins,
            }),
            other => Err(format!("the supervisor began with {other:?}").into()),
        }
    }

    /// Has it unload all, and end.
    pub(crate) fn end_in_peace(mut self, tally: &mut Tally) -> Result<()> {
        drop(self.child.stdin.take());
        let Word::Ended(rest, done) = next(&mut self.words)? else {
            return Err("the supervisor didn't say how it ended".into());
        };
        let status = self.child.wait()?;
        if !status.success() {
            return Err(format!("the supervisor ended with {status}").into());
        }
        tally.ended(self.plugins, &self.begun, &rest, done);
        self.gone(tally)
    }

    pub(crate) fn kill(mut self, tally: &mut Tally) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        tally.killed();
        self.gone(tally)
    }

    /// Counts what is left of it.
    fn gone(&self, tally: &mut Tally) -> Result<()> {
        let end = Instant::now() + FAREWELL;
        loop {
            reap()?;
            let (processes, groups) = (below(std::process::id()), groups(self.child.id()));
            if processes.is_empty() && groups.is_empty() {
                return Ok(());
            }
            if Instant::now() > end {
                tally.left(processes.len(), groups.len());
                eprintln!("soak: left behind: {processes:?}, {groups:?}");
                return Ok(());
            }
            std::thread::sleep(LOOK);
        }
    }
}

fn next(words: &mut Lines<BufReader<ChildStdout>>) -> Result<Word> {
    let line = words.next().ok_or("the supervisor says no more")??;
    Ok(serde_json::from_str(&line)?)
}

/// Reaps orphans that have ended.
fn reap() -> Result<()> {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) | Err(nix::errno::Errno::ECHILD) => return Ok(()),
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
}
