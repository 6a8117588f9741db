//! A thread looked at from outside while it can't move: registers, stack, mappings.

use std::fmt;

use sandbox::seccomp::{Caller, Lookup, Mapping};
use sandbox::trace::{Held, Registers, Top, thread_of};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Frame;
use crate::ending::signal_name;
use crate::output::escape_line;

/// The bytes of the stack that are looked at.
const STACK: usize = 64 << 10;
/// How far above the stack pointer of a stack that overflowed it is looked for, in pages.
const GUARD: u64 = 64;
const PAGE: u64 = 4096;

/// An address in a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address(pub u64);

/// What could be seen of a death.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "seen", content = "why", rename_all = "kebab-case")]
pub enum Evidence {
    /// The thread was held while it died, with all its registers.
    Held,
    /// The thread waited for the answer to a system call: of its registers the instruction and
    /// the stack pointer are known.
    Waiting,
    /// The process was frozen: of its registers the instruction and the stack pointer are known.
    Frozen,
    /// The thread was held while it died and its registers are known, but not its memory, and why.
    Registers(String),
    /// Nothing, and why.
    None(String),
}

/// A signal, and where it struck.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signal {
    /// Its number.
    pub number: i32,
    /// Its name.
    pub name: String,
    /// `si_code`, see sigaction(2).
    pub code: i32,
    /// Of a fault, the address that was touched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<Address>,
}

/// The thread that died.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thread {
    /// Its number, which is another's by now.
    pub tid: u32,
    /// The name that it gave itself.
    pub name: String,
}

/// A register.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Register {
    /// Its name.
    pub name: String,
    /// What it held.
    pub value: Address,
}

/// A mapped region.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Region {
    /// Its first address.
    pub start: Address,
    /// The first address beyond it.
    pub end: Address,
    /// Such as `r-xp`.
    pub permissions: String,
    /// Where in the file it begins.
    pub offset: Address,
    /// The file, or what else it is.
    pub path: String,
}

/// All that was read of a thread that can't move.
#[derive(Debug, Clone)]
pub(crate) struct Scene {
    pub(crate) evidence: Evidence,
    /// Where it has been found among the process's.
    pub(crate) thread: Option<Thread>,
    pub(crate) signal: Option<Signal>,
    pub(crate) top: Top,
    /// All of them, where they are known.
    pub(crate) registers: Option<Registers>,
    pub(crate) mappings: Vec<Mapping>,
    /// From the stack pointer up, or from where memory begins above it.
    pub(crate) stack: Vec<u8>,
    pub(crate) stack_start: u64,
}

impl Scene {
    /// Looks at a thread of `process` that init holds.
    pub(crate) fn of_held(process: u32, held: &Held) -> std::io::Result<Scene> {
        let tid = thread_of(process, held.thread)?;
        let caller = Caller::open(tid)?;
        let top = held.registers.top();
        Scene::read(tid, &caller, top, Evidence::Held).map(|scene| Scene {
            registers: Some(held.registers),
            signal: signal(held),
            ..scene
        })
    }

    /// What init's report alone tells of a thread.
    pub(crate) fn of_report(held: &Held, why: String) -> Scene {
        let top = held.registers.top();
        Scene {
            evidence: Evidence::Registers(why),
            thread: None,
            signal: signal(held),
            top,
            registers: Some(held.registers),
            mappings: Vec::new(),
            stack: Vec::new(),
            stack_start: top.sp,
        }
    }

    /// Looks at a thread that waits in the kernel or is frozen.
    pub(crate) fn of_stopped(tid: u32, evidence: Evidence) -> std::io::Result<Scene> {
        let caller = Caller::open(tid)?;
        let top = caller.top()?;
        Scene::read(tid, &caller, top, evidence)
    }

    fn read(tid: u32, caller: &Caller, top: Top, evidence: Evidence) -> std::io::Result<Scene> {
        let mappings = caller.mappings(top.sp)?;
        let (stack_start, stack) = stack(caller, top.sp);
        let name = escape_line(&caller.name()?);
        Ok(Scene {
            evidence,
            thread: Some(Thread { tid, name }),
            signal: None,
            top,
            registers: None,
            mappings,
            stack,
            stack_start,
        })
    }

    /// What is known of the registers.
    pub(crate) fn registers(&self) -> Vec<Register> {
        let register = |(name, value): (&str, u64)| Register {
            name: name.to_owned(),
            value: Address(value),
        };
        match &self.registers {
            Some(all) => all.named().map(register).collect(),
            None => [("ip", self.top.ip), ("sp", self.top.sp)]
                .map(register)
                .into(),
        }
    }

    pub(crate) fn regions(&self) -> Vec<Region> {
        let region = |mapping: &Mapping| Region {
            start: Address(mapping.start),
            end: Address(mapping.end),
            permissions: escape_line(mapping.permissions.as_bytes()),
            offset: Address(mapping.offset),
            path: escape_line(mapping.path.as_bytes()),
        };
        self.mappings.iter().map(region).collect()
    }

    /// Where the thread was, without a name.
    pub(crate) fn place(&self) -> Frame {
        place(&self.mappings, self.top.ip)
    }
}

fn signal(held: &Held) -> Option<Signal> {
    held.cause.map(|cause| Signal {
        number: cause.signal,
        name: signal_name(cause.signal),
        code: cause.code,
        address: is_fault(cause.signal, cause.code).then_some(Address(cause.address)),
    })
}

/// The stack from `sp` up. A stack that overflowed begins above it.
fn stack(caller: &Caller, sp: u64) -> (u64, Vec<u8>) {
    let mut stack = vec![0; STACK];
    let pages = (1..=GUARD).filter_map(|pages| (sp & !(PAGE - 1)).checked_add(pages * PAGE));
    for start in std::iter::once(sp).chain(pages) {
        let length = caller.read(start, &mut stack);
        if length > 0 {
            stack.truncate(length);
            return (start, stack);
        }
    }
    (sp, Vec::new())
}

/// The file that an address lies in.
pub(crate) fn place(mappings: &[Mapping], address: u64) -> Frame {
    let mapping = mappings.iter().find(|mapping| mapping.holds(address));
    let offset = mapping.and_then(|mapping| mapping.offset.checked_add(address - mapping.start));
    let path = mapping.map_or("", |mapping| mapping.path.as_str());
    Frame {
        address: Address(address),
        library: escape_line(path.rsplit('/').next().unwrap_or(path).as_bytes()),
        offset: Address(offset.unwrap_or(0)),
        function: None,
        file: None,
        line: None,
        inlined: false,
        guessed: false,
    }
}

/// Whether the kernel raised it for an address that was touched: codes above 0 are its own, but
/// for `SI_KERNEL`.
fn is_fault(signal: i32, code: i32) -> bool {
    const SI_KERNEL: i32 = 0x80;
    use nix::sys::signal::Signal::{SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGTRAP};
    let faults = [SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP];
    faults.map(|fault| fault as i32).contains(&signal) && code > 0 && code != SI_KERNEL
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let digits = text.strip_prefix("0x").unwrap_or("");
        u64::from_str_radix(digits, 16)
            .map(Address)
            .map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Evidence::Held => f.write_str("the thread was held while it died"),
            Evidence::Waiting => {
                f.write_str("the thread waited in its system call: of its registers two are known")
            }
            Evidence::Frozen => {
                f.write_str("the process was frozen: of its registers two are known")
            }
            Evidence::Registers(why) => write!(f, "the registers of the thread that died: {why}"),
            Evidence::None(why) => write!(f, "none, {why}"),
        }
    }
}
