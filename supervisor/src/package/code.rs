//! Places in a plugin's code: by path and offset as the worker maps it, looked up in the
//! bytes that the supervisor holds.

use std::fs::File;
use std::os::unix::fs::FileExt;

use sandbox::mounts::PLUGIN_FOLDER;
use sandbox::trace::{LONGEST_CALL, ends_with_call};

use super::{FILE_NAME, Package};
use crate::document::printable;
use crate::elf::{Place, Symbols};
use crate::violations::Frame;

impl Package {
    /// The function at `offset` of the file that the worker has at `path`; `None` where it
    /// isn't one of this package. `offset` is that of a return address: the call before it
    /// counts, which can be a function's last instruction.
    pub(crate) fn frame(&self, path: &str, offset: u64) -> Option<Frame> {
        let (file, library, symbols) = self.file_at(path)?;
        let symbols = symbols.get_or_init(|| Symbols::of(file));
        let frame = match symbols.place(file, offset.saturating_sub(1)) {
            Some(Place { symbol, offset }) => Frame::Found {
                library,
                symbol: Some(symbol),
                offset: offset + 1,
            },
            None => Frame::Found {
                library,
                symbol: None,
                offset,
            },
        };
        Some(frame)
    }

    /// Whether the instruction before `offset` of that file is a call, so that a word on a
    /// stack may be its return address.
    pub(crate) fn follows_call(&self, path: &str, offset: u64) -> bool {
        let Some((file, ..)) = self.file_at(path) else {
            return false;
        };
        let mut code = [0; LONGEST_CALL];
        let start = offset.checked_sub(LONGEST_CALL as u64);
        start.is_some_and(|start| file.read_exact_at(&mut code, start).is_ok())
            && ends_with_call(&code)
    }

    fn file_at(&self, path: &str) -> Option<(&File, String, &std::sync::OnceLock<Symbols>)> {
        let name = path.strip_prefix(PLUGIN_FOLDER)?.strip_prefix('/')?;
        if name == FILE_NAME {
            let library = self.path.file_name().unwrap_or_default().to_string_lossy();
            return Some((self.sealed.file(), printable(&library), &self.symbols[0]));
        }
        let mut libraries = self.libraries.iter().zip(&self.symbols[1..]);
        let (library, symbols) = libraries.find(|(library, _)| library.soname.as_str() == name)?;
        Some((&library.file, name.to_owned(), symbols))
    }
}
