//! ELF files, read as data: what a plugin is, and which libraries it needs. No plugin code runs.
//!
//! What the dynamic loader acts on is read as it reads it, from program headers and `PT_DYNAMIC`;
//! only the manifest is found by section. Every read is bounded by the file, every list by a
//! constant.

mod closure;
mod dynamic;
mod error;
mod inspect;
mod library_dirs;
mod precheck;
mod symbols;

use std::fs::File;
use std::os::unix::fs::FileExt;

use object::read::{ReadCache, ReadCacheOps};

pub use closure::{Closure, ClosureError, ClosureFault, Library, MAX_LIBRARIES, MAX_TOTAL};
pub use dynamic::{Dynamic, HOST, Machine, Soname};
pub use error::{ElfError, Fault};
pub use inspect::{ENTRY_SYMBOL, Exports, Inspection, MANIFEST_SECTION};
pub use library_dirs::{Distrust, LibraryDirs, LibraryDirsError, Skipped};
pub use precheck::{Check, Finding, Precheck, Verdict};
pub use symbols::{Place, Symbols};

/// The ELF data of a file, read with `pread(2)`, only where it is looked at.
pub type FileData = ReadCache<Pread>;

/// Gives `file` to the parsers of this module.
pub fn file_data(file: &File) -> std::io::Result<FileData> {
    let len = file.metadata()?.len();
    Ok(ReadCache::new(Pread {
        file: file.try_clone()?,
        len,
        position: 0,
    }))
}

/// A reader with a position of its own, since duplicates of an fd share the kernel's.
#[derive(Debug)]
pub struct Pread {
    file: File,
    len: u64,
    position: u64,
}

impl ReadCacheOps for Pread {
    fn len(&mut self) -> Result<u64, ()> {
        Ok(self.len)
    }

    fn seek(&mut self, position: u64) -> Result<u64, ()> {
        self.position = position;
        Ok(position)
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, ()> {
        let read = self.file.read_at(buffer, self.position).map_err(|_| ())?;
        self.position += read as u64;
        Ok(read)
    }

    fn read_exact(&mut self, buffer: &mut [u8]) -> Result<(), ()> {
        self.file
            .read_exact_at(buffer, self.position)
            .map_err(|_| ())?;
        self.position += buffer.len() as u64;
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests;
