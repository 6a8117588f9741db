use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;
use crate::manifest::{AbsolutePath, Manifest};

const PLUGIN: &str = r#"
__attribute__((used, section(".cordon.manifest"))) static const char manifest[] =
    "id = \"greet\"\nversion = \"1.0.0\"\nabi = \"1.0\"\n";
int getpid(void);
const void *cordon_plugin_entry(unsigned abi) { getpid(); return 0; }
int other(void) { return 0; }
static int hidden(void) { return 1; }
int uses_it(void) { return hidden(); }
"#;

/// Compiles a shared object `name` into `folder`.
fn compile(folder: &Path, name: &str, source: &str, flags: &[&str]) -> std::path::PathBuf {
    let (code, object) = (folder.join(format!("{name}.c")), folder.join(name));
    fs::write(&code, source).unwrap();
    let compiler = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .arg(&object)
        .arg(&code)
        .args(flags)
        .status();
    assert!(compiler.unwrap().success());
    object
}

/// A plugin's bytes, small enough to damage many times.
static GREET: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    fs::read(compile(folder.path(), "libgreet.so", PLUGIN, &[])).unwrap()
});

fn inspect(data: &[u8]) -> Result<Inspection, ElfError> {
    Inspection::of(Path::new("x.so"), data)
}

fn sentence(data: &[u8]) -> String {
    inspect(data).unwrap_err().to_string()
}

fn system() -> LibraryDirs {
    LibraryDirs::system(&[]).unwrap()
}

fn resolve(plugin: &Path, dirs: &LibraryDirs) -> Result<Closure, ClosureError> {
    let inspection = Inspection::of(plugin, fs::read(plugin).unwrap().as_slice()).unwrap();
    Closure::resolve(plugin, &inspection.dynamic, dirs)
}

fn trusting(folder: &Path) -> LibraryDirs {
    LibraryDirs::system(&[AbsolutePath::try_from(folder.to_str().unwrap().to_owned()).unwrap()])
        .unwrap()
}

#[test]
fn a_plugin_tells_what_it_is() {
    let inspection = inspect(&GREET).unwrap();
    assert_eq!(
        inspection.exports.names,
        ["cordon_plugin_entry", "other", "uses_it"]
    );
    assert!(inspection.require_entry().is_ok() && !inspection.dynamic.executable_stack);
    assert!(
        inspection
            .dynamic
            .needed
            .iter()
            .any(|soname| soname.as_str() == "libc.so.6")
    );
    let manifest = Manifest::of(Path::new("x.so"), inspection.manifest.as_deref()).unwrap();
    assert_eq!(manifest.id.as_str(), "greet");
}

#[test]
fn read_by_pread_and_from_memory_it_is_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let file = File::open(compile(folder.path(), "libgreet.so", PLUGIN, &[])).unwrap();
    let path = Path::new("x.so");
    let bytes = fs::read(folder.path().join("libgreet.so")).unwrap();
    let data = file_data(&file).unwrap();
    assert_eq!(
        Inspection::of(path, &data).unwrap(),
        Inspection::of(path, bytes.as_slice()).unwrap()
    );
}

#[test]
fn link_options_are_reported() {
    let folder = tempfile::tempdir().unwrap();
    let flags = [
        "-Wl,-rpath,/opt/lib",
        "-Wl,--enable-new-dtags",
        "-Wl,-soname,libodd.so.1",
        "-Wl,-z,execstack",
        "-Wl,--hash-style=sysv",
    ];
    let bytes = fs::read(compile(folder.path(), "libodd.so", PLUGIN, &flags)).unwrap();
    let inspection = inspect(&bytes).unwrap();
    assert_eq!(inspection.dynamic.runpath.as_deref(), Some("/opt/lib"));
    assert_eq!(inspection.dynamic.soname.as_deref(), Some("libodd.so.1"));
    assert!(inspection.dynamic.executable_stack && inspection.exports.has_entry);
}

fn verdict(bytes: &[u8], check: Check) -> Verdict {
    let findings = inspect(bytes).unwrap().precheck.findings;
    let finding = findings.iter().find(|finding| finding.check == check);
    finding.unwrap().verdict
}

