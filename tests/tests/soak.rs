//! The soak, in short: whatever becomes of plugins and their supervisor, nothing is left behind.
//!
//! Alone in its file: it counts what the host has.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A failed assumption fails the test.

use std::process::Command;

use cordon_tests::plugins::fixture;

#[test]
fn soaked_host_is_back_to_the_start() {
    let mut soak = Command::new(env!("CARGO_BIN_EXE_soak"));
    soak.args(["--seconds", "20", "--plugins", "40", "--plugin"]);

    let output = soak.arg(fixture("later")).output().unwrap();

    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    let (table, errors) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{table}{errors}");
    println!("{table}");
}
