//! Calls as a person reads them, in the manner of strace(1).
//!
//! Registers are the kernel's word. What pointers lead to is not: it is the caller's memory,
//! which it may change at any time, and it is written as evidence only. Every text is
//! bounded, escaped where it quotes the caller, and one line.

mod names;
mod signature;
mod sockaddr;

use std::fmt;

use super::arch::Arch;
use super::notify::Notification;
use names::Names;
use signature::{Kind, signature};

/// The most bytes of a path or another text that are quoted.
const MAX_TEXT: usize = 512;

/// Where arguments are looked up: the memory and the fds of the process that made the call.
pub trait Lookup {
    /// Reads from `address` on; how many bytes could be read, 0 where none.
    fn read(&self, address: u64, buffer: &mut [u8]) -> usize;

    /// What an fd is, as `/proc/PID/fd` links to it.
    fn fd(&self, fd: i32) -> Option<Vec<u8>>;
}

/// Looks nothing up: pointers stay addresses, fds numbers.
#[derive(Debug, Clone, Copy)]
pub struct Registers;

impl Lookup for Registers {
    fn read(&self, _: u64, _: &mut [u8]) -> usize {
        0
    }

    fn fd(&self, _: i32) -> Option<Vec<u8>> {
        None
    }
}

impl fmt::Display for Notification {
    /// Name and arguments, pointers as addresses: `openat(AT_FDCWD, 0x7f01, O_CLOEXEC)`.
    /// Nothing is read from the process.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let arguments = self.arguments(&Registers).join(", ");
        match self.name() {
            Some(name) => write!(f, "{name}({arguments})"),
            None => write!(f, "system call {}", self.nr),
        }
    }
}

impl Notification {
    /// The system call's name, where this build knows it.
    #[must_use]
    pub fn name(&self) -> Option<&'static str> {
        Arch::from_audit(self.arch)?.syscall(self.nr)
    }

    /// The arguments by their meaning, flags by their names; of a call without a signature
    /// here, all six registers.
    #[must_use]
    pub fn arguments(&self, lookup: &impl Lookup) -> Vec<String> {
        let kinds = self.name().map_or(signature::UNKNOWN, signature);
        let written = kinds.iter().zip(self.args);
        written
            .filter(|(kind, _)| self.is_read(**kind))
            .map(|(kind, value)| self.argument(*kind, value, lookup))
            .collect()
    }

    /// Whether the kernel looks at the argument at all.
    fn is_read(&self, kind: Kind) -> bool {
        match kind {
            Kind::ModeIfCreated { flags } => {
                self.args[flags] as i32 & (libc::O_CREAT | libc::O_TMPFILE) != 0
            }
            _ => true,
        }
    }

    fn argument(&self, kind: Kind, value: u64, lookup: &impl Lookup) -> String {
        let int = value as i32;
        match kind {
            Kind::Int => int.to_string(),
            Kind::Size => value.to_string(),
            Kind::Hex => format!("{value:#x}"),
            Kind::Mode | Kind::ModeIfCreated { .. } => format!("{:#o}", value as u32),
            Kind::Fd => fd(int, lookup),
            Kind::Pointer => pointer(value),
            Kind::Text => text(value, lookup),
            Kind::Address { length } => sockaddr::describe(value, self.args[length] as u32, lookup)
                .unwrap_or_else(|| pointer(value)),
            Kind::OpenHow => open_how(value, lookup),
            Kind::Code(names) => code(u64::from(value as u32), names),
            Kind::Bits(names) => bits(value, names),
            Kind::OpenFlags => open_flags(value),
            Kind::SocketType => {
                let flags = u64::from(value as u32);
                either(
                    flags & 0xf,
                    flags & !0xf,
                    names::SOCKET_TYPES,
                    names::SOCKET_FLAGS,
                )
            }
            Kind::CloneFlags => match value & 0xff {
                0 => bits(value, names::CLONE),
                signal => either(signal, value & !0xff, names::SIGNALS, names::CLONE),
            },
        }
    }
}

fn pointer(value: u64) -> String {
    match value {
        0 => "NULL".into(),
        value => format!("{value:#x}"),
    }
}

fn fd(fd: i32, lookup: &impl Lookup) -> String {
    match fd {
        libc::AT_FDCWD => "AT_FDCWD".into(),
        fd => match lookup.fd(fd) {
            Some(target) => format!("{fd}<{}>", quoted(&target)),
            None => fd.to_string(),
        },
    }
}

/// A text that ends with a zero byte, at most as long as a path can be.
fn text(address: u64, lookup: &impl Lookup) -> String {
    let mut buffer = [0; MAX_TEXT + 1];
    let read = match address {
        0 => 0,
        address => lookup.read(address, &mut buffer),
    };
    match (buffer[..read].iter().position(|byte| *byte == 0), read) {
        (_, 0) => pointer(address),
        (Some(end), _) => format!("\"{}\"", quoted(&buffer[..end])),
        (None, read) => format!("\"{}\"…", quoted(&buffer[..read.min(MAX_TEXT)])),
    }
}

/// `struct open_how`, see openat2(2).
fn open_how(address: u64, lookup: &impl Lookup) -> String {
    let mut how = [0; 24];
    if lookup.read(address, &mut how) < how.len() {
        return pointer(address);
    }
    let word = |at: usize| {
        let bytes = how[at..at + 8].try_into();
        u64::from_ne_bytes(bytes.unwrap_or_default())
    };
    let (flags, mode, resolve) = (word(0), word(8), word(16));
    let (flags, resolve) = (open_flags(flags), bits(resolve, names::RESOLVE));
    format!("{{flags={flags}, mode={mode:#o}, resolve={resolve}}}")
}

fn open_flags(flags: u64) -> String {
    let flags = u64::from(flags as u32);
    let access = libc::O_ACCMODE as u64;
    either(
        flags & access,
        flags & !access,
        names::OPEN_ACCESS,
        names::OPEN,
    )
}

/// A code and bits in one argument.
fn either(value: u64, flags: u64, values: Names, bits_of: Names) -> String {
    match flags {
        0 => code(value, values),
        flags => format!("{}|{}", code(value, values), bits(flags, bits_of)),
    }
}

fn code(value: u64, names: Names) -> String {
    let known = names.iter().find(|(number, _)| *number == value);
    known.map_or_else(|| number(value), |(_, name)| (*name).to_owned())
}

/// Names of all bits that are set, wide ones first where they overlap; the rest in hex.
fn bits(value: u64, names: Names) -> String {
    let (mut left, mut text) = (value, String::new());
    for (bit, name) in names {
        if *bit != 0 && left & bit == *bit {
            left &= !bit;
            join(&mut text, name);
        }
    }
    if left != 0 || text.is_empty() {
        let zero = names.iter().find(|(bit, _)| *bit == 0 && left == 0);
        match zero {
            Some((_, name)) => join(&mut text, name),
            None => join(&mut text, &number(left)),
        }
    }
    text
}

fn number(value: u64) -> String {
    match value {
        0..=9 => value.to_string(),
        value => format!("{value:#x}"),
    }
}

fn join(text: &mut String, part: &str) {
    if !text.is_empty() {
        text.push('|');
    }
    text.push_str(part);
}

/// Hostile bytes in one line: graphic ASCII as it is, the rest as `\x1b`.
fn quoted(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

#[cfg(test)]
mod tests;