/// The offset of the first program header of a type, and its size.
fn segment(bytes: &[u8], kind: u32) -> usize {
    let count = u16::from_le_bytes([bytes[56], bytes[57]]);
    let headers = (0..usize::from(count)).map(|index| 64 + index * 56);
    let mut found = headers.filter(|&at| bytes[at..at + 4] == kind.to_le_bytes());
    found.next().unwrap()
}

#[test]
fn an_ordinary_plugin_passes_every_check() {
    let precheck = inspect(&GREET).unwrap().precheck;
    assert!(
        precheck
            .findings
            .iter()
            .all(|finding| finding.verdict == Verdict::Passed),
        "{precheck:?}"
    );
    assert_eq!(precheck.findings.len(), 7);
    inspect(&GREET).unwrap().require_loadable().unwrap();
}

#[test]
fn what_the_sandbox_would_stop_is_refused_with_what_mends_it() {
    let folder = tempfile::tempdir().unwrap();
    let linked =
        |name: &str, flags: &[&str]| fs::read(compile(folder.path(), name, PLUGIN, flags)).unwrap();
    let stack = linked("libstack.so", &["-Wl,-z,execstack"]);
    // p_flags: readable, writable, executable.
    let mut omagic = GREET.clone();
    omagic[segment(&GREET, 1) + 4] = 7;
    let text = ["-fno-pic", "-mcmodel=large", "-Wl,-z,notext"];
    let mut cases = vec![
        (stack, Check::ExecutableStack, "link it with -z noexecstack"),
        (omagic, Check::WritableCode, "can be written and executed"),
    ];
    if cfg!(target_arch = "x86_64") {
        let relocated = linked("libtext.so", &text);
        cases.push((
            relocated,
            Check::TextRelocations,
            "compile all of it with -fPIC",
        ));
    }
    for (bytes, check, mended) in cases {
        assert_eq!(verdict(&bytes, check), Verdict::Refused, "{check}");
        let error = inspect(&bytes).unwrap().require_loadable().unwrap_err();
        assert!(error.to_string().contains(mended), "{error}");
    }
}

#[test]
fn run_paths_and_auxiliary_libraries_are_ignored_and_said() {
    let folder = tempfile::tempdir().unwrap();
    let flags = ["-Wl,-rpath,$ORIGIN/../lib", "-Wl,--auxiliary,libother.so"];
    let bytes = fs::read(compile(folder.path(), "libodd.so", PLUGIN, &flags)).unwrap();
    assert_eq!(verdict(&bytes, Check::SearchPath), Verdict::Ignored);
    assert_eq!(verdict(&bytes, Check::FurtherLibraries), Verdict::Ignored);
    let precheck = inspect(&bytes).unwrap().precheck;
    assert!(
        format!("{precheck:?}").contains("relative to the file"),
        "{precheck:?}"
    );
    assert_eq!(precheck.refusal(), None);
    let filter = compile(
        folder.path(),
        "libfilter.so",
        PLUGIN,
        &["-Wl,--filter,libother.so"],
    );
    let filter = fs::read(filter).unwrap();
    assert_eq!(verdict(&filter, Check::FurtherLibraries), Verdict::Refused);
}

#[test]
fn segments_that_contradict_each_other_are_refused() {
    // Fields of a program header by their offsets: p_offset, p_vaddr, p_filesz, p_memsz, p_align.
    let (load, word) = (segment(&GREET, 1), |value: u64| value.to_le_bytes());
    let second = load + 56;
    let changes: [(usize, u64, Check); 7] = [
        (load + 32, u64::MAX >> 1, Check::Segments),
        (second + 16, 0x10, Check::Segments),
        (second + 16, 0x1008, Check::Segments),
        (second + 40, u64::MAX, Check::Segments),
        (second + 40, 1 << 40, Check::Sizes),
        (load + 48, 3, Check::Sizes),
        (load + 48, 1 << 40, Check::Sizes),
    ];
    for (at, value, check) in changes {
        let mut bytes = GREET.clone();
        bytes[at..at + 8].copy_from_slice(&word(value));
        match inspect(&bytes) {
            Ok(inspection) => {
                let found = inspection.precheck.findings;
                let refused = |finding: &Finding| {
                    finding.check == check && finding.verdict == Verdict::Refused
                };
                assert!(found.iter().any(refused), "{at} {value:#x}: {found:?}");
            }
            // The file is shorter than that.
            Err(error) => assert!(matches!(error.fault, Fault::Truncated { .. }), "{error}"),
        }
    }
}

