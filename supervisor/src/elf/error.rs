//! What can be wrong with an ELF file.

use std::path::{Path, PathBuf};

use thiserror::Error;

use super::dynamic::{HOST, Machine};
use super::inspect::ENTRY_SYMBOL;
use crate::manifest::NameError;

/// An ELF file that can't be used, and why.
#[derive(Debug, Error)]
#[error("{}: {fault}", file.display())]
pub struct ElfError {
    /// The file.
    pub file: PathBuf,
    /// What is wrong with it.
    pub fault: Fault,
}

/// What is wrong with an ELF file.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Fault {
    /// Something else altogether.
    #[error("it is not an ELF file")]
    NotElf,
    /// Its headers speak of bytes that aren't there.
    #[error("it is truncated: its headers speak of {needs} bytes, it has {has}")]
    Truncated {
        /// Bytes that it should have at least.
        needs: u64,
        /// Bytes that it has.
        has: u64,
    },
    /// It isn't 64-bit.
    #[error("it is a 32-bit ELF file for {machine}, this host runs 64-bit {HOST}")]
    WrongClass {
        /// What it is for.
        machine: Machine,
    },
    /// It is for another processor.
    #[error("it is for {machine}, this host is {HOST}")]
    WrongMachine {
        /// What it is for.
        machine: Machine,
    },
    /// It is a program, an object file or a core dump.
    #[error("it is {found}, not a shared object: link it with -shared")]
    NotShared {
        /// What it is.
        found: &'static str,
    },
    /// It isn't a plugin.
    #[error("it has no entry symbol {ENTRY_SYMBOL}: it is no Cordon plugin")]
    NoEntry,
    /// Its parts contradict each other.
    #[error("it is damaged: {what}")]
    Malformed {
        /// Which part.
        what: &'static str,
    },
    /// It asks for what the sandbox doesn't let the loader do.
    #[error("it can't be loaded: {why}")]
    Unloadable {
        /// What it asks for, each with what mends it.
        why: String,
    },
    /// It needs a library by a name that is a path.
    #[error("it needs a library by a bad name: {0}")]
    BadSoname(#[from] NameError),
}

impl Fault {
    pub(super) fn in_file(self, file: &Path) -> ElfError {
        ElfError {
            file: file.to_owned(),
            fault: self,
        }
    }
}
