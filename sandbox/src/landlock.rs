//! Landlock, see landlock(7): the second wall behind the private root. It mirrors what is
//! mounted there, leaves the TCP ports that are granted, and no signals or abstract sockets
//! beyond the worker itself.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, BitFlags, LandlockStatus, NetPort, PathBeneath,
    RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
    make_bitflags,
};
use rustix::fs::{FileType, Mode, OFlags, fstat, open};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with};
use rustix::process::{getppid, test_kill_process};
use serde::{Deserialize, Serialize};

use crate::mounts::{DEVICES, LIBRARY_FOLDER, PLUGIN_FOLDER, TMP_FOLDER};
use crate::policy::{FileAccess, Policy, TcpPorts};
use crate::weaken::{Weakened, off};

/// All that a worker is left with. Whatever no rule names is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ruleset {
    /// Files.
    pub files: Vec<Rule>,
    /// TCP ports.
    pub tcp: TcpPorts,
}

/// What may be done with a file, or with all below a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Where it is in the worker's root.
    pub path: PathBuf,
    /// What may be done.
    pub access: Access,
}

/// What may be done with files. None has the right to make a device node, to use a device's
/// ioctls, or to connect to a socket by path that another process made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Access {
    /// Reading, and listing folders. Mapping code is reading; executing is for workers that
    /// may start processes.
    Read {
        /// Executing too.
        execute: bool,
    },
    /// Reading and writing a device.
    Device,
    /// Reading, and writing to what is there.
    Write {
        /// Making regular files and folders.
        create: bool,
        /// Removing them; with `create` also renaming, and moving from folder to folder.
        delete: bool,
    },
    /// Reading, writing, making and removing anything: nothing of it outlives the worker.
    Scratch,
}

/// How far Landlock holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Restricted {
    /// Over files, with all rights that this version of its interface has.
    Abi {
        /// The version.
        abi: u32,
        /// Whether over TCP ports too.
        tcp: bool,
        /// Whether over signals and abstract sockets too.
        scopes: bool,
    },
    /// Not at all: the kernel has none.
    NotBuilt,
    /// Not at all: the kernel has it and doesn't use it.
    SwitchedOff,
}

/// Since this version TCP ports are restricted (Linux 6.7).
pub const TCP_ABI: u32 = 4;
/// Since this version signals and abstract sockets are (Linux 6.12).
pub const SCOPES_ABI: u32 = 6;
/// All rights that we know. Older kernels restrict fewer.
const KNOWN: ABI = ABI::V9;

impl Ruleset {
    /// What the mounts of a worker's root allow, once more.
    #[must_use]
    pub fn of(policy: &Policy) -> Ruleset {
        let rule = |path: &str, access| Rule {
            path: path.into(),
            access,
        };
        let code = Access::Read {
            execute: policy.processes,
        };
        let mut files = vec![rule(LIBRARY_FOLDER, code), rule(PLUGIN_FOLDER, code)];
        files.extend(DEVICES.iter().map(|(name, _)| {
            let path = format!("/dev/{}", name.to_string_lossy());
            rule(&path, Access::Device)
        }));
        if policy.tmp.is_some() {
            files.push(rule(TMP_FOLDER, Access::Scratch));
        }
        files.extend(policy.files.iter().map(|grant| Rule {
            path: grant.target.clone(),
            access: match grant.access {
                FileAccess::Read => code,
                FileAccess::Write { create, delete } => Access::Write { create, delete },
                FileAccess::Overlay(_) => Access::Scratch,
            },
        }));
        Ruleset {
            files,
            tcp: policy.tcp.clone(),
        }
    }

    /// Restricts the calling thread, and all that it makes, for good. `no_new_privs` must be
    /// set. Refusals aren't logged: a plugin could fill the host's audit log with them.
    ///
    /// # Errors
    /// The kernel's errno; `ENOENT` where a rule's path isn't there.
    pub fn restrict_self(&self) -> io::Result<Restricted> {
        let (tcp, scopes) = (!off(Weakened::LandlockTcp), !off(Weakened::LandlockScopes));
        let mut ruleset = handled(tcp, scopes).map_err(errno)?;
        for rule in &self.files {
            ruleset = rule.add(ruleset)?;
        }
        if tcp {
            ruleset = add_ports(&self.tcp, ruleset).map_err(errno)?;
        }
        let status = ruleset.restrict_self().map_err(errno)?;
        // Best effort leaves out what the kernel doesn't know, and says so here alone.
        match (status.landlock, status.ruleset) {
            (LandlockStatus::NotImplemented, _) => Ok(Restricted::NotBuilt),
            (LandlockStatus::NotEnabled, _) => Ok(Restricted::SwitchedOff),
            (LandlockStatus::Available { .. }, RulesetStatus::NotEnforced) => {
                Err(Errno::OPNOTSUPP.into())
            }
            (LandlockStatus::Available { effective_abi, .. }, _) => {
                let abi = effective_abi as u32;
                Ok(Restricted::Abi {
                    abi,
                    tcp: tcp && abi >= TCP_ABI,
                    scopes: scopes && abi >= SCOPES_ABI,
                })
            }
        }
    }
}

/// A ruleset that refuses everything.
fn handled(tcp: bool, scopes: bool) -> Result<RulesetCreated, RulesetError> {
    let mut ruleset = landlock::Ruleset::default().handle_access(AccessFs::from_all(KNOWN))?;
    if tcp {
        ruleset = ruleset.handle_access(AccessNet::from_all(KNOWN))?;
    }
    if scopes {
        ruleset = ruleset.scope(Scope::from_all(KNOWN))?;
    }
    let ruleset = ruleset.create()?;
    ruleset.no_new_privs(false).log_same_exec(false)
}

