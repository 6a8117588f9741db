//! All that `cordon inspect` tells of a plugin's file.

use std::path::Path;

use object::LittleEndian as LE;
use object::elf;
use object::pod;
use object::read::ReadRef;
use object::read::elf::{FileHeader as _, GnuHashTable, HashTable, SectionHeader as _, Sym as _};
use serde::Serialize;

use super::dynamic::{Dynamic, Header, Layout, malformed};
use super::error::{ElfError, Fault};
use super::precheck::Precheck;
use crate::document::printable;
use crate::manifest::MAX_LEN;

/// The one export that makes a shared object a plugin.
pub const ENTRY_SYMBOL: &str = "cordon_plugin_entry";
/// The section that holds the manifest.
pub const MANIFEST_SECTION: &str = ".cordon.manifest";

/// The most exports that are listed.
const MAX_LISTED: usize = 4096;
/// The most bytes of a symbol's name that are listed.
const MAX_SYMBOL: usize = 1024;

/// What a plugin's file says about itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Inspection {
    /// What the dynamic loader reads.
    #[serde(flatten)]
    pub dynamic: Dynamic,
    /// What others can find in it.
    pub exports: Exports,
    /// What it asks of the loader.
    pub precheck: Precheck,
    /// The bytes of the manifest section, if there is one. Text by somebody else.
    #[serde(skip)]
    pub manifest: Option<Vec<u8>>,
    file: std::path::PathBuf,
}

/// The symbols that a shared object defines for others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Exports {
    /// Their names, the first 4096.
    pub names: Vec<String>,
    /// How many there are.
    pub total: usize,
    /// Whether `cordon_plugin_entry` is one of them.
    pub has_entry: bool,
}

impl Inspection {
    /// Reads a shared object for this host; `file` is named in errors.
    pub fn of<'data, R: ReadRef<'data>>(file: &Path, data: R) -> Result<Self, ElfError> {
        let read = || {
            let layout = Layout::read(data)?;
            Ok(Self {
                dynamic: layout.dynamic()?,
                exports: exports(&layout)?,
                precheck: Precheck::of(&layout),
                manifest: manifest(&layout)?,
                file: file.to_owned(),
            })
        };
        read().map_err(|fault: Fault| fault.in_file(file))
    }

    /// Checks that the loader would take it.
    ///
    /// # Errors
    /// [`Fault::Unloadable`], with every reason.
    pub fn require_loadable(&self) -> Result<(), ElfError> {
        match self.precheck.refusal() {
            Some(why) => Err(Fault::Unloadable { why }.in_file(&self.file)),
            None => Ok(()),
        }
    }

    /// Checks that it is a plugin.
    pub fn require_entry(&self) -> Result<(), ElfError> {
        if self.exports.has_entry {
            Ok(())
        } else {
            Err(Fault::NoEntry.in_file(&self.file))
        }
    }
}

fn exports<'data, R: ReadRef<'data>>(layout: &Layout<'data, R>) -> Result<Exports, Fault> {
    let mut exports = Exports::default();
    for symbol in symbols(layout)? {
        if symbol.st_shndx(LE) == elf::SHN_UNDEF || symbol.st_bind() == elf::STB_LOCAL {
            continue;
        }
        exports.total += 1;
        let name = layout.string(symbol.st_name(LE).into(), MAX_SYMBOL);
        exports.has_entry |= name == Some(ENTRY_SYMBOL.as_bytes());
        if exports.names.len() < MAX_LISTED {
            exports
                .names
                .push(name.map_or("(unreadable)".to_owned(), |name| {
                    printable(&String::from_utf8_lossy(name))
                }));
        }
    }
    exports.names.sort_unstable();
    Ok(exports)
}

/// The dynamic symbols. Their number stands only in the hash tables.
fn symbols<'data, R: ReadRef<'data>>(
    layout: &Layout<'data, R>,
) -> Result<&'data [elf::Sym64<LE>], Fault> {
    let broken = || malformed("symbol hash table");
    let count = if let Some(address) = layout.value(elf::DT_GNU_HASH) {
        let table = layout.bytes_at(address, None).ok_or_else(broken)?;
        let table = GnuHashTable::<Header>::parse(LE, table).map_err(|_| broken())?;
        // An empty table has no length: then nothing is exported.
        table.symbol_table_length(LE).unwrap_or(0)
    } else if let Some(address) = layout.value(elf::DT_HASH) {
        let table = layout.bytes_at(address, None).ok_or_else(broken)?;
        HashTable::<Header>::parse(LE, table)
            .map_err(|_| broken())?
            .symbol_table_length()
    } else {
        0
    };
    let address = layout
        .value(elf::DT_SYMTAB)
        .ok_or_else(|| malformed("no symbol table"))?;
    let size = u64::from(count) * size_of::<elf::Sym64<LE>>() as u64;
    let bytes = layout
        .bytes_at(address, Some(size))
        .ok_or_else(|| malformed("symbol table"))?;
    pod::slice_from_all_bytes(bytes).map_err(|()| malformed("symbol table"))
}

fn manifest<'data, R: ReadRef<'data>>(layout: &Layout<'data, R>) -> Result<Option<Vec<u8>>, Fault> {
    let broken = |_| malformed("section headers");
    let headers = layout
        .header
        .section_headers(LE, layout.data)
        .map_err(broken)?;
    if headers.is_empty() {
        return Ok(None);
    }
    let index = layout
        .header
        .section_strings_index(LE, layout.data)
        .map_err(broken)?;
    let names = headers
        .get(index.0)
        .ok_or_else(|| malformed("section headers"))?;
    let names = names.data(LE, layout.data).map_err(broken)?;
    // Compared in place: the end of a hostile name could be as far away as the end of the file.
    let wanted = [MANIFEST_SECTION.as_bytes(), b"\0"].concat();
    let named = |section: &&elf::SectionHeader64<LE>| {
        names
            .get(section.sh_name(LE) as usize..)
            .is_some_and(|name| name.starts_with(&wanted))
    };
    let Some(section) = headers.iter().find(named) else {
        return Ok(None);
    };
    if section.sh_size(LE) > MAX_LEN {
        return Err(malformed("its manifest is longer than 64 KiB"));
    }
    let bytes = section
        .data(LE, layout.data)
        .map_err(|_| malformed("manifest section"))?;
    Ok(Some(bytes.to_vec()))
}
