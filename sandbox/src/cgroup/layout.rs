//! Where this host keeps its cgroup hierarchies, read from `/proc/self/mountinfo`.

use std::fmt;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::groups::Parts;
use super::limits::Limits;

/// Which of the three ways of mounting cgroups a host uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// One unified tree with all controllers.
    V2,
    /// Limits in v1 hierarchies, and a unified tree without their controllers beside them.
    Hybrid,
    /// v1 hierarchies alone.
    V1,
}

/// A controller that Cordon makes use of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Controller {
    /// Memory limit and accounting.
    Memory,
    /// Number of tasks.
    Pids,
    /// CPU bandwidth and weight.
    Cpu,
    /// CPU time; a controller only on v1, where nothing else counts it.
    Cpuacct,
    /// Stopping all tasks; a controller only on v1.
    Freezer,
    /// Bandwidth of block devices, on v2.
    Io,
    /// The same, on v1.
    Blkio,
}

impl Controller {
    /// The controllers that hold limits; each is required on every kind of host.
    pub const LIMITING: [Self; 3] = [Self::Memory, Self::Pids, Self::Cpu];

    /// Its name in mount options, `cgroup.controllers` and `/proc/PID/cgroup`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Pids => "pids",
            Self::Cpu => "cpu",
            Self::Cpuacct => "cpuacct",
            Self::Freezer => "freezer",
            Self::Io => "io",
            Self::Blkio => "blkio",
        }
    }
}

impl fmt::Display for Controller {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.name())
    }
}

/// One mounted hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Where it is mounted.
    pub point: PathBuf,
    /// Which of its groups appears there; `/` unless it is a bind mount.
    pub root: PathBuf,
    /// Any one v1 controller of it, by which `/proc/PID/cgroup` names it; `None` is v2.
    pub controller: Option<Controller>,
}

/// The hierarchies of this host that workers are put into.
#[derive(Debug, Clone)]
pub struct Layout {
    pub(super) mounts: Vec<Mount>,
    pub(super) parts: Parts,
}

/// Why no set of hierarchies could be chosen.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// The mount table can't be read.
    #[error("cannot read /proc/self/mountinfo (is /proc mounted?): {0}")]
    Mountinfo(#[source] std::io::Error),
    /// There is no cgroup mount at all.
    #[error(
        "no cgroup hierarchy is mounted; mount one with `mount -t cgroup2 cgroup2 /sys/fs/cgroup`"
    )]
    NotMounted,
    /// The host uses v1, and one of the controllers that are needed isn't mounted.
    #[error(
        "the cgroup v1 controller {0} is not mounted; mount it with \
         `mount -t cgroup -o {0} {0} /sys/fs/cgroup/{0}` or boot with cgroup_no_v1=all"
    )]
    MissingController(Controller),
}

impl Layout {
    /// Reads the layout of this process's mount namespace.
    ///
    /// # Errors
    /// What is not mounted, by name.
    pub fn detect() -> Result<Self, LayoutError> {
        let table =
            std::fs::read_to_string("/proc/self/mountinfo").map_err(LayoutError::Mountinfo)?;
        Self::from_mountinfo(&table)
    }

    /// Reads the layout from the text of a `mountinfo` file, see proc_pid_mountinfo(5).
    ///
    /// # Errors
    /// What is not mounted, by name.
    pub fn from_mountinfo(table: &str) -> Result<Self, LayoutError> {
        let lines: Vec<Line<'_>> = table.lines().filter_map(Line::parse).collect();
        let unified = lines.iter().find(|line| line.kind == "cgroup2");
        let on_v1 = |controller| {
            lines
                .iter()
                .any(|line| line.kind == "cgroup" && line.has(controller))
        };
        let mut chosen = Chosen {
            lines: &lines,
            mounts: Vec::new(),
        };
        let parts = match unified {
            Some(unified) if !Controller::LIMITING.into_iter().any(on_v1) => {
                Parts::all(chosen.add(unified, None))
            }
            Some(unified) => {
                let tracking = chosen.add(unified, None);
                chosen.parts(Kind::Hybrid, tracking, tracking)?
            }
            None if !lines.iter().any(|line| line.kind == "cgroup") => {
                return Err(LayoutError::NotMounted);
            }
            None => {
                let tracking = chosen.find(Controller::Freezer)?;
                let accounting = chosen.find(Controller::Cpuacct)?;
                chosen.parts(Kind::V1, tracking, accounting)?
            }
        };
        Ok(Self {
            mounts: chosen.mounts,
            parts,
        })
    }

    /// The way this host mounts cgroups.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.parts.kind
    }

    /// How many of the hierarchies, from the first, a worker with such limits gets a group in.
    pub(super) fn used_for(&self, limits: &Limits) -> usize {
        let all = self.mounts.len();
        match self.is_optional(all - 1) && !limits.io.is_asked() {
            true => all - 1,
            false => all,
        }
    }

    /// Whether this one is good for bandwidth of block devices alone.
    pub(super) fn is_optional(&self, index: usize) -> bool {
        let Parts {
            memory,
            pids,
            cpu,
            accounting,
            tracking,
            io,
            ..
        } = self.parts;
        io == Some(index) && ![memory, pids, cpu, accounting, tracking].contains(&index)
    }

    /// The hierarchies that workers get groups in.
    #[must_use]
    pub fn mounts(&self) -> &[Mount] {
        &self.mounts
    }
}

impl Mount {
    /// How `/proc/PID/cgroup` names the group whose directory is `path`.
    pub(super) fn group_name(&self, path: &Path) -> PathBuf {
        match path.strip_prefix(&self.point) {
            Ok(below) => self.root.join(below),
            Err(_) => path.to_owned(),
        }
    }

