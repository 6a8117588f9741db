//! `cordon`, run as a person runs it.

use std::fs::Permissions;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use cordon_supervisor::state::STATE_DIR;
use tempfile::TempDir;

use crate::report::Report;
use crate::running::Running;
use crate::setting::{self, CGROUP_PARENT, NOBODY};

/// How long a command may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long the whole hostile suite may take.
const SUITE: Duration = Duration::from_secs(300);

/// A build of `cordon`, with the worker beside it.
#[derive(Debug, Clone)]
pub struct Cordon {
    program: PathBuf,
    weaken: String,
}

impl Cordon {
    /// The build under test.
    ///
    /// # Panics
    /// When it hasn't been built.
    #[must_use]
    pub fn normal() -> Self {
        let folder = crate::build_folder();
        let how = "cargo build -p cordon-supervisor -p plugin-worker";
        Self {
            program: program(&folder, how),
            weaken: String::new(),
        }
    }

    /// A program by its path, which may have no worker beside it.
    #[must_use]
    pub fn at(program: &Path) -> Self {
        Self {
            program: program.to_owned(),
            weaken: String::new(),
        }
    }

    /// The build for tests alone, with these controls left out. It is in the folder that
    /// `CORDON_WEAK_BIN` names, or in `target/weak`.
    ///
    /// # Panics
    /// When it hasn't been built.
    #[must_use]
    pub fn without<'a>(controls: impl IntoIterator<Item = &'a str>) -> Self {
        let folder = match std::env::var_os("CORDON_WEAK_BIN") {
            Some(folder) => PathBuf::from(folder),
            None => crate::workspace().join("target/weak"),
        };
        let how = "cargo build -p cordon-supervisor -p plugin-worker --features \
                   cordon-supervisor/weaken,plugin-worker/weaken --target-dir target/weak-build, \
                   and copy cordon and cordon-worker from target/weak-build/debug";
        let weaken = controls.into_iter().collect::<Vec<_>>().join(",");
        Self {
            program: program(&folder, how),
            weaken,
        }
    }

    /// `cordon run PLUGIN`, calls and options to follow.
    #[must_use]
    pub fn run(&self, plugin: &Path) -> Invocation {
        self.command("run", plugin)
    }

    /// `cordon check PLUGIN`, options to follow.
    #[must_use]
    pub fn check(&self, plugin: &Path) -> Invocation {
        self.command("check", plugin)
    }

    /// `cordon inspect PLUGIN`, options to follow.
    #[must_use]
    pub fn inspect(&self, plugin: &Path) -> Invocation {
        self.command("inspect", plugin)
    }

    /// `cordon profile PROFILE`, options to follow.
    #[must_use]
    pub fn profile(&self, profile: &Path) -> Invocation {
        self.command("profile", profile)
    }

    /// `cordon report PLUGIN`, options to follow.
    #[must_use]
    pub fn confinement(&self, plugin: &Path) -> Invocation {
        self.command("report", plugin)
    }

    /// `cordon selftest FOLDER`, options to follow.
    #[must_use]
    pub fn selftest(&self, folder: &Path) -> Invocation {
        let mut invocation = self.command("selftest", folder);
        invocation.patience = SUITE;
        invocation
    }

    /// `cordon crash`, what to do to follow.
    #[must_use]
    pub fn crash(&self) -> Invocation {
        self.bare("crash")
    }

    /// `cordon violations`, options to follow.
    #[must_use]
    pub fn violations(&self) -> Invocation {
        self.bare("violations")
    }

    /// `cordon enable PLUGIN`, by its id.
    #[must_use]
    pub fn enable(&self, plugin: &str) -> Invocation {
        self.bare("enable").options(&[plugin])
    }

    /// `cordon doctor`, options to follow.
    #[must_use]
    pub fn doctor(&self) -> Invocation {
        self.bare("doctor")
    }

    fn command(&self, name: &str, plugin: &Path) -> Invocation {
        let mut invocation = self.bare(name);
        invocation.command.arg(plugin);
        invocation
    }

    fn bare(&self, name: &str) -> Invocation {
        let state = Arc::new(Fresh::folder());
        let mut command = Command::new(&self.program);
        command
            .env_remove("CORDON_WORKER")
            .env("CORDON_WEAKEN", &self.weaken)
            .env(STATE_DIR, state.path())
            .arg(name);
        Invocation {
            command,
            patience: PATIENCE,
            state,
        }
    }
}

fn program(folder: &Path, how: &str) -> PathBuf {
    for name in ["cordon", "cordon-worker"] {
        let file = folder.join(name);
        assert!(file.is_file(), "{} is missing: {how}", file.display());
    }
    folder.join("cordon")
}

/// Copies a program of this build into a folder. It takes a process of its own: a file that this
/// one had open to write can't be executed while a child that another test forked meanwhile
/// still holds it.
///
/// # Panics
/// When it can't be copied.
pub fn copy(name: &str, folder: &Path) {
    let built = crate::build_folder().join(name);
    let copied = Command::new("cp").arg(&built).arg(folder).status();
    let copied = copied.is_ok_and(|status| status.success());
    assert!(copied, "{} to {}", built.display(), folder.display());
}

/// A command line under construction.
#[derive(Debug)]
pub struct Invocation {
    command: Command,
    patience: Duration,
    state: Arc<Fresh>,
}

