//! The dynamic section: what the loader reads before it maps anything.

use std::fmt;
use std::path::Path;

use object::LittleEndian as LE;
use object::elf;
use object::read::ReadRef;
use object::read::elf::{Dyn as _, FileHeader as _, ProgramHeader as _};
use serde::{Serialize, Serializer};

use super::error::{ElfError, Fault};
use super::precheck::Precheck;
use crate::document::printable;
use crate::manifest::NameError;

/// The most `DT_NEEDED` entries of one file.
const MAX_NEEDED: usize = 256;
/// The longest library name: what a file name can have (`NAME_MAX`).
const MAX_SONAME: usize = 255;
/// The most bytes of a run path that are reported.
const MAX_RUN_PATH: usize = 4096;

/// Both architectures that Cordon runs on are 64-bit and little-endian.
pub(super) type Header = elf::FileHeader64<LE>;
pub(super) type Segment = elf::ProgramHeader64<LE>;

/// What the dynamic loader reads of a shared object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Dynamic {
    /// What it is for.
    pub machine: Machine,
    /// `DT_SONAME`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub soname: Option<String>,
    /// `DT_NEEDED`, in order.
    pub needed: Vec<Soname>,
    /// `DT_RPATH`, which Cordon ignores.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rpath: Option<String>,
    /// `DT_RUNPATH`, which Cordon ignores.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runpath: Option<String>,
    /// Whether it asks for an executable stack.
    pub executable_stack: bool,
}

/// A processor architecture, `e_machine`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Machine(u16);

/// The architecture of this host.
#[cfg(target_arch = "x86_64")]
pub const HOST: Machine = Machine(elf::EM_X86_64.0);
/// The architecture of this host.
#[cfg(target_arch = "aarch64")]
pub const HOST: Machine = Machine(elf::EM_AARCH64.0);

/// The name of a library, a plain file name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Soname(String);

impl Dynamic {
    /// Reads a shared object for this host that the loader would take; `file` is named in errors.
    pub fn read<'data, R: ReadRef<'data>>(file: &Path, data: R) -> Result<Self, ElfError> {
        let read = || {
            let layout = Layout::read(data)?;
            match Precheck::of(&layout).refusal() {
                Some(why) => Err(Fault::Unloadable { why }),
                None => layout.dynamic(),
            }
        };
        read().map_err(|fault: Fault| fault.in_file(file))
    }

    /// Reads a position-independent program for this host, as the worker's is.
    pub fn of_program<'data, R: ReadRef<'data>>(file: &Path, data: R) -> Result<Self, ElfError> {
        Layout::read_any(data)
            .and_then(|layout| layout.dynamic())
            .map_err(|fault| fault.in_file(file))
    }
}

impl Soname {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Takes a plain file name: no slash, no `..`, nothing that disturbs a terminal.
    pub fn parse(name: &[u8]) -> Result<Self, NameError> {
        let plain = |text: &&str| {
            (1..=MAX_SONAME).contains(&text.len())
                && *text != "."
                && !text.contains("..")
                && text.bytes().all(|c| c.is_ascii_graphic() && c != b'/')
        };
        std::str::from_utf8(name)
            .ok()
            .filter(plain)
            .map(|text| Self(text.to_owned()))
            .ok_or_else(|| NameError {
                text: printable(&String::from_utf8_lossy(name)),
                kind: "library name",
                rule: "a plain file name without '/', '..' and blanks",
            })
    }
}

impl fmt::Display for Soname {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match elf::Machine(self.0) {
            elf::EM_X86_64 => f.pad("x86-64"),
            elf::EM_AARCH64 => f.pad("aarch64"),
            elf::EM_386 => f.pad("i386"),
            elf::EM_ARM => f.pad("arm"),
            elf::EM_RISCV => f.pad("riscv"),
            elf::EM_PPC64 => f.pad("ppc64"),
            elf::EM_S390 => f.pad("s390"),
            elf::EM_MIPS => f.pad("mips"),
            elf::Machine(number) => f.pad(&format!("machine {number}")),
        }
    }
}

impl Serialize for Machine {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A shared object for this host with the tables through which the rest is found.
pub(super) struct Layout<'data, R> {
    pub(super) data: R,
    pub(super) header: &'data Header,
    segments: &'data [Segment],
    dynamics: &'data [elf::Dyn64<LE>],
    strings: &'data [u8],
}

