//! A plugin that declares nothing: everything optional is absent from its table.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use plugin_sdk::abi::{self, Status};
use plugin_sdk::plugin::Instance;
use plugin_sdk::testing::{Host, Snapshot};
use plugin_sdk::{Plugin, make_plugin};

#[derive(Default)]
struct Bare;

impl Drop for Bare {
    fn drop(&mut self) {
        panic!("a panic in the drop stops at the entry");
    }
}

make_plugin! {
    plugin: Bare,
    id: "bare",
}

#[test]
fn manifest_has_only_what_it_must() {
    let expected = format!(
        "id = \"bare\"\nversion = \"{}\"\nabi = \"1.0\"\nconcurrency = \"serial\"\n",
        env!("CARGO_PKG_VERSION")
    );

    assert_eq!(Bare::MANIFEST, expected);
}

#[test]
fn absent_functions_are_null() {
    let table = abi::export::table::<Instance<Bare>>(Bare::OFFERS);

    assert!(table.create.is_some() && table.shutdown.is_some() && table.destroy.is_some());
    assert!(table.call.is_none() && table.hook.is_none());
    assert!(table.snapshot.is_none() && table.restore.is_none() && table.health.is_none());
}

#[test]
fn absent_functions_are_unsupported() {
    let host = Host::new();
    let bare = host.create::<Bare>(b"").unwrap();

    assert_eq!(
        bare.call("any", b"").unwrap_err().status,
        Status::UNSUPPORTED
    );
    assert_eq!(
        bare.hook("any", b"").unwrap_err().status,
        Status::UNSUPPORTED
    );
    assert_eq!(bare.snapshot().unwrap_err().status, Status::UNSUPPORTED);
    let nothing = Snapshot {
        schema: 1,
        state: Vec::new(),
    };
    assert_eq!(
        bare.restore(&nothing).unwrap_err().status,
        Status::UNSUPPORTED
    );
    assert_eq!(bare.health().unwrap_err().status, Status::UNSUPPORTED);
    assert_eq!(bare.shutdown(), Ok(()));
}

#[test]
fn another_major_version_is_refused() {
    static TABLE: abi::Plugin = abi::export::table::<Instance<Bare>>(Bare::OFFERS);

    assert!(abi::export::entry(&TABLE, b"", abi::VERSION + (1 << 16)).is_null());
    assert!(!abi::export::entry(&TABLE, b"", abi::VERSION + 1).is_null());
}
