//! A mapped file: its tables for unwinding, its symbols, its debug data.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::File;
use std::io::Read;

use addr2line::gimli::{
    BaseAddresses, EhFrame, EndianSlice, LittleEndian, SectionId, UnwindSection, UnwindTableRow,
};
use addr2line::{Context, demangle_auto, gimli};
use object::read::elf::ElfFile64;
use object::{Object, ObjectSection, ObjectSegment, ObjectSymbol, SymbolKind};
use sandbox::seccomp::Mapping;
use sandbox::trace::{LONGEST_CALL, ends_with_call};

/// The largest file that is read.
const MAX_FILE: u64 = 64 << 20;
/// The most functions that were inlined into one another.
const MAX_INLINED: usize = 8;

/// A section of a file; files are kept until the process ends, which is soon.
pub(super) type Slice = EndianSlice<'static, LittleEndian>;

/// What is known of an address.
pub(super) struct Name {
    pub(super) function: Option<String>,
    pub(super) file: Option<String>,
    pub(super) line: Option<u32>,
    pub(super) inlined: bool,
}

/// The files of a process.
pub(super) struct Libraries<'a> {
    mappings: &'a [Mapping],
    /// Nothing for what can't be read.
    opened: HashMap<&'a str, Option<Library>>,
}

struct Library {
    data: &'static [u8],
    elf: ElfFile64<'static, object::LittleEndian>,
    eh_frame: Option<(EhFrame<Slice>, BaseAddresses)>,
    debug: Option<Context<Slice>>,
}

impl<'a> Libraries<'a> {
    pub(super) fn new(mappings: &'a [Mapping]) -> Libraries<'a> {
        Libraries {
            mappings,
            opened: HashMap::new(),
        }
    }

    /// Whether it is an address of code.
    pub(super) fn is_code(&self, address: u64) -> bool {
        self.mapping(address).is_some_and(Mapping::is_executable)
    }

    /// Whether it is an address in the worker's own program, of which there is no file here.
    pub(super) fn is_ours(&self, address: u64) -> bool {
        self.mapping(address)
            .is_some_and(|mapping| mapping.path.starts_with("/memfd:"))
    }

    /// Whether a call stands before this address.
    pub(super) fn follows_call(&mut self, address: u64) -> bool {
        if !self.is_code(address) {
            return false;
        }
        if self.is_ours(address) {
            return true;
        }
        let Some((library, offset)) = self.at(address) else {
            return false;
        };
        let code = usize::try_from(offset).ok().and_then(|end| {
            let start = end.checked_sub(LONGEST_CALL)?;
            library.data.get(start..end)?.try_into().ok()
        });
        code.is_some_and(ends_with_call)
    }

    /// Uses the row of the unwinding table for an address of code.
    pub(super) fn row<T>(
        &mut self,
        address: u64,
        with: impl FnOnce(&EhFrame<Slice>, &UnwindTableRow<usize>) -> Option<T>,
    ) -> Option<T> {
        let (library, offset) = self.at(address)?;
        let virtual_address = library.virtual_address(offset)?;
        let (eh_frame, bases) = library.eh_frame.as_ref()?;
        let mut context = gimli::UnwindContext::new();
        let row = eh_frame
            .unwind_info_for_address(
                bases,
                &mut context,
                virtual_address,
                EhFrame::cie_from_offset,
            )
            .ok()?;
        with(eh_frame, row)
    }

    /// The functions at an address, the innermost of those inlined first.
    pub(super) fn names(&mut self, address: u64) -> Vec<Name> {
        let Some((library, offset)) = self.at(address) else {
            return Vec::new();
        };
        let Some(address) = library.virtual_address(offset) else {
            return Vec::new();
        };
        let mut names = library.debugged(address).unwrap_or_default();
        // Debug data has no names for what another compiler made.
        if names.last().is_none_or(|name| name.function.is_none()) {
            let function = library.symbol(address);
            match names.last_mut() {
                Some(last) => last.function = function,
                None if function.is_some() => names.push(Name {
                    function,
                    file: None,
                    line: None,
                    inlined: false,
                }),
                None => {}
            }
        }
        names
    }

    fn mapping(&self, address: u64) -> Option<&'a Mapping> {
        self.mappings.iter().find(|mapping| mapping.holds(address))
    }