impl<'data, R: ReadRef<'data>> Layout<'data, R> {
    pub(super) fn read(data: R) -> Result<Self, Fault> {
        let layout = Self::read_any(data)?;
        layout.check_shared()?;
        Ok(layout)
    }

    /// A shared object or a position-independent program.
    fn read_any(data: R) -> Result<Self, Fault> {
        check_identity(data)?;
        let header = Header::parse(data).map_err(|_| malformed("ELF header"))?;
        check_length(data, header)?;
        let segments = header
            .program_headers(LE, data)
            .map_err(|_| malformed("program headers"))?;
        let dynamics = segments
            .iter()
            .find_map(|segment| segment.dynamic(LE, data).transpose())
            .ok_or_else(|| malformed("no dynamic section"))?
            .map_err(|_| malformed("dynamic section"))?;
        let end = dynamics
            .iter()
            .position(|entry| entry.tag(LE) == elf::DT_NULL)
            .unwrap_or(dynamics.len());
        let mut layout = Self {
            data,
            header,
            segments,
            dynamics: &dynamics[..end],
            strings: &[],
        };
        layout.strings = layout.read_strings()?;
        Ok(layout)
    }

    /// The value of the last entry with `tag`, as the loader takes it.
    pub(super) fn value(&self, tag: elf::DynamicTag) -> Option<u64> {
        self.dynamics
            .iter()
            .rev()
            .find(|entry| entry.tag(LE) == tag)
            .map(|entry| entry.val(LE))
    }

    /// The file's bytes from `address` on: `size` of them, or all to the end of the segment.
    pub(super) fn bytes_at(&self, address: u64, size: Option<u64>) -> Option<&'data [u8]> {
        self.segments_of(elf::PT_LOAD).find_map(|segment| {
            let into = address.checked_sub(segment.p_vaddr(LE))?;
            let left = segment
                .p_filesz(LE)
                .checked_sub(into)
                .filter(|&left| left > 0)?;
            let size = size.unwrap_or(left);
            if size > left {
                return None;
            }
            self.data
                .read_bytes_at(segment.p_offset(LE).checked_add(into)?, size)
                .ok()
        })
    }

    /// The string at `offset` of the dynamic string table, if it has at most `max` bytes.
    pub(super) fn string(&self, offset: u64, max: usize) -> Option<&'data [u8]> {
        let tail = self.strings.get(usize::try_from(offset).ok()?..)?;
        let window = &tail[..tail.len().min(max + 1)];
        window
            .iter()
            .position(|&byte| byte == 0)
            .map(|end| &window[..end])
    }

    pub(super) fn dynamic(&self) -> Result<Dynamic, Fault> {
        let mut needed = Vec::new();
        for entry in self
            .dynamics
            .iter()
            .filter(|entry| entry.tag(LE) == elf::DT_NEEDED)
        {
            if needed.len() == MAX_NEEDED {
                return Err(malformed("more than 256 needed libraries"));
            }
            let name = self
                .string(entry.val(LE), MAX_SONAME)
                .ok_or_else(|| malformed("name of a needed library"))?;
            needed.push(Soname::parse(name)?);
        }
        Ok(Dynamic {
            machine: HOST,
            soname: self.text(elf::DT_SONAME, MAX_SONAME),
            needed,
            rpath: self.run_path(elf::DT_RPATH),
            runpath: self.run_path(elf::DT_RUNPATH),
            executable_stack: self.executable_stack(),
        })
    }

    /// `DT_RPATH` or `DT_RUNPATH`, printable.
    pub(super) fn run_path(&self, tag: elf::DynamicTag) -> Option<String> {
        self.text(tag, MAX_RUN_PATH)
    }

    /// Without PT_GNU_STACK glibc assumes an executable stack.
    pub(super) fn executable_stack(&self) -> bool {
        let stack = self.segments_of(elf::PT_GNU_STACK).next();
        stack.is_none_or(|stack| stack.p_flags(LE) & elf::PF_X != elf::ProgramFlags(0))
    }

    /// The segments of a type, in order.
    pub(super) fn segments_of(
        &self,
        kind: elf::ProgramType,
    ) -> impl Iterator<Item = &'data Segment> + use<'data, R> {
        let segments = self.segments.iter();
        segments.filter(move |segment| segment.p_type(LE) == kind)
    }

    fn text(&self, tag: elf::DynamicTag, max: usize) -> Option<String> {
        let text = self.string(self.value(tag)?, max);
        Some(text.map_or("(unreadable)".to_owned(), |text| {
            printable(&String::from_utf8_lossy(text))
        }))
    }

    fn read_strings(&self) -> Result<&'data [u8], Fault> {
        let (Some(address), Some(size)) = (self.value(elf::DT_STRTAB), self.value(elf::DT_STRSZ))
        else {
            return Err(malformed("no dynamic string table"));
        };
        self.bytes_at(address, Some(size))
            .ok_or_else(|| malformed("dynamic string table"))
    }

    /// A position-independent program has the type of a shared object; the loader knows it by a
    /// flag.
    fn check_shared(&self) -> Result<(), Fault> {
        let flags = self.value(elf::DT_FLAGS_1).unwrap_or(0);
        if flags & elf::DF_1_PIE.0 != 0 {
            return Err(Fault::NotShared { found: "a program" });
        }
        Ok(())
    }
}

