//! Backtraces: the functions of a plugin by name, in order, and no more trust than debug data
//! deserves.

use std::path::Path;
use std::process::Command;

use cordon_supervisor::crash::{Crash, Frame};
use cordon_tests::host::{call, load, supervisor};
use cordon_tests::plugins::{compiled, fixture};
use tempfile::TempDir;

use crate::deaths::{crash, crash_of};

const TABLES: &str = "-fno-asynchronous-unwind-tables -fno-unwind-tables -fno-exceptions";

/// The functions that have a name.
fn functions(crash: &Crash) -> Vec<&str> {
    let frames = crash.backtrace.frames.iter();
    frames
        .filter_map(|frame| frame.function.as_deref())
        .collect()
}

fn folder() -> TempDir {
    TempDir::with_prefix("cordon-crash-").unwrap_or_else(|error| panic!("{error}"))
}

fn run(command: &mut Command) {
    let done = command.status();
    assert!(done.is_ok_and(|status| status.success()), "{command:?}");
}

#[tokio::test]
async fn tables_tell_each_function_in_order() {
    let supervisor = supervisor("").await;
    for (method, names) in [
        ("segfault", &["segfault", "outer", "call"][..]),
        ("thread", &["segfault", "outer", "in_thread"]),
    ] {
        let crash = crash(&supervisor, "crasher", method).await;
        assert!(
            functions(&crash).starts_with(names),
            "{method}: {:#?}",
            crash.backtrace
        );
        let guessed = crash.backtrace.frames.iter().any(|frame| frame.guessed);
        assert!(!guessed, "{method}: {:#?}", crash.backtrace);
    }
    for (method, names) in [
        ("abort", ["abort_now", "outer", "call"]),
        ("exit0", ["exit_0", "outer", "call"]),
    ] {
        let crash = crash(&supervisor, "crasher", method).await;
        let found = functions(&crash);
        let first = found.iter().position(|name| *name == names[0]);
        let found = first.map(|first| &found[first..]);
        assert!(
            found.is_some_and(|found| found.starts_with(&names)),
            "{found:?}"
        );
    }
}

#[tokio::test]
async fn stack_that_overflowed_is_told_from_where_memory_begins() {
    let supervisor = supervisor("").await;

    let crash = crash(&supervisor, "crasher", "overflow").await;

    let functions = functions(&crash);
    assert!(functions.len() > 8, "{:#?}", crash.backtrace);
    assert!(
        functions.iter().all(|name| *name == "overflow"),
        "{functions:?}"
    );
}

#[tokio::test]
async fn denied_call_is_told_from_the_stack_pointer_alone() {
    let supervisor = supervisor("").await;

    let crash = crash(&supervisor, "crasher", "denied").await;

    assert!(
        functions(&crash).ends_with(&["outer", "call"]),
        "{:#?}",
        crash.backtrace
    );
}

#[tokio::test]
async fn without_tables_callers_are_guessed_and_marked() {
    for frames in ["-fno-omit-frame-pointer", "-fomit-frame-pointer"] {
        // A plugin's id belongs to its first file.
        let supervisor = supervisor("").await;
        let folder = folder();
        let plugin = compiled(folder.path(), "crasher", &format!("{frames} {TABLES}"));

        let crash = crash_of(&supervisor, &plugin, "segfault").await;

        assert!(
            functions(&crash).starts_with(&["segfault", "outer", "call"]),
            "{frames}: {:#?}",
            crash.backtrace
        );
        let of_plugin = |frame: &&Frame| frame.library == "plugin.so";
        let callers = crash.backtrace.frames[1..].iter().filter(of_plugin);
        assert!(
            callers.clone().count() == 2 && callers.clone().all(|frame| frame.guessed),
            "{frames}: {:#?}",
            crash.backtrace
        );
    }
}

#[tokio::test]
async fn debug_data_tells_file_and_line() {
    let supervisor = supervisor("").await;
    let folder = folder();
    let plugin = compiled(folder.path(), "crasher", "-g");

    let crash = crash_of(&supervisor, &plugin, "segfault").await;

    let frame = &crash.backtrace.frames[0];
    let file = frame.file.as_deref().unwrap_or_default();
    assert!(file.ends_with("crasher.c"), "{frame:?}");
    assert!(frame.line.is_some_and(|line| line > 1), "{frame:?}");
}

#[tokio::test]
async fn names_of_rust_are_demangled() {
    let supervisor = supervisor("").await;

    let crash = crash(&supervisor, "rusty", "rust").await;

    let functions = functions(&crash);
    assert!(
        functions[0].starts_with("dying::deep::write"),
        "{functions:?}"
    );
    assert_eq!(functions[1..3], ["rust_death", "outer"], "{functions:?}");
}

#[tokio::test]
async fn hostile_tables_and_debug_data_cost_the_names_and_nothing_else() {
    let supervisor = supervisor("").await;
    let folder = folder();
    let plugin = compiled(folder.path(), "crasher", "-g");
    for byte in [0x00, 0xff, 0x7f, 0x01] {
        for section in [
            ".eh_frame",
            ".debug_info",
            ".debug_abbrev",
            ".debug_line",
            ".debug_str",
        ] {
            fill(&plugin, section, byte);
        }

        let crash = crash_of(&supervisor, &plugin, "segfault").await;

        assert!(!crash.registers.is_empty() && !crash.maps.is_empty());
        assert!(!crash.backtrace.frames.is_empty(), "{:#?}", crash.backtrace);
    }
    let other = load(&supervisor, &fixture("probe")).await;
    let reply = call(&supervisor, &other, "echo", "still here").await;
    assert_eq!(reply.as_deref(), Ok("still here"));
}

/// Overwrites all of a section but the length that it begins with, so that what follows is read.
fn fill(plugin: &Path, section: &str, byte: u8) {
    let content = plugin.with_extension("section");
    let bent = plugin.with_extension("bent");
    let argument = |option: &str| format!("--{option}-section={section}={}", content.display());
    run(Command::new("objcopy")
        .arg(argument("dump"))
        .args([plugin, &bent]));
    let filled = std::fs::read(&content).and_then(|mut bytes| {
        bytes.iter_mut().skip(4).for_each(|old| *old = byte);
        std::fs::write(&content, bytes)
    });
    assert!(filled.is_ok(), "{filled:?}");
    run(Command::new("objcopy")
        .arg(argument("update"))
        .args([plugin, &bent]));
    let moved = std::fs::rename(&bent, plugin);
    assert!(moved.is_ok(), "{moved:?}");
}