    /// The file at an address, and where in it.
    fn at(&mut self, address: u64) -> Option<(&Library, u64)> {
        let mapping = self.mapping(address)?;
        let offset = mapping.offset.checked_add(address - mapping.start)?;
        let opened = self.opened.entry(&mapping.path);
        let library = opened.or_insert_with(|| Library::open(&mapping.path));
        library.as_ref().map(|library| (library, offset))
    }
}

impl Library {
    fn open(path: &str) -> Option<Library> {
        // What isn't a file has a name in brackets, or none.
        if !path.starts_with('/') {
            return None;
        }
        let mut data = Vec::new();
        File::open(path)
            .and_then(|file| file.take(MAX_FILE).read_to_end(&mut data))
            .ok()?;
        let data: &'static [u8] = data.leak();
        let elf = ElfFile64::parse(data).ok()?;
        let eh_frame = eh_frame(&elf);
        let debug = gimli::Dwarf::load(|id: SectionId| {
            Ok::<_, gimli::Error>(Slice::new(section(&elf, id.name()), LittleEndian))
        });
        let debug = debug.ok().and_then(|dwarf| Context::from_dwarf(dwarf).ok());
        Some(Library {
            data,
            elf,
            eh_frame,
            debug,
        })
    }

    fn virtual_address(&self, offset: u64) -> Option<u64> {
        self.elf.segments().find_map(|segment| {
            let (start, length) = segment.file_range();
            let into = offset.checked_sub(start).filter(|into| *into < length)?;
            segment.address().checked_add(into)
        })
    }

    fn debugged(&self, address: u64) -> Option<Vec<Name>> {
        let frames = self.debug.as_ref()?.find_frames(address);
        let mut frames = frames.skip_all_loads().ok()?;
        let mut names: Vec<Name> = Vec::new();
        while let Ok(Some(frame)) = frames.next() {
            let function = frame.function.and_then(|name| {
                let name = name.demangle().ok()?.into_owned();
                Some(name)
            });
            let location = frame.location;
            if let Some(before) = names.last_mut() {
                before.inlined = true;
            }
            names.push(Name {
                function,
                file: location.as_ref().and_then(|at| at.file.map(str::to_owned)),
                line: location.and_then(|at| at.line),
                inlined: false,
            });
            if names.len() == MAX_INLINED {
                break;
            }
        }
        Some(names)
    }

    fn symbol(&self, address: u64) -> Option<String> {
        let symbols = self.elf.symbols().chain(self.elf.dynamic_symbols());
        let holds = |symbol: &object::read::elf::ElfSymbol64<'_, '_, object::LittleEndian>| {
            let into = address.checked_sub(symbol.address());
            let within = into.is_some_and(|into| into < symbol.size());
            symbol.kind() == SymbolKind::Text && within
        };
        let symbol = symbols.filter(holds).max_by_key(ObjectSymbol::address)?;
        let name = symbol.name().ok()?;
        Some(demangle_auto(Cow::Borrowed(name), None).into_owned())
    }
}

fn eh_frame(
    elf: &ElfFile64<'static, object::LittleEndian>,
) -> Option<(EhFrame<Slice>, BaseAddresses)> {
    let eh_frame = elf.section_by_name(".eh_frame")?;
    let mut bases = BaseAddresses::default().set_eh_frame(eh_frame.address());
    if let Some(text) = elf.section_by_name(".text") {
        bases = bases.set_text(text.address());
    }
    let data = eh_frame.data().ok()?;
    let mut eh_frame = EhFrame::new(data, LittleEndian);
    eh_frame.set_address_size(size_of::<u64>() as u8);
    Some((eh_frame, bases))
}

/// Nothing for one that is missing or compressed.
fn section(elf: &ElfFile64<'static, object::LittleEndian>, name: &str) -> &'static [u8] {
    let data = elf
        .section_by_name(name)
        .map(|section| section.uncompressed_data());
    match data {
        Some(Ok(Cow::Borrowed(data))) => data,
        Some(Ok(Cow::Owned(data))) => data.leak(),
        _ => &[],
    }
}