pub(super) fn malformed(what: &'static str) -> Fault {
    Fault::Malformed { what }
}

/// Magic, class, byte order, architecture and type, from the first 20 bytes, which all ELF files
/// share.
fn check_identity<'data, R: ReadRef<'data>>(data: R) -> Result<(), Fault> {
    let has = data.len().map_err(|()| malformed("unreadable"))?;
    if has < 4 || data.read_bytes_at(0, 4) != Ok(&elf::ELFMAG[..]) {
        return Err(Fault::NotElf);
    }
    let start = data
        .read_bytes_at(0, 20)
        .map_err(|()| Fault::Truncated { needs: 64, has })?;
    let half = |at: usize| {
        let bytes = [start[at], start[at + 1]];
        if start[5] == elf::ELFDATA2MSB.0 {
            u16::from_be_bytes(bytes)
        } else {
            u16::from_le_bytes(bytes)
        }
    };
    let (file_type, machine) = (elf::FileType(half(16)), Machine(half(18)));
    if start[4] == elf::ELFCLASS32.0 {
        return Err(Fault::WrongClass { machine });
    }
    if machine != HOST {
        return Err(Fault::WrongMachine { machine });
    }
    let needs = size_of::<Header>() as u64;
    if has < needs {
        return Err(Fault::Truncated { needs, has });
    }
    match file_type {
        elf::ET_DYN => Ok(()),
        elf::ET_EXEC => Err(Fault::NotShared { found: "a program" }),
        elf::ET_REL => Err(Fault::NotShared {
            found: "an object file",
        }),
        elf::ET_CORE => Err(Fault::NotShared {
            found: "a core dump",
        }),
        _ => Err(Fault::NotShared {
            found: "of an unknown type",
        }),
    }
}

/// Checks that all that the headers speak of is there. Section headers come last in what linkers
/// write, so that a file cut anywhere is noticed.
fn check_length<'data, R: ReadRef<'data>>(data: R, header: &Header) -> Result<(), Fault> {
    let has = data.len().map_err(|()| malformed("unreadable"))?;
    let table = |offset: u64, count: u16, size: u16| {
        offset.saturating_add(u64::from(count) * u64::from(size))
    };
    let check = |needs| {
        if needs > has {
            Err(Fault::Truncated { needs, has })
        } else {
            Ok(())
        }
    };
    check(table(
        header.e_phoff(LE),
        header.e_phnum(LE),
        header.e_phentsize(LE),
    ))?;
    check(table(
        header.e_shoff(LE),
        header.e_shnum(LE),
        header.e_shentsize(LE),
    ))?;
    let segments = header
        .program_headers(LE, data)
        .map_err(|_| malformed("program headers"))?;
    segments
        .iter()
        .try_for_each(|segment| match segment.p_type(LE) {
            elf::PT_LOAD | elf::PT_DYNAMIC => {
                check(segment.p_offset(LE).saturating_add(segment.p_filesz(LE)))
            }
            _ => Ok(()),
        })
}
