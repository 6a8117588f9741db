//! Other sandboxes that start a program, where they are installed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::Result;

/// One of them, about to run the program that ends at once.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    /// The share of its time within which we want to be.
    pub(crate) goal: Option<f64>,
    command: Command,
}

/// Each as near to our confinement as its own options allow.
const PEERS: [(&str, Option<f64>); 4] = [
    ("bwrap", Some(1.0 / 2.0)),
    ("crun", Some(1.0 / 3.0)),
    ("firejail", Some(1.0 / 8.0)),
    ("unshare", None),
];

/// Those that run here, and a sentence for each that doesn't. What they need is put in
/// `scratch`.
pub(crate) fn find(program: &Path, scratch: &Path) -> Result<(Vec<Peer>, Vec<String>)> {
    let (mut found, mut absent) = (Vec::new(), Vec::new());
    for (name, goal) in PEERS {
        let Some(path) = installed(name) else {
            absent.push(format!("not measured: {name} isn't installed"));
            continue;
        };
        let mut command = Command::new(path);
        match name {
            "bwrap" => bubblewrap(&mut command, program),
            "crun" => crun(&mut command, program, scratch)?,
            "firejail" => firejail(&mut command, program),
            _ => unshare(&mut command, program),
        }
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut peer = Peer {
            name,
            goal,
            command,
        };
        match peer.run() {
            Ok(_) => found.push(peer),
            Err(error) => absent.push(format!("not measured: {error}")),
        }
    }
    Ok((found, absent))
}

impl Peer {
    /// One start of the program, until it has ended and the sandbox is gone.
    pub(crate) fn run(&mut self) -> Result<Duration> {
        let started = Instant::now();
        let status = self.command.status()?;
        let took = started.elapsed();
        if !status.success() {
            let line = format!("{:?}", self.command).replace('"', "");
            return Err(format!("{} doesn't run here, {status}: {line}", self.name).into());
        }
        Ok(took)
    }
}

fn installed(name: &str) -> Option<PathBuf> {
    let folders = std::env::var_os("PATH")?;
    std::env::split_paths(&folders)
        .map(|folder| folder.join(name))
        .find(|path| path.is_file())
}

fn bubblewrap(command: &mut Command, program: &Path) {
    command
        .args([
            "--unshare-all",
            "--die-with-parent",
            "--new-session",
            "--cap-drop",
            "ALL",
        ])
        .args(["--dev", "/dev", "--tmpfs", "/tmp", "--ro-bind"])
        .arg(program)
        .args(["/exit", "/exit"]);
}

fn firejail(command: &mut Command, program: &Path) {
    command
        .args([
            "--quiet",
            "--noprofile",
            "--net=none",
            "--private-dev",
            "--private-tmp",
        ])
        .args(["--caps.drop=all", "--seccomp", "--nonewprivs", "--"])
        .arg(program);
}

fn unshare(command: &mut Command, program: &Path) {
    command
        .args(["--user", "--map-root-user", "--mount", "--pid", "--fork"])
        .args(["--net", "--ipc", "--uts", "--cgroup"])
        .arg(program);
}

/// A bundle with the program alone in its root. `run` deletes the container at its end.
fn crun(command: &mut Command, program: &Path, scratch: &Path) -> Result<()> {
    let bundle = scratch.join("bundle");
    fs::create_dir_all(bundle.join("root"))?;
    fs::copy(program, bundle.join("root/exit"))?;
    let namespaces = ["pid", "network", "ipc", "uts", "mount", "cgroup"];
    let namespaces = namespaces.map(|kind| json!({ "type": kind }));
    let config = json!({
        "ociVersion": "1.0.0",
        "process": {
            "user": { "uid": 0, "gid": 0 },
            "args": ["/exit"],
            "cwd": "/",
            "noNewPrivileges": true,
        },
        "root": { "path": "root", "readonly": true },
        "mounts": [
            { "destination": "/proc", "type": "proc", "source": "proc" },
            { "destination": "/dev", "type": "tmpfs", "source": "tmpfs" },
        ],
        "linux": { "namespaces": namespaces },
    });
    fs::write(bundle.join("config.json"), config.to_string())?;
    command
        .arg("--root")
        .arg(scratch.join("state"))
        .args(["run", "--bundle"])
        .arg(bundle)
        .arg(format!("cordon-bench-{}", std::process::id()));
    Ok(())
}
