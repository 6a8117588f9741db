//! Memory, as the kernel charges it: to groups, to processes, to nobody. All in KiB.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use sandbox::cgroup::{Controller, Kind, Layout};

use crate::Result;

/// What a process's group is charged.
#[derive(Clone, Copy)]
pub(crate) struct Charged {
    /// Pages of its processes, page cache, kernel memory.
    pub(crate) all: f64,
    /// What of it the host's figures for [`elsewhere`] have too.
    pub(crate) counted_twice: f64,
}

impl Charged {
    /// Not `memory.current` or its like, which holds what processors have set aside for the
    /// group as well, 64 pages each.
    pub(crate) fn to_group_of(pid: u32) -> Result<Charged> {
        let group = group(pid, Some(Controller::Memory))?;
        let stat = fs::read_to_string(group.join("memory.stat"))?;
        let of = |key: &str| {
            let found = numbers(&stat).find(|(name, _)| *name == key);
            found
                .ok_or_else(|| format!("no {key} in memory.stat"))
                .map(|(_, number)| number)
        };
        let (pages, kernel) = match Layout::detect()?.kind() {
            Kind::V2 => (of("anon")? + of("file")?, of("kernel")?),
            Kind::Hybrid | Kind::V1 => {
                let kernel = fs::read_to_string(group.join("memory.kmem.usage_in_bytes"))?;
                (of("rss")? + of("cache")?, kernel.trim().parse()?)
            }
        };
        Ok(Charged {
            all: (pages + kernel) / 1024.0,
            counted_twice: (of("shmem")? + kernel) / 1024.0,
        })
    }
}

/// The group of a process that has this controller; without one, where its CPU time is
/// counted.
pub(crate) fn group(pid: u32, controller: Option<Controller>) -> Result<PathBuf> {
    let layout = Layout::detect()?;
    // Hybrid hosts count CPU time in the unified tree.
    let controller = match layout.kind() {
        Kind::V2 => None,
        Kind::Hybrid => controller,
        Kind::V1 => controller.or(Some(Controller::Cpuacct)),
    };
    let mut mounts = layout.mounts().iter();
    let mount = mounts.find(|mount| mount.controller == controller);
    let mount = mount.ok_or("a cgroup controller isn't mounted")?;
    let name = controller.map_or("", Controller::name);
    let table = fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
    let path = table.lines().find_map(|line| {
        let (controllers, path) = line.split_once(':')?.1.split_once(':')?;
        controllers
            .split(',')
            .any(|one| one == name)
            .then_some(path)
    });
    let path = path.ok_or_else(|| format!("process {pid} is in no group of {name:?}"))?;
    let below = Path::new(path).strip_prefix(&mount.root)?;
    Ok(mount.point.join(below))
}

fn numbers(text: &str) -> impl Iterator<Item = (&str, f64)> {
    text.lines().filter_map(|line| {
        let (name, number) = line.split_once(' ')?;
        Some((
            name.trim_end_matches(':'),
            number.trim().trim_end_matches(" kB").parse().ok()?,
        ))
    })
}

/// What a process has resident for itself.
pub(crate) fn resident(pid: u32) -> Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let lines = status.lines().filter_map(|line| line.split_once(':'));
    let anonymous = lines
        .filter(|(name, _)| *name == "RssAnon")
        .find_map(|(_, value)| value.trim().trim_end_matches(" kB").parse().ok());
    Ok(anonymous.ok_or("no RssAnon")?)
}

/// The child of that name.
pub(crate) fn child_of(parent: u32, name: &str) -> Result<u32> {
    for task in fs::read_dir(format!("/proc/{parent}/task"))? {
        for child in fs::read_to_string(task?.path().join("children"))?.split_whitespace() {
            let child = child.parse()?;
            let comm = fs::read_to_string(format!("/proc/{child}/comm"));
            if comm.is_ok_and(|comm| comm.trim() == name) {
                return Ok(child);
            }
        }
    }
    Err(format!("process {parent} has no child {name}").into())
}

/// Memory of the whole host that is no process's: the kernel's own, and files in memory.
pub(crate) fn elsewhere() -> Result<f64> {
    const KINDS: [&str; 7] = [
        "SUnreclaim",
        "SReclaimable",
        "KernelStack",
        "PageTables",
        "SecPageTables",
        "Percpu",
        "Shmem",
    ];
    let meminfo = fs::read_to_string("/proc/meminfo")?;
    let kinds = numbers(&meminfo).filter(|(name, _)| KINDS.contains(name));
    Ok(kinds.map(|(_, kib)| kib).sum())
}

/// A dynamic program that maps a plugin and waits, in a memory group of its own.
pub(crate) struct Idle {
    child: Child,
    group: PathBuf,
}

impl Idle {
    pub(crate) fn start(program: &Path, plugin: &Path) -> Result<Idle> {
        // It joins the group before it becomes the program: what came before isn't charged.
        let child = Command::new("/bin/sh")
            .args(["-c", "read -r _ && exec \"$0\" \"$1\""])
            .args([program, plugin])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let group = group(child.id(), Some(Controller::Memory))?
            .join(format!("cordon-bench-{}", child.id()));
        fs::create_dir(&group)?;
        let mut idle = Idle { child, group };
        fs::write(idle.group.join("cgroup.procs"), idle.child.id().to_string())?;
        let stdin = idle.child.stdin.as_mut().ok_or("no stdin")?;
        stdin.write_all(b"\n")?;
        let stdout = idle.child.stdout.take().ok_or("no stdout")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        if line == "mapped\n" {
            Ok(idle)
        } else {
            Err("the idle program didn't map the plugin".into())
        }
    }

    pub(crate) fn charged(&self) -> Result<f64> {
        Ok(Charged::to_group_of(self.child.id())?.all)
    }
}

impl Drop for Idle {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        fs::remove_dir(&self.group).ok();
    }
}