fn add_ports(tcp: &TcpPorts, ruleset: RulesetCreated) -> Result<RulesetCreated, RulesetError> {
    let bind = tcp.bind.iter().map(|port| (*port, AccessNet::BindTcp));
    let connect = tcp
        .connect
        .iter()
        .map(|port| (*port, AccessNet::ConnectTcp));
    let rules = bind
        .chain(connect)
        .map(|(port, access)| NetPort::new(port, access));
    rules
        .into_iter()
        .try_fold(ruleset, RulesetCreated::add_rule)
}

impl Rule {
    fn add(&self, ruleset: RulesetCreated) -> io::Result<RulesetCreated> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = open(&self.path, flags, Mode::empty())?;
        let mut rights = self.access.rights();
        // Rights that only folders can have are an error for anything else.
        if FileType::from_raw_mode(fstat(&file)?.st_mode) != FileType::Directory {
            rights &= AccessFs::from_file(KNOWN);
        }
        ruleset
            .add_rule(PathBeneath::new(file, rights))
            .map_err(errno)
    }
}

impl Access {
    fn rights(self) -> BitFlags<AccessFs> {
        let read = AccessFs::ReadFile | AccessFs::ReadDir;
        let write = AccessFs::WriteFile | AccessFs::Truncate;
        let make = AccessFs::MakeReg | AccessFs::MakeDir;
        let remove = AccessFs::RemoveFile | AccessFs::RemoveDir;
        match self {
            Access::Read { execute: false } => read,
            Access::Read { execute: true } => read | AccessFs::Execute,
            Access::Device => AccessFs::ReadFile | AccessFs::WriteFile,
            Access::Write { create, delete } => {
                let mut rights = read | write;
                if create {
                    rights |= make;
                }
                if delete {
                    rights |= remove;
                }
                if create && delete {
                    rights |= AccessFs::Refer;
                }
                rights
            }
            Access::Scratch => {
                let special = make_bitflags!(AccessFs::{MakeSym | MakeFifo | MakeSock});
                read | write | make | remove | special | AccessFs::Refer
            }
        }
    }
}

/// Acts that mounts, ids and namespaces allow and Landlock alone refuses, and one that it
/// must not refuse.
#[derive(Debug)]
pub struct Canary<'a> {
    ruleset: &'a Ruleset,
    library: PathBuf,
}

impl<'a> Canary<'a> {
    /// Makes sure, before the restriction, that nothing else refuses the acts.
    ///
    /// # Errors
    /// What refuses them.
    pub fn hatch(ruleset: &'a Ruleset) -> io::Result<Canary<'a>> {
        let mut libraries = std::fs::read_dir(LIBRARY_FOLDER)?;
        let library = libraries.next().ok_or(Errno::NOENT)??.path();
        let canary = Canary { ruleset, library };
        read(Path::new("/"))?;
        read(&canary.library)?;
        canary.bind().map_or(Ok(()), in_use_is_no_refusal)?;
        signal_parent()?;
        Ok(canary)
    }

    /// Proves, after the restriction, that each act is refused by it.
    ///
    /// # Errors
    /// `EPROTO` where an act goes through, else how it was refused instead.
    pub fn prove(&self, restricted: Restricted) -> io::Result<()> {
        let Restricted::Abi { tcp, scopes, .. } = restricted else {
            return Ok(());
        };
        read(&self.library)?;
        refused(read(Path::new("/")), Errno::ACCESS)?;
        if tcp && let Some(bound) = self.bind() {
            refused(bound, Errno::ACCESS)?;
        }
        if scopes {
            refused(signal_parent(), Errno::PERM)?;
        }
        Ok(())
    }

    /// Binds a TCP port that isn't granted; `None` where every port is. Nobody can connect to
    /// it: it doesn't listen.
    fn bind(&self) -> Option<rustix::io::Result<()>> {
        let granted = &self.ruleset.tcp.bind;
        let port = (1024..=u16::MAX).rev().find(|p| !granted.contains(p))?;
        let address = SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port);
        let (family, kind) = (AddressFamily::INET, SocketType::STREAM);
        let socket = socket_with(family, kind, SocketFlags::CLOEXEC, None);
        Some(socket.and_then(|socket| bind(&socket, &address)))
    }
}

fn read(path: &Path) -> rustix::io::Result<()> {
    open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).map(drop)
}

/// Init runs under the worker's own id, and outside what the worker restricts.
fn signal_parent() -> rustix::io::Result<()> {
    getppid().map_or(Err(Errno::SRCH), test_kill_process)
}

fn in_use_is_no_refusal(bound: rustix::io::Result<()>) -> rustix::io::Result<()> {
    match bound {
        Err(Errno::ADDRINUSE) => Ok(()),
        bound => bound,
    }
}

fn refused(act: rustix::io::Result<()>, with: Errno) -> io::Result<()> {
    match act {
        Err(errno) if errno == with => Ok(()),
        Err(errno) => Err(errno.into()),
        Ok(()) => Err(Errno::PROTO.into()),
    }
}

/// What the kernel said, below what the crate says of it.
fn errno(error: RulesetError) -> io::Error {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(error) = next {
        if let Some(errno) = error.downcast_ref().and_then(io::Error::raw_os_error) {
            return io::Error::from_raw_os_error(errno);
        }
        next = error.source();
    }
    io::Error::from_raw_os_error(libc::EINVAL)
}
