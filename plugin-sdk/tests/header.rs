//! The header and its Rust twin agree, by the word of a C and of a C++ compiler.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Write as _;
use std::mem::{offset_of, size_of};
use std::path::Path;
use std::process::Command;

use plugin_sdk::abi::{self, Bytes, Context, Host, Plugin, Sink, Status};

/// What to compare: a C expression and its value in Rust.
type Facts = Vec<(String, u64)>;

macro_rules! layout {
    ($facts:ident, $rust:ident, $c:literal, $($field:ident),+) => {
        $facts.push((concat!("sizeof(", $c, ")").to_owned(), size_of::<$rust>() as u64));
        $($facts.push((
            concat!("offsetof(", $c, ", ", stringify!($field), ")").to_owned(),
            offset_of!($rust, $field) as u64,
        ));)+
        // Every field of the twin is named, or this does not compile.
        let _ = |twin: $rust| { let $rust { $($field: _),+ } = twin; };
    };
}

fn facts() -> Facts {
    let mut facts = Facts::new();
    layout!(facts, Bytes, "cordon_bytes", data, len);
    layout!(facts, Sink, "cordon_sink", size, opaque, write);
    layout!(
        facts,
        Context,
        "cordon_context",
        size,
        call_id,
        deadline_ns,
        tenant,
        user,
        host,
        opaque
    );
    layout!(
        facts,
        Host,
        "cordon_host",
        size,
        abi,
        reserved,
        features,
        log,
        context_get,
        context_set,
        emit,
        call_service,
        cancelled
    );
    layout!(
        facts,
        Plugin,
        "cordon_plugin",
        size,
        abi,
        reserved,
        required_features,
        optional_features,
        create,
        call,
        hook,
        snapshot,
        restore,
        health,
        shutdown,
        destroy
    );
    facts.push(("sizeof(cordon_status)".into(), size_of::<Status>() as u64));
    facts.extend(constants().map(|(name, value)| (name.to_owned(), value)));
    facts
}

fn constants() -> impl Iterator<Item = (&'static str, u64)> {
    let statuses = [
        ("CORDON_OK", Status::OK),
        ("CORDON_ERROR", Status::ERROR),
        ("CORDON_NO_METHOD", Status::NO_METHOD),
        ("CORDON_UNSUPPORTED", Status::UNSUPPORTED),
        ("CORDON_PANIC", Status::PANIC),
        ("CORDON_CANCELLED", Status::CANCELLED),
        ("CORDON_DENIED", Status::DENIED),
        ("CORDON_NOT_FOUND", Status::NOT_FOUND),
        ("CORDON_TOO_LARGE", Status::TOO_LARGE),
        ("CORDON_INVALID", Status::INVALID),
        ("CORDON_DEADLINE", Status::DEADLINE),
    ];
    let numbers = [
        ("CORDON_ABI_MAJOR", u32::from(abi::MAJOR)),
        ("CORDON_ABI_MINOR", u32::from(abi::MINOR)),
        ("CORDON_ABI_VERSION", abi::VERSION),
        ("CORDON_CONTINUE", abi::CONTINUE),
        ("CORDON_INTERCEPT", abi::INTERCEPT),
        ("CORDON_REJECT", abi::REJECT),
        ("CORDON_LOG_ERROR", abi::LOG_ERROR),
        ("CORDON_LOG_WARN", abi::LOG_WARN),
        ("CORDON_LOG_INFO", abi::LOG_INFO),
        ("CORDON_LOG_DEBUG", abi::LOG_DEBUG),
        ("CORDON_LOG_TRACE", abi::LOG_TRACE),
    ];
    let statuses = statuses.map(|(name, status)| (name, u64::from(status.0.unsigned_abs())));
    statuses
        .into_iter()
        .chain(numbers.map(|(name, value)| (name, u64::from(value))))
}

/// A program that prints the value of every expression, a line each, using all macros and helpers
/// of the header on the way.
fn program(facts: &Facts) -> String {
    let mut source = String::from(
        "#include \"cordon_plugin.h\"\n#include <stdio.h>\n\
         CORDON_MANIFEST(\"id = \\\"probe\\\"\\n\" \"version = \\\"1.0.0\\\"\\n\");\n\
         int main(void) {\n",
    );
    for (expression, _) in facts {
        writeln!(
            source,
            "    printf(\"%llu\\n\", (unsigned long long)({expression}));"
        )
        .unwrap();
    }
    source.push_str("    return cordon_equals(cordon_text(\"a\"), \"a\") ? 0 : 1;\n}\n");
    source
}

fn compare(compiler: &str, standard: &str, extension: &str) {
    let facts = facts();
    let folder = tempfile::tempdir().unwrap();
    let (source, binary) = (
        folder.path().join(format!("probe.{extension}")),
        folder.path().join("probe"),
    );
    std::fs::write(&source, program(&facts)).unwrap();

    let compiled = Command::new(compiler)
        .args([standard, "-Wall", "-Wextra", "-Werror", "-pedantic", "-I"])
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("include"))
        .arg(&source)
        .arg("-o")
        .arg(&binary)
        .output()
        .unwrap();
    assert!(
        compiled.status.success(),
        "{compiler}: {}",
        String::from_utf8_lossy(&compiled.stderr)
    );
    let printed = Command::new(&binary).output().unwrap();

    assert!(printed.status.success());
    let values = String::from_utf8(printed.stdout).unwrap();
    let values: Vec<u64> = values.lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!(values.len(), facts.len());
    for ((expression, ours), theirs) in facts.iter().zip(values) {
        assert_eq!(*ours, theirs, "{expression}");
    }
}

#[test]
fn c11_agrees_with_the_twin() {
    compare("cc", "-std=c11", "c");
}

#[test]
fn cpp17_agrees_with_the_twin() {
    compare("c++", "-std=c++17", "cpp");
}

#[test]
fn facts_name_every_constant_of_the_header() {
    let header = std::fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("include/cordon_plugin.h"),
    )
    .unwrap();
    let macros_with_text = ["CORDON_PLUGIN_H", "CORDON_EXPORT", "CORDON_RETAIN_"];

    let defined = header
        .lines()
        .filter_map(|line| line.strip_prefix("#define "))
        .filter_map(|definition| definition.split_whitespace().next())
        .filter(|name| !name.contains('(') && !macros_with_text.contains(name));

    for name in defined {
        assert!(constants().any(|(known, _)| known == name), "{name}");
    }
}