/// Where a folder for state can be made by whoever the command runs as; it is removed in the end.
#[derive(Debug)]
pub struct Fresh(TempDir);

impl Fresh {
    /// # Panics
    /// When it can't be made.
    #[must_use]
    pub fn folder() -> Self {
        let made = tempfile::tempdir().and_then(|above| {
            let anybody = Permissions::from_mode(0o1777);
            std::fs::set_permissions(above.path(), anybody).map(|()| Self(above))
        });
        made.unwrap_or_else(|error| panic!("a folder for state: {error}"))
    }

    /// The folder for state.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.0.path().join("state")
    }
}

impl Invocation {
    /// Calls a method.
    #[must_use]
    pub fn call(self, method: &str, data: &str) -> Self {
        self.options(&["--call", method, "--data", data])
    }

    /// Adds arguments as they are.
    #[must_use]
    pub fn options(mut self, arguments: &[&str]) -> Self {
        self.command.args(arguments);
        self
    }

    /// As a user who is not root, and to whom no cgroup is delegated.
    #[must_use]
    pub fn as_nobody(mut self) -> Self {
        if setting::is_root() {
            self.command.uid(NOBODY).gid(NOBODY);
        }
        self.command.env_remove(CGROUP_PARENT);
        self
    }

    /// In namespaces of its own, as unshare(1) makes them by these options, after the shell
    /// did something to them.
    #[must_use]
    pub fn after(self, unshare: &[&str], shell: &str) -> Self {
        let script = format!("{shell}\nexec \"$@\"");
        let shell = ["sh", "-ec", &script, "sh"];
        self.through("unshare", &[unshare, &shell[..]].concat())
    }

    /// With the groups of workers in this one, or where its own process is.
    #[must_use]
    pub fn cgroup_parent(mut self, group: Option<&str>) -> Self {
        self.command.env_remove(CGROUP_PARENT);
        match group {
            Some(group) => self.options(&["--cgroup-parent", group]),
            None => self,
        }
    }

    /// By another program, which is given this command line as its last arguments.
    #[must_use]
    pub fn through(self, program: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(program);
        command.args(arguments);
        command.arg(self.command.get_program());
        command.args(self.command.get_args());
        for (name, value) in self.command.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        Self { command, ..self }
    }

    /// Starts it, to be read and ended while it runs.
    #[must_use]
    pub fn start(self) -> Running {
        Running::start(self.command).with(self.state)
    }

    /// With this folder for state, which others have seen before or will see.
    #[must_use]
    pub fn state(mut self, folder: &Arc<Fresh>) -> Self {
        self.command.env(STATE_DIR, folder.path());
        self.state = Arc::clone(folder);
        self
    }

    /// Runs it for its report.
    ///
    /// # Panics
    /// When it takes too long, or prints anything but one report.
    #[must_use]
    pub fn report(self) -> Report {
        let finished = self.options(&["--format", "json"]).finish();
        serde_json::from_slice(&finished.stdout)
            .unwrap_or_else(|error| panic!("no report, {error}: {finished}"))
    }

    /// Runs it to its end.
    ///
    /// # Panics
    /// When it can't be started, or takes more than half a minute (the hostile suite: five): it is
    /// killed then.
    #[must_use]
    pub fn finish(mut self) -> Finished {
        self.command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = self
            .command
            .spawn()
            .unwrap_or_else(|error| panic!("can't start {:?}: {error}", self.command));
        let stdout = collect(child.stdout.take());
        let stderr = collect(child.stderr.take());
        let status = wait(&mut child, self.patience);
        let text = |thread: thread::JoinHandle<Vec<u8>>| thread.join().unwrap_or_default();
        let (stdout, stderr) = (text(stdout), text(stderr));
        let Some(status) = status else {
            let stderr = String::from_utf8_lossy(&stderr);
            panic!(
                "killed {:?} after {:?}:\n{stderr}",
                self.command, self.patience
            );
        };
        Finished {
            command: self.command,
            status,
            stdout,
            stderr,
        }
    }
}

/// A command that has ended.
#[derive(Debug)]
pub struct Finished {
    command: Command,
    /// How it ended.
    pub status: ExitStatus,
    /// All that it wrote to stdout.
    pub stdout: Vec<u8>,
    /// All that it wrote to stderr.
    pub stderr: Vec<u8>,
}

impl std::fmt::Display for Finished {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = |bytes| String::from_utf8_lossy(bytes);
        let (stdout, stderr) = (text(&self.stdout), text(&self.stderr));
        write!(
            f,
            "{:?}, {}\nstdout: {stdout}\nstderr: {stderr}",
            self.command, self.status
        )
    }
}

fn collect(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What was read until an error is what there is to show.
            pipe.read_to_end(&mut bytes).ok();
        }
        bytes
    })
}

/// The exit status, or `None` if it had to be killed.
fn wait(child: &mut Child, patience: Duration) -> Option<ExitStatus> {
    let end = Instant::now() + patience;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) if Instant::now() < end => thread::sleep(Duration::from_millis(2)),
            // It ended between the two, or it is killed; either way it is reaped.
            Ok(None) | Err(_) => {
                child.kill().ok();
                child.wait().ok();
                return None;
            }
        }
    }
}