    /// The directory of the group that `/proc/PID/cgroup` names so, if it is mounted here.
    pub(super) fn directory(&self, group: &Path) -> Option<PathBuf> {
        let below = group.strip_prefix(&self.root).ok()?;
        // Nothing joined would still add a slash.
        Some(match below.as_os_str().is_empty() {
            true => self.point.clone(),
            false => self.point.join(below),
        })
    }
}

/// The mounts taken so far; co-mounted controllers share one.
struct Chosen<'a> {
    lines: &'a [Line<'a>],
    mounts: Vec<Mount>,
}

impl Chosen<'_> {
    fn parts(
        &mut self,
        kind: Kind,
        tracking: usize,
        accounting: usize,
    ) -> Result<Parts, LayoutError> {
        Ok(Parts {
            kind,
            tracking,
            accounting,
            memory: self.find(Controller::Memory)?,
            pids: self.find(Controller::Pids)?,
            cpu: self.find(Controller::Cpu)?,
            // The last one, since groups in it are optional.
            io: self.find(Controller::Blkio).ok(),
        })
    }

    fn find(&mut self, controller: Controller) -> Result<usize, LayoutError> {
        let lines = self.lines;
        let line = lines
            .iter()
            .find(|line| line.kind == "cgroup" && line.has(controller))
            .ok_or(LayoutError::MissingController(controller))?;
        Ok(self.add(line, Some(controller)))
    }

    fn add(&mut self, line: &Line<'_>, controller: Option<Controller>) -> usize {
        let point = unescape(line.point);
        if let Some(known) = self.mounts.iter().position(|mount| mount.point == point) {
            return known;
        }
        self.mounts.push(Mount {
            point,
            root: unescape(line.root),
            controller,
        });
        self.mounts.len() - 1
    }
}

/// The fields of one line of mountinfo that matter here.
struct Line<'a> {
    root: &'a str,
    point: &'a str,
    kind: &'a str,
    options: &'a str,
}

impl<'a> Line<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        // The number of optional fields varies; " - " ends them.
        let (mount, file_system) = line.split_once(" - ")?;
        let mut mount = mount.split(' ').skip(3);
        let mut file_system = file_system.split(' ');
        Some(Self {
            root: mount.next()?,
            point: mount.next()?,
            kind: file_system.next()?,
            options: file_system.nth(1)?,
        })
    }

    fn has(&self, controller: Controller) -> bool {
        self.options
            .split(',')
            .any(|option| option == controller.name())
    }
}

/// Undoes the octal escapes of mountinfo (`\040` for a space).
fn unescape(field: &str) -> PathBuf {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        let escaped = match (first, tail) {
            (b'\\', [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', ..]) => {
                Some((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'))
            }
            _ => None,
        };
        bytes.push(escaped.unwrap_or(first));
        rest = if escaped.is_some() { &tail[3..] } else { tail };
    }
    PathBuf::from(std::ffi::OsString::from_vec(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNIFIED: &str = "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
    const V1: &str = "\
        32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n\
        35 31 0:32 /box /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
        36 31 0:33 / /sys/fs/cgroup/freezer rw - cgroup cgroup rw,freezer\n\
        39 31 0:36 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n";

    #[test]
    fn unified_tree_alone_is_v2() {
        let layout =
            Layout::from_mountinfo("30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup rw\n").unwrap();
        assert_eq!(layout.kind(), Kind::V2);
        assert_eq!(layout.mounts()[0].point, Path::new("/sys/fs/cgroup"));
    }

    #[test]
    fn v1_beside_unified_is_hybrid_without_accounting_or_freezer_groups() {
        let layout = Layout::from_mountinfo(&format!("{V1}{UNIFIED}")).unwrap();
        assert_eq!(layout.kind(), Kind::Hybrid);
        assert_eq!(layout.mounts().len(), 4);
        assert_eq!(layout.parts.tracking, layout.parts.accounting);
    }

    #[test]
    fn comounted_controllers_share_a_mount() {
        let layout = Layout::from_mountinfo(V1).unwrap();
        assert_eq!(layout.kind(), Kind::V1);
        assert_eq!(layout.mounts().len(), 4);
        assert_eq!(layout.parts.cpu, layout.parts.accounting);
    }

    #[test]
    fn missing_controller_is_named() {
        let table: String = V1.lines().filter(|line| !line.contains("pids")).collect();
        let error = Layout::from_mountinfo(&format!("{table}\n{UNIFIED}")).unwrap_err();
        assert!(matches!(
            error,
            LayoutError::MissingController(Controller::Memory | Controller::Pids)
        ));
    }

    #[test]
    fn no_cgroup_mount_is_an_error() {
        let error = Layout::from_mountinfo("22 1 0:5 / /proc rw - proc proc rw\nrubbish\n");
        assert!(matches!(error, Err(LayoutError::NotMounted)));
    }

    #[test]
    fn group_name_includes_the_bind_mounts_root() {
        let layout = Layout::from_mountinfo(V1).unwrap();
        let memory = &layout.mounts()[layout.parts.memory];
        let name = memory.group_name(Path::new("/sys/fs/cgroup/memory/cordon/a"));
        assert_eq!(name, Path::new("/box/cordon/a"));
        let path = memory.directory(name.as_path());
        assert_eq!(
            path.as_deref(),
            Some(Path::new("/sys/fs/cgroup/memory/cordon/a"))
        );
        assert_eq!(memory.directory(Path::new("/elsewhere")), None);
    }

    #[test]
    fn escaped_paths_are_decoded() {
        assert_eq!(unescape(r"/a\040b\134"), Path::new(r"/a b\"));
        assert_eq!(unescape(r"/a\9"), Path::new(r"/a\9"));
    }
}
