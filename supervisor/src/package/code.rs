//! Places in a plugin's code: by path and offset as the worker maps it, looked up in the
//! bytes that the supervisor holds.

use std::fs::File;
use std::os::unix::fs::FileExt;

use sandbox::mounts::PLUGIN_FOLDER;

use super::{FILE_NAME, Package};
use crate::document::printable;
use crate::elf::{Place, Symbols};
use crate::violations::Frame;

/// The longest call instruction that leaves a return address.
const LONGEST_CALL: usize = 7;

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

/// `call rel32`, or `call` through a register or memory with each length of its operand
/// (Intel SDM, volume 2, CALL).
#[cfg(target_arch = "x86_64")]
fn ends_with_call(code: &[u8; LONGEST_CALL]) -> bool {
    let indirect = |length: usize| {
        let at = LONGEST_CALL - length;
        code[at] == 0xff && code[at + 1] >> 3 & 7 == 2
    };
    code[LONGEST_CALL - 5] == 0xe8 || [2, 3, 4, 6, 7].into_iter().any(indirect)
}

/// `bl`, or `blr` (Arm ARM, C6.2).
#[cfg(target_arch = "aarch64")]
fn ends_with_call(code: &[u8; LONGEST_CALL]) -> bool {
    let [.., a, b, c, d] = *code;
    let instruction = u32::from_le_bytes([a, b, c, d]);
    instruction & 0xfc00_0000 == 0x9400_0000 || instruction & 0xffff_fc1f == 0xd63f_0000
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn calls_are_told_from_other_instructions() {
        for code in [
            [0x90, 0x90, 0xe8, 1, 2, 3, 4],
            [0x90, 0x90, 0x90, 0x90, 0x90, 0xff, 0xd0],
            [0x90, 0x90, 0x90, 0x90, 0xff, 0x50, 0x08],
            [0x90, 0xff, 0x15, 1, 2, 3, 4],
            [0xff, 0x94, 0x24, 1, 2, 3, 4],
        ] {
            assert!(ends_with_call(&code), "{code:x?}");
        }
        for code in [
            [0x90; 7],
            [0x90, 0x90, 0xe9, 1, 2, 3, 4],
            [0x90, 0x90, 0x90, 0x90, 0x90, 0xff, 0xe0],
        ] {
            assert!(!ends_with_call(&code), "{code:x?}");
        }
    }
}
