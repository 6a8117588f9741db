//! What an ELF file asks of the loader, checked before anything loads it: a file that the
//! sandbox would stop in the middle of `dlopen(3)`, without a word that helps, is refused here
//! with its reason.

use std::fmt;

use object::LittleEndian as LE;
use object::elf;
use object::read::ReadRef;
use object::read::elf::ProgramHeader as _;
use serde::{Serialize, Serializer};

use super::dynamic::{Layout, Segment};
use crate::units::ByteSize;

/// The most segments that are mapped; linkers write four to six.
const MAX_SEGMENTS: usize = 64;
/// The most memory that one file may be mapped over, holes included.
const MAX_SPAN: ByteSize = ByteSize::mib(512);
/// The most thread-local memory of one file: every thread gets a copy.
const MAX_TLS: ByteSize = ByteSize::mib(1);
/// The largest alignment; the largest page of a segment that linkers know has 2 MiB.
const MAX_ALIGN: ByteSize = ByteSize::mib(16);
/// The smallest page of both architectures.
const PAGE: u64 = 4096;

/// All checks of one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Precheck {
    /// One for each [`Check`], in its order.
    pub findings: Vec<Finding>,
}

/// What one check found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub check: Check,
    /// What follows.
    pub verdict: Verdict,
    /// What was found.
    pub found: String,
}

/// What is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// Segments that lie in order, apart from each other, and as long as they say.
    Segments,
    /// Numbers and sizes that no linker writes.
    Sizes,
    /// Segments that can be written and executed.
    WritableCode,
    /// Relocations that change code.
    TextRelocations,
    /// A stack that can be executed.
    ExecutableStack,
    /// `DT_RPATH` and `DT_RUNPATH`.
    SearchPath,
    /// `DT_FILTER`, `DT_AUXILIARY`, `DT_AUDIT`, `DT_DEPAUDIT`.
    FurtherLibraries,
}

/// What follows from a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Nothing.
    Passed,
    /// The file loads, and doesn't get what it asks for.
    Ignored,
    /// The file isn't loaded.
    Refused,
}

impl Precheck {
    /// Why the file isn't loaded, if it isn't.
    #[must_use]
    pub fn refusal(&self) -> Option<String> {
        let refused = self.findings.iter();
        let refused = refused.filter(|finding| finding.verdict == Verdict::Refused);
        let reasons: Vec<&str> = refused.map(|finding| finding.found.as_str()).collect();
        (!reasons.is_empty()).then(|| reasons.join("; "))
    }

    pub(super) fn of<'data, R: ReadRef<'data>>(layout: &Layout<'data, R>) -> Self {
        let loads: Vec<&Segment> = layout.segments_of(elf::PT_LOAD).collect();
        let findings = [
            (Check::Segments, segments(&loads)),
            (Check::Sizes, sizes(layout, &loads)),
            (Check::WritableCode, writable_code(&loads)),
            (Check::TextRelocations, text_relocations(layout)),
            (Check::ExecutableStack, executable_stack(layout)),
            (Check::SearchPath, search_path(layout)),
            (Check::FurtherLibraries, further_libraries(layout)),
        ];
        let findings = findings.map(|(check, (verdict, found))| Finding {
            check,
            verdict,
            found,
        });
        Self {
            findings: findings.into(),
        }
    }
}

type Outcome = (Verdict, String);

fn passed(found: impl Into<String>) -> Outcome {
    (Verdict::Passed, found.into())
}

fn refused(why: impl Into<String>) -> Outcome {
    (Verdict::Refused, why.into())
}

fn segments(loads: &[&Segment]) -> Outcome {
    let mut end = 0;
    for (index, segment) in loads.iter().enumerate() {
        let (start, size) = (segment.p_vaddr(LE), segment.p_memsz(LE));
        let damaged = |what: &str| refused(format!("segment {index} {what}"));
        if segment.p_filesz(LE) > size {
            return damaged("has more bytes in the file than in memory");
        }
        let Some(next) = start.checked_add(size) else {
            return damaged("reaches beyond the address space");
        };
        if start < end {
            return damaged("overlaps the one before it, or comes before it");
        }
        if start % PAGE != segment.p_offset(LE) % PAGE {
            return damaged("can't be mapped: address and offset differ within a page");
        }
        end = next;
    }
    match loads.len() {
        0 => refused("it has no segment to load"),
        count => passed(format!("{count}, in order and apart")),
    }
}