#[test]
fn a_library_that_asks_for_an_executable_stack_is_refused_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let flags = ["-Wl,-soname,libstack.so", "-Wl,-z,execstack"];
    let library = compile(path, "libstack.so", "int stack;", &flags);
    let needs = ["-Wl,--no-as-needed", library.to_str().unwrap()];
    let plugin = compile(path, "libgreet.so", PLUGIN, &needs);
    let error = resolve(&plugin, &trusting(path)).unwrap_err().to_string();
    assert!(error.contains("libstack.so: it can't be loaded"), "{error}");
}

#[test]
fn what_is_no_plugin_gets_one_clear_sentence() {
    let mut other_machine = GREET.clone();
    other_machine[18..20].copy_from_slice(&40u16.to_le_bytes());
    let mut other_class = GREET.clone();
    other_class[4] = 1;
    other_class[18..20].copy_from_slice(&3u16.to_le_bytes());
    let mut object_file = GREET.clone();
    object_file[16] = 1;
    let program = fs::read("/proc/self/exe").unwrap();
    for (bytes, error) in [
        (&b"#!/bin/sh"[..], "x.so: it is not an ELF file".to_owned()),
        (b"", "x.so: it is not an ELF file".to_owned()),
        (
            &GREET[..10],
            "x.so: it is truncated: its headers speak of 64 bytes, it has 10".to_owned(),
        ),
        (
            &other_machine,
            format!("x.so: it is for arm, this host is {HOST}"),
        ),
        (
            &other_class,
            format!("x.so: it is a 32-bit ELF file for i386, this host runs 64-bit {HOST}"),
        ),
        (
            &object_file,
            "x.so: it is an object file, not a shared object: link it with -shared".to_owned(),
        ),
        (
            &program,
            "x.so: it is a program, not a shared object: link it with -shared".to_owned(),
        ),
    ] {
        assert_eq!(sentence(bytes), error);
    }
}

#[test]
fn a_library_without_entry_symbol_is_no_plugin() {
    let libc = fs::read(
        system()
            .candidates(&Soname::parse(b"libc.so.6").unwrap())
            .next()
            .unwrap()
            .0,
    )
    .unwrap();
    let inspection = inspect(&libc).unwrap();
    assert!(inspection.exports.total > 1000);
    assert_eq!(
        inspection.require_entry().unwrap_err().to_string(),
        "x.so: it has no entry symbol cordon_plugin_entry: it is no Cordon plugin"
    );
}

#[test]
fn a_file_cut_anywhere_is_truncated() {
    for len in (4..GREET.len()).step_by(97) {
        let fault = inspect(&GREET[..len]).unwrap_err().fault;
        assert!(
            matches!(fault, Fault::Truncated { has, .. } if has == len as u64),
            "{len}: {fault}"
        );
    }
}

#[test]
fn library_names_that_are_paths_are_refused() {
    for bad in [
        &b""[..],
        b".",
        b"..",
        b"../libc.so",
        b"a/b",
        b"/lib/x.so",
        b"a b",
        b"a\x1b",
        b"\xff",
    ] {
        assert!(Soname::parse(bad).is_err(), "{bad:?}");
    }
    let folder = tempfile::tempdir().unwrap();
    let needed = compile(
        folder.path(),
        "libneeded.so",
        "int needed;",
        &["-Wl,-soname,../../tmp/evil.so"],
    );
    let plugin = compile(
        folder.path(),
        "libgreet.so",
        PLUGIN,
        &["-Wl,--no-as-needed", needed.to_str().unwrap()],
    );
    assert!(
        sentence(&fs::read(plugin).unwrap())
            .starts_with("x.so: it needs a library by a bad name: \"../../tmp/evil.so\"")
    );
}

