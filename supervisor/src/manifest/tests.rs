use std::fs;

use proptest::prelude::*;

use super::*;
use crate::units::{ByteSize, Count};

const MINIMAL: &str = "id = \"greet\"\nversion = \"1.0.0\"\nabi = \"1.0\"\n";

const FULL: &str = r#"
id = "greet"
version = "1.2.3-beta.1"
abi = "1.0"
author = "Ada"
description = "Says hello"
concurrency = { pool = 4 }
methods = ["greet", "wave"]
[[hooks]]
name = "request"
priority = 200
[requires]
files = [{ path = "/etc/hosts", access = "read" }, { path = "/work", access = "overlay" }]
tmp = "16MiB"
net = "restricted"
tcp = { bind = [80], connect = [443, 8080] }
env = ["LANG"]
processes = true
jit = true
capabilities = ["NET_RAW"]
locked_memory = "64KiB"
nice = -5
realtime = 10
[limits]
heap = "50MB"
cpu = "1000ms"
threads = 4
fds = 32
connections = 10
disk = "0"
log = "1MiB"
messages = 10000
[dependencies]
logger = ">=1.2, <2"
[metadata]
homepage = "https://example.org"
"#;

fn parse(text: &str) -> Result<Manifest, ManifestError> {
    Manifest::parse(Path::new("greet.toml"), text)
}

#[test]
fn a_full_manifest_is_read_field_by_field() {
    let manifest = parse(FULL).unwrap();
    assert_eq!(manifest.id.as_str(), "greet");
    assert_eq!(manifest.version.to_string(), "1.2.3-beta.1");
    assert_eq!(manifest.concurrency, Concurrency::Pool(4));
    assert_eq!(manifest.hooks[0].priority.as_u16(), 200);
    assert_eq!(manifest.requires.files[0].access, Access::Read);
    assert_eq!(manifest.requires.files[1].access, Access::Overlay);
    assert_eq!(manifest.requires.tmp, Some(ByteSize::mib(16)));
    assert_eq!(manifest.requires.tcp.connect.len(), 2);
    assert_eq!(manifest.requires.nice.map(Nice::rlimit), Some(25));
    assert_eq!(manifest.requires.realtime.map(Realtime::rlimit), Some(10));
    assert_eq!(manifest.limits.threads, Some(Count::new(4)));
    assert_eq!(manifest.limits.disk, Some(ByteSize::bytes(0)));
    assert!(
        manifest
            .dependencies
            .values()
            .all(|range| range.matches(&Version::new(1, 5, 0)))
    );
    assert_eq!(manifest.metadata.len(), 1);
}

#[test]
fn each_thing_asked_for_has_its_line() {
    let asked = parse(FULL).unwrap().requires.lines();
    let lines: Vec<_> = asked
        .iter()
        .map(|(field, asked)| format!("{field}: {asked}"))
        .collect();
    assert_eq!(
        lines,
        [
            "files: read of /etc/hosts",
            "files: overlay of /work",
            "tmp: 16 MiB",
            "net: restricted",
            "tcp.bind: 80",
            "tcp.connect: 443",
            "tcp.connect: 8080",
            "env: LANG",
            "processes: true",
            "jit: true",
            "capabilities: NET_RAW",
            "locked_memory: 64 KiB",
            "nice: -5",
            "realtime: 10",
        ]
    );
}

#[test]
fn a_minimal_manifest_asks_for_nothing() {
    let manifest = parse(MINIMAL).unwrap();
    assert_eq!(
        (manifest.requires, manifest.limits),
        (Requires::default(), LimitRequests::default())
    );
    assert_eq!(manifest.concurrency, Concurrency::Serial);
}

