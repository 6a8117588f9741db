//! Which function an address of a file's code lies in.
//!
//! The file is a plugin's, or one of its libraries': every table is bounded, and a file whose
//! tables make no sense has no symbols. The supervisor's own copy is read, never the worker's.

use std::fs::File;
use std::os::unix::fs::FileExt;

use object::LittleEndian as LE;
use object::elf::{self, Sym64};
use object::pod;
use object::read::elf::{FileHeader as _, ProgramHeader as _, SectionHeader as _, Sym as _};

use super::dynamic::{Header, Segment};
use crate::document::printable;

/// The most symbols that are looked at.
const MAX_SYMBOLS: u64 = 1 << 20;
/// The most functions that are kept.
const MAX_FUNCTIONS: usize = 1 << 18;
/// The most loaded segments that are kept.
const MAX_SEGMENTS: usize = 64;
/// The most bytes of a name that are read.
const MAX_NAME: usize = 256;
/// How far before an address its function is looked for among those that begin there.
const MAX_ALIASES: usize = 16;
/// Symbols that are read at once.
const BATCH: usize = 4096;

const SYMBOL: usize = size_of::<Sym64<LE>>();

/// The functions of a file, by address.
#[derive(Debug, Default)]
pub struct Symbols {
    segments: Vec<Loaded>,
    functions: Vec<Function>,
    /// Where the names lie in the file.
    names: u64,
}

/// A function by name, and how far into it an address is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The function's name as it stands in the file, escaped.
    pub symbol: String,
    /// Bytes from its beginning.
    pub offset: u64,
}

#[derive(Debug, Clone, Copy)]
struct Loaded {
    offset: u64,
    length: u64,
    address: u64,
}

#[derive(Debug, Clone, Copy)]
struct Function {
    start: u64,
    /// 0: as far as the next one.
    length: u64,
    name: u32,
}

impl Symbols {
    /// Reads the symbol table of `file`, or the one of its exports where it was stripped.
    #[must_use]
    pub fn of(file: &File) -> Symbols {
        read(file).unwrap_or_default()
    }

    /// The function that the byte at `offset` of the file belongs to.
    #[must_use]
    pub fn place(&self, file: &File, offset: u64) -> Option<Place> {
        let address = self.address(offset)?;
        let after = self
            .functions
            .partition_point(|function| function.start <= address);
        let before = self.functions[..after].iter().rev().take(MAX_ALIASES);
        let nearest = before.clone().next()?.start;
        let within = |function: &&Function| match function.length {
            0 => function.start == nearest,
            length => address - function.start < length,
        };
        let function = before
            .filter(within)
            .max_by_key(|function| function.length > 0)?;
        let symbol = name(file, self.names.checked_add(function.name.into())?)?;
        // Labels by which assemblers for aarch64 tell code from data.
        (!symbol.starts_with('$')).then(|| Place {
            symbol,
            offset: address - function.start,
        })
    }

    fn address(&self, offset: u64) -> Option<u64> {
        self.segments.iter().find_map(|segment| {
            let into = offset.checked_sub(segment.offset)?;
            (into < segment.length).then(|| segment.address.checked_add(into))?
        })
    }
}

fn read(file: &File) -> Option<Symbols> {
    let data = super::file_data(file).ok()?;
    let header = Header::parse(&data).ok()?;
    // Counts that don't fit their fields stand elsewhere, as long as the file likes.
    if header.e_phnum(LE) == elf::PN_XNUM || header.e_shnum(LE) == 0 {
        return None;
    }
    let segments = header.program_headers(LE, &data).ok()?;
    let sections = header.section_headers(LE, &data).ok()?;
    let of_type = |kind| {
        let found = sections.iter().find(|section| section.sh_type(LE) == kind);
        found.filter(|table| table.sh_entsize(LE) == SYMBOL as u64)
    };
    let table = of_type(elf::SHT_SYMTAB).or_else(|| of_type(elf::SHT_DYNSYM))?;
    let names = sections.get(table.sh_link(LE) as usize)?;
    let count = (table.sh_size(LE) / SYMBOL as u64).min(MAX_SYMBOLS);
    Some(Symbols {
        segments: segments
            .iter()
            .filter_map(loaded)
            .take(MAX_SEGMENTS)
            .collect(),
        functions: functions(file, table.sh_offset(LE), count)?,
        names: names.sh_offset(LE),
    })
}

fn loaded(segment: &Segment) -> Option<Loaded> {
    (segment.p_type(LE) == elf::PT_LOAD).then(|| Loaded {
        offset: segment.p_offset(LE),
        length: segment.p_filesz(LE),
        address: segment.p_vaddr(LE),
    })
}

