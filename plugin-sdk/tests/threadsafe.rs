//! A threadsafe plugin: shared by its calls.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::atomic::{AtomicU32, Ordering};

use plugin_sdk::abi::Status;
use plugin_sdk::testing::Host;
use plugin_sdk::{Context, Error, Plugin, make_plugin};

#[derive(Default)]
struct Shared(AtomicU32);

impl Shared {
    fn next(&self, _: &Context<'_>, _: &[u8]) -> Result<String, Error> {
        Ok(self.0.fetch_add(1, Ordering::Relaxed).to_string())
    }

    fn panics(&self, _: &Context<'_>, _: &[u8]) -> Result<String, Error> {
        std::panic::panic_any(5_u8);
    }
}

make_plugin! {
    plugin: Shared,
    id: "shared",
    concurrency: threadsafe,
    methods: { "next" => Shared::next, "panics" => Shared::panics },
}

#[test]
fn calls_share_the_instance() {
    let host = Host::new();
    let shared = host.create::<Shared>(b"").unwrap();

    assert_eq!(shared.call("next", b"").unwrap(), b"0");
    assert_eq!(shared.call("next", b"").unwrap(), b"1");
}

#[test]
fn manifest_says_threadsafe() {
    assert!(Shared::MANIFEST.contains("concurrency = \"threadsafe\"\n"));
}

#[test]
fn panic_without_a_text_poisons_too() {
    let host = Host::new();
    let shared = host.create::<Shared>(b"").unwrap();

    assert_eq!(
        shared.call("panics", b"").unwrap_err().text,
        "panic without a text"
    );
    assert_eq!(shared.call("next", b"").unwrap_err().status, Status::PANIC);
}