#[test]
fn each_wrong_field_is_named_with_file_line_and_column() {
    for (line, error) in [
        (
            "colour = 1",
            "greet.toml: manifest, line 4, column 1: colour: unknown field `colour`, expected one of",
        ),
        (
            "concurrency = \"fast\"",
            "line 4, column 15: concurrency: invalid value: string \"fast\", expected \"serial\", \"threadsafe\" or { pool = 4 }",
        ),
        (
            "concurrency = { pool = 65 }",
            "line 4, column 15: concurrency: a pool of 65 is out of range, it must be from 1 to 64",
        ),
        (
            "hooks = [{ name = \"x\", priority = 1000 }]",
            "line 4, column 35: hooks[0].priority: 1000 is out of range, it must be from 0 to 999",
        ),
        (
            "hooks = [{ name = \"x\", priority = 1 }, { name = \"x\", priority = 2 }]",
            "hooks: \"x\" is there twice",
        ),
        (
            "methods = [\"a/b\"]",
            "line 4, column 11: methods: \"a/b\" is no method name",
        ),
        (
            "author = \"a\\u0007\"",
            "line 4, column 10: author: the text has a control character",
        ),
        (
            "[limits]\nheap = \"1PB\"",
            "line 5, column 8: limits.heap: \"1PB\" has an unknown unit, known are: B, kB, KiB, MB, MiB, GB, GiB, TB, TiB",
        ),
        (
            "[limits]\ncpu = \"2h\"",
            "line 5, column 7: limits.cpu: 2 h is out of range, it must be from 1 ms to 1 h",
        ),
        (
            "[requires]\nnet = \"all\"",
            "line 5, column 7: requires.net: unknown variant `all`, expected one of `isolated`, `restricted`, `full`",
        ),
        (
            "[requires]\nfiles = [{ path = \"etc\", access = \"read\" }]",
            "requires.files[0].path: \"etc\" is no absolute path",
        ),
        (
            "[requires]\nfiles = [{ path = \"/a\", access = \"read\" }, { path = \"/a\", access = \"write\" }]",
            "requires.files: \"/a\" is there twice",
        ),
        (
            "[requires]\ntcp = { bind = [0] }",
            "requires.tcp.bind[0]: invalid value: integer `0`, expected a nonzero u16",
        ),
        (
            "[requires]\ntcp = { listen = [1] }",
            "requires.tcp.listen: unknown field `listen`",
        ),
        (
            "[requires]\nnice = -21",
            "line 5, column 8: requires.nice: -21 is out of range, it must be from -20 to 19",
        ),
        (
            "[requires]\nrealtime = 0",
            "requires.realtime: 0 is out of range, it must be from 1 to 99",
        ),
        (
            "[requires]\ncapabilities = [\"SYS_ADMIN\"]",
            "requires.capabilities[0]: unknown variant `SYS_ADMIN`",
        ),
        (
            "[dependencies]\nlogger = \"newest\"",
            "line 5, column 10: dependencies.logger: ",
        ),
        (
            "[dependencies]\n\"a/b\" = \"1\"",
            "line 5, column 1: dependencies.a/b: \"a/b\" is no plugin id",
        ),
    ] {
        let shown = parse(&format!("{MINIMAL}{line}\n"))
            .unwrap_err()
            .to_string();
        assert!(shown.contains(error), "{shown}\n  for {line}");
    }
}

#[test]
fn wrong_identity_is_named() {
    for (text, error) in [
        (
            "id = \"a/b\"\nversion = \"1.0.0\"\nabi = \"1.0\"",
            "line 1, column 6: id: \"a/b\" is no plugin id",
        ),
        (
            "id = \"a\"\nversion = \"1\"\nabi = \"1.0\"",
            "line 2, column 11: version: ",
        ),
        (
            "id = \"a\"\nversion = \"1.0.0\"\nabi = \"one\"",
            "line 3, column 7: abi: \"one\" is no ABI version, write it like \"1.0\"",
        ),
        ("id = \"a\"\nversion = \"1.0.0\"", "missing field `abi`"),
    ] {
        let shown = parse(text).unwrap_err().to_string();
        assert!(shown.contains(error), "{shown}");
    }
}

#[test]
fn a_section_may_end_in_nuls_and_wins_over_the_sidecar() {
    let folder = tempfile::tempdir().unwrap();
    let plugin = folder.path().join("libgreet.so");
    fs::write(folder.path().join("greet.toml"), "nonsense").unwrap();
    let section = format!("{MINIMAL}\0\0\0");
    assert_eq!(
        Manifest::of(&plugin, Some(section.as_bytes()))
            .unwrap()
            .id
            .as_str(),
        "greet"
    );
}

#[test]
fn a_section_that_is_no_manifest_is_refused() {
    let plugin = Path::new("x.so");
    let long = vec![b'#'; MAX_LEN as usize + 1];
    assert!(matches!(
        Manifest::of(plugin, Some(&long)),
        Err(ManifestError::TooLong { .. })
    ));
    assert!(matches!(
        Manifest::of(plugin, Some(b"\xff\xfe")),
        Err(ManifestError::NotText { .. })
    ));
    assert!(matches!(
        Manifest::of(plugin, Some(b"\0")),
        Err(ManifestError::Invalid { .. })
    ));
}

#[test]
fn a_sidecar_is_found_with_and_without_lib() {
    for (plugin, sidecar) in [
        ("libgreet.so", "greet.toml"),
        ("libgreet.so", "libgreet.toml"),
        ("greet.so", "greet.toml"),
        ("libgreet.so.1.2", "greet.toml"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(sidecar), MINIMAL).unwrap();
        assert!(
            Manifest::of(&folder.path().join(plugin), None).is_ok(),
            "{plugin} {sidecar}"
        );
    }
}

#[test]
fn without_section_and_sidecar_the_sentence_names_both() {
    let folder = tempfile::tempdir().unwrap();
    let error = Manifest::of(&folder.path().join("libgreet.so"), None)
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("libgreet.so: no manifest") && error.ends_with("/greet.toml"),
        "{error}"
    );
}

#[test]
fn a_sidecar_that_is_no_regular_file_is_refused_without_blocking() {
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("greet.toml");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &fifo,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .unwrap();
    let error = Manifest::of(&folder.path().join("greet.so"), None)
        .unwrap_err()
        .to_string();
    assert!(error.ends_with("it is not a regular file"), "{error}");
}

proptest! {
    #[test]
    fn a_damaged_manifest_is_read_or_refused(at in 0..FULL.len(), with in "[\\PC]{0,3}") {
        let end = (at + with.len()).min(FULL.len());
        drop(parse(&format!("{}{with}{}", &FULL[..at], &FULL[end..])));
    }
}