fn functions(file: &File, offset: u64, count: u64) -> Option<Vec<Function>> {
    let mut functions = Vec::new();
    let mut buffer = vec![0; BATCH * SYMBOL];
    let mut at = 0;
    while at < count && functions.len() < MAX_FUNCTIONS {
        let batch = (count - at).min(BATCH as u64);
        let bytes = &mut buffer[..batch as usize * SYMBOL];
        let place = offset.checked_add(at * SYMBOL as u64)?;
        file.read_exact_at(bytes, place).ok()?;
        let symbols: &[Sym64<LE>] = pod::slice_from_all_bytes(bytes).ok()?;
        functions.extend(symbols.iter().filter_map(function));
        at += batch;
    }
    functions.truncate(MAX_FUNCTIONS);
    functions.sort_by_key(|function| function.start);
    Some(functions)
}

/// Assembly often has labels without a type.
fn function(symbol: &Sym64<LE>) -> Option<Function> {
    let kinds = [elf::STT_FUNC, elf::STT_GNU_IFUNC, elf::STT_NOTYPE];
    let defined = symbol.st_shndx(LE) != elf::SHN_UNDEF && symbol.st_name(LE) != 0;
    (defined && kinds.contains(&symbol.st_type())).then(|| Function {
        start: symbol.st_value(LE),
        length: symbol.st_size(LE),
        name: symbol.st_name(LE),
    })
}

fn name(file: &File, offset: u64) -> Option<String> {
    let mut buffer = [0; MAX_NAME];
    let read = file.read_at(&mut buffer, offset).ok()?;
    let name = buffer[..read].split(|byte| *byte == 0).next()?;
    (!name.is_empty()).then(|| printable(&String::from_utf8_lossy(name)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use std::fs;
    use std::io::Write;
    use std::process::Command;

    use proptest::prelude::*;

    use super::*;

    const SOURCE: &str = "
        __attribute__((noinline)) static int hidden(int x) { return x * x + 7; }
        int shown(int x) { return hidden(x) + hidden(x + 1); }
    ";

    fn compiled(flags: &[&str]) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let (code, object) = (folder.path().join("x.c"), folder.path().join("x.so"));
        fs::write(&code, SOURCE).unwrap();
        let mut compiler = Command::new("cc");
        compiler
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .arg(&object);
        assert!(compiler.arg(&code).args(flags).status().unwrap().success());
        fs::read(object).unwrap()
    }

    fn file(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    /// Every name that some byte of the file belongs to.
    fn names(bytes: &[u8]) -> Vec<String> {
        let file = file(bytes);
        let symbols = Symbols::of(&file);
        let mut names: Vec<_> = (0..bytes.len() as u64)
            .filter_map(|offset| symbols.place(&file, offset))
            .filter(|place| place.offset < 64)
            .map(|place| place.symbol)
            .collect();
        names.sort();
        names.dedup();
        names
    }

    #[test]
    fn functions_are_found_by_the_offset_of_their_code() {
        let bytes = compiled(&[]);
        let file = file(&bytes);
        let symbols = Symbols::of(&file);
        let shown = symbols.functions.iter().find(|function| {
            name(&file, symbols.names + u64::from(function.name)).unwrap() == "shown"
        });
        let shown = shown.unwrap();
        let text = symbols.segments.iter().find(|segment| {
            (segment.address..segment.address + segment.length).contains(&shown.start)
        });
        let offset = shown.start - text.unwrap().address + text.unwrap().offset;

        let place = symbols.place(&file, offset + 3).unwrap();

        assert_eq!((&*place.symbol, place.offset), ("shown", 3));
        assert!(names(&bytes).contains(&"hidden".to_owned()));
    }

    #[test]
    fn stripped_file_names_what_it_exports_and_nothing_else() {
        let names = names(&compiled(&["-s"]));
        assert!(names.contains(&"shown".to_owned()), "{names:?}");
        assert!(!names.contains(&"hidden".to_owned()), "{names:?}");
    }

    #[test]
    fn what_is_no_elf_file_has_no_symbols() {
        for bytes in [&b""[..], b"\x7fELF", &[0xff; 4096]] {
            assert_eq!(names(bytes), Vec::<String>::new());
        }
    }

    proptest! {
        #[test]
        fn damaged_file_is_survived(damage in proptest::collection::vec((0..20_000_usize, any::<u8>()), 1..40), length in 0..20_000_usize) {
            static WHOLE: std::sync::LazyLock<Vec<u8>> = std::sync::LazyLock::new(|| compiled(&[]));
            let mut bytes = WHOLE.clone();
            for (at, value) in damage {
                // Headers and tables lie at both ends.
                let at = if value % 2 == 0 { at % 0x400 } else { at % bytes.len() };
                bytes[at] = value;
            }
            bytes.truncate(length.max(64));
            let file = file(&bytes);
            let symbols = Symbols::of(&file);
            for offset in (0..bytes.len() as u64).step_by(97).chain([u64::MAX]) {
                let name = symbols.place(&file, offset).map(|place| place.symbol.len());
                prop_assert!(name.unwrap_or(0) <= 10 * MAX_NAME);
            }
        }
    }
}