fn sizes<'data, R: ReadRef<'data>>(layout: &Layout<'data, R>, loads: &[&'data Segment]) -> Outcome {
    if loads.len() > MAX_SEGMENTS {
        return refused(format!(
            "it has {} segments, {MAX_SEGMENTS} are allowed",
            loads.len()
        ));
    }
    let start = loads.iter().map(|load| load.p_vaddr(LE)).min();
    let ends = loads.iter();
    let end = ends.map(|load| load.p_vaddr(LE).saturating_add(load.p_memsz(LE)));
    let span = ByteSize::bytes(end.max().unwrap_or(0) - start.unwrap_or(0));
    if span > MAX_SPAN {
        return refused(format!("it spans {span} of memory, {MAX_SPAN} are allowed"));
    }
    let tls = layout.segments_of(elf::PT_TLS);
    let tls = ByteSize::bytes(tls.map(|tls| tls.p_memsz(LE)).max().unwrap_or(0));
    if tls > MAX_TLS {
        return refused(format!(
            "it has {tls} of memory for every thread, {MAX_TLS} are allowed"
        ));
    }
    let aligned = loads.iter().copied().chain(layout.segments_of(elf::PT_TLS));
    for align in aligned.map(|segment| segment.p_align(LE)) {
        if align > MAX_ALIGN.as_u64() || (align > 1 && !align.is_power_of_two()) {
            return refused(format!("it has a segment aligned to {align} bytes"));
        }
    }
    passed(format!("{span} of memory, {tls} for every thread"))
}

fn writable_code(loads: &[&Segment]) -> Outcome {
    let both = elf::PF_W | elf::PF_X;
    match loads
        .iter()
        .position(|load| load.p_flags(LE) & both == both)
    {
        Some(index) => refused(format!(
            "segment {index} can be written and executed: link it without -N or --omagic"
        )),
        None => passed("none"),
    }
}

fn text_relocations<'data, R: ReadRef<'data>>(layout: &Layout<'data, R>) -> Outcome {
    let flags = layout.value(elf::DT_FLAGS).unwrap_or(0);
    if layout.value(elf::DT_TEXTREL).is_some() || flags & elf::DF_TEXTREL.0 != 0 {
        return refused("it has relocations in its code: compile all of it with -fPIC");
    }
    passed("none")
}

fn executable_stack<'data, R: ReadRef<'data>>(layout: &Layout<'data, R>) -> Outcome {
    if layout.executable_stack() {
        return refused(
            "it asks for an executable stack, or doesn't say: link it with -z noexecstack",
        );
    }
    passed("not asked for")
}

fn search_path<'data, R: ReadRef<'data>>(layout: &Layout<'data, R>) -> Outcome {
    let paths = [(elf::DT_RPATH, "RPATH"), (elf::DT_RUNPATH, "RUNPATH")];
    let asked = paths.into_iter().filter_map(|(tag, name)| {
        let path = layout.run_path(tag)?;
        let origin = if path.contains("ORIGIN") {
            ", relative to the file"
        } else {
            ""
        };
        Some(format!("{name} {path}{origin}"))
    });
    let asked: Vec<String> = asked.collect();
    if asked.is_empty() {
        return passed("none");
    }
    let asked = asked.join(", ");
    let ignored = format!("{asked}: libraries come from the system's folders and library_dirs");
    (Verdict::Ignored, ignored)
}

fn further_libraries<'data, R: ReadRef<'data>>(layout: &Layout<'data, R>) -> Outcome {
    if layout.value(elf::DT_FILTER).is_some() {
        return refused("it is a filter for another library (DT_FILTER): link with that instead");
    }
    let tags = [
        (elf::DT_AUXILIARY, "DT_AUXILIARY"),
        (elf::DT_AUDIT, "DT_AUDIT"),
        (elf::DT_DEPAUDIT, "DT_DEPAUDIT"),
    ];
    let asked = tags.into_iter();
    let asked = asked.filter(|(tag, _)| layout.value(*tag).is_some());
    let asked: Vec<&str> = asked.map(|(_, name)| name).collect();
    if asked.is_empty() {
        return passed("none");
    }
    (Verdict::Ignored, asked.join(", "))
}

impl Check {
    /// What a person reads.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Check::Segments => "segments",
            Check::Sizes => "sizes",
            Check::WritableCode => "writable code",
            Check::TextRelocations => "text relocations",
            Check::ExecutableStack => "executable stack",
            Check::SearchPath => "search path",
            Check::FurtherLibraries => "further libraries",
        }
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Serialize for Check {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}