#[test]
fn the_closure_holds_loader_and_libc_dependencies_first() {
    let folder = tempfile::tempdir().unwrap();
    let plugin = compile(
        folder.path(),
        "libgreet.so",
        PLUGIN,
        &["-Wl,--no-as-needed", "-lm"],
    );
    let closure = resolve(&plugin, &system()).unwrap();
    let at = |start: &str| {
        closure
            .libraries()
            .iter()
            .position(|library| library.soname.as_str().starts_with(start))
    };
    assert!(
        at("ld-linux").unwrap() < at("libc.so").unwrap()
            && at("libc.so").unwrap() < at("libm.so").unwrap()
    );
    for library in closure {
        assert_eq!(library.file.metadata().unwrap().len(), library.len);
    }
}

#[test]
fn cycles_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let library = |name: &str| path.join(name).to_str().unwrap().to_owned();
    compile(path, "libb.so", "int b;", &["-Wl,-soname,libb.so"]);
    compile(
        path,
        "liba.so",
        "int a;",
        &[
            "-Wl,--no-as-needed",
            "-Wl,-soname,liba.so",
            &library("libb.so"),
        ],
    );
    compile(
        path,
        "libb.so",
        "int b;",
        &[
            "-Wl,--no-as-needed",
            "-Wl,-soname,libb.so",
            &library("liba.so"),
        ],
    );
    let plugin = compile(
        path,
        "libgreet.so",
        PLUGIN,
        &["-Wl,--no-as-needed", &library("liba.so")],
    );
    let closure = resolve(&plugin, &trusting(path)).unwrap();
    let names: Vec<_> = closure
        .libraries()
        .iter()
        .map(|library| library.soname.as_str())
        .collect();
    let at = |name| names.iter().position(|&other| other == name);
    assert!(at("libb.so").unwrap() < at("liba.so").unwrap(), "{names:?}");
}

#[test]
fn a_missing_library_names_who_needs_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let gone = compile(
        path,
        "libgone.so",
        "int gone;",
        &["-Wl,-soname,libgone.so.7"],
    );
    let plugin = compile(
        path,
        "libgreet.so",
        PLUGIN,
        &["-Wl,--no-as-needed", gone.to_str().unwrap()],
    );
    let error = resolve(&plugin, &system()).unwrap_err().to_string();
    let plugin = plugin.display();
    assert!(
        error.starts_with(&format!(
            "{plugin}: library libgone.so.7 not found, needed by {plugin}"
        )),
        "{error}"
    );
}

#[test]
fn a_library_that_others_can_write_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let loose = compile(
        path,
        "libloose.so",
        "int loose;",
        &["-Wl,-soname,libloose.so"],
    );
    let plugin = compile(
        path,
        "libgreet.so",
        PLUGIN,
        &["-Wl,--no-as-needed", loose.to_str().unwrap()],
    );
    fs::set_permissions(&loose, fs::Permissions::from_mode(0o777)).unwrap();
    let error = resolve(&plugin, &trusting(path)).unwrap_err();
    assert!(
        matches!(&error.fault, ClosureFault::Untrusted { .. }),
        "{error}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn arbitrary_bytes_never_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..600), elf: bool) {
        if elf && bytes.len() >= 20 {
            bytes[..20].copy_from_slice(&GREET[..20]);
        }
        drop(inspect(&bytes));
    }

    #[test]
    fn a_damaged_plugin_never_panics(hits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8), headers: bool) {
        let mut bytes = GREET.clone();
        let reach = if headers { 1024 } else { bytes.len() };
        for (at, value) in hits {
            bytes[at.index(reach)] = value;
        }
        drop(inspect(&bytes));
    }

    #[test]
    fn a_damaged_word_never_panics(at in 0usize..1500, value in prop_oneof![any::<u64>(), Just(u64::MAX), Just(i64::MAX as u64), 0u64..20_000]) {
        let mut bytes = GREET.clone();
        bytes[at * 8..at * 8 + 8].copy_from_slice(&value.to_le_bytes());
        drop(inspect(&bytes));
    }
}

#[test]
fn a_damaged_system_library_never_panics() {
    let libz = system()
        .candidates(&Soname::parse(b"libz.so.1").unwrap())
        .next();
    let Some((path, _)) = libz else {
        panic!("the tests need zlib's shared library")
    };
    let bytes = fs::read(path).unwrap();
    for step in 0..4096_usize {
        let mut damaged = bytes.clone();
        let at = (step * 2_654_435_761) % bytes.len().min(32 * 1024);
        damaged[at] ^= 1 << (step % 8);
        drop(inspect(&damaged));
    }
}
