//! Tables of this very process, and what the dynamic loader refuses.

use std::cell::Cell;
use std::ffi::c_void;
use std::mem::{offset_of, size_of};

use plugin_sdk::abi::host::Services;
use plugin_sdk::abi::{Bytes, Context, Sink};

use super::*;

/// A host without any functions.
struct Nothing;

impl Services for Nothing {
    fn log(&self, _: u32, _: &[u8]) {}

    fn context_get(&self, _: &[u8]) -> Result<Vec<u8>, Status> {
        Err(Status::UNSUPPORTED)
    }

    fn context_set(&self, _: &[u8], _: &[u8]) -> Result<(), Status> {
        Err(Status::UNSUPPORTED)
    }

    fn emit(&self, _: &[u8], _: &[u8]) -> Result<(), Status> {
        Err(Status::UNSUPPORTED)
    }

    fn call_service(&self, _: &[u8], _: &[u8], _: &[u8]) -> Result<Vec<u8>, (Status, Vec<u8>)> {
        Err((Status::UNSUPPORTED, Vec::new()))
    }

    fn cancelled(&self) -> bool {
        false
    }
}

const CALLER: Caller<'_> = Caller {
    call_id: 7,
    deadline_ns: 0,
    tenant: "acme",
    user: "ann",
    services: &Nothing,
};

const TABLE: Table = Table {
    size: size_of::<Table>(),
    abi: VERSION,
    reserved: 0,
    required_features: 0,
    optional_features: 1 << 40,
    create: None,
    call: Some(flood),
    hook: None,
    snapshot: None,
    restore: None,
    health: None,
    shutdown: None,
    destroy: Some(count),
};

/// Replies with more than a host takes.
unsafe extern "C" fn flood(
    _: *mut c_void,
    _: *const Context,
    _: Bytes,
    _: Bytes,
    reply: *mut Sink,
) -> Status {
    let flood = vec![0; MAX_PAYLOAD + 1];
    // SAFETY: the sink received, alive until the return.
    unsafe { ((*reply).write.unwrap())(reply, Bytes::new(&flood)) }
}

thread_local! {
    static DESTROYED: Cell<u32> = const { Cell::new(0) };
}

unsafe extern "C" fn count(_: *mut c_void) {
    DESTROYED.set(DESTROYED.get() + 1);
}

fn native(table: Table) -> Result<Native, LoadError> {
    // SAFETY: the tables of these tests have functions of this program, written to the header.
    unsafe { Native::new(table) }
}

fn live() -> Live {
    let plugin = native(TABLE).unwrap();
    plugin.create(&CALLER, b"", &mut Vec::new()).unwrap()
}

#[test]
fn a_reply_over_the_limit_is_too_large() {
    let mut reply = Vec::new();

    let status = live().call(&CALLER, "flood", b"", &mut reply);

    assert_eq!((status, reply.as_slice()), (Status::TOO_LARGE, &[][..]));
}

#[test]
fn only_destroy_destroys() {
    assert_eq!(live().health(&CALLER, &mut Vec::new()), Status::UNSUPPORTED);
    assert_eq!(DESTROYED.get(), 0);

    live().destroy();
    assert_eq!(DESTROYED.get(), 1);
}

#[test]
fn functions_beyond_the_size_of_the_table_are_absent() {
    let older = Table {
        size: offset_of!(Table, call),
        ..TABLE
    };
    // SAFETY: a whole table whose size is within it.
    let read = unsafe { table::read(&raw const older) }.unwrap();

    assert!(native(read).unwrap().0.call.is_none());
}

#[test]
fn another_major_and_a_newer_minor() {
    let newer = native(Table {
        abi: VERSION + 9,
        ..TABLE
    });
    let alien = native(Table {
        abi: 2 << 16,
        ..TABLE
    });

    assert_eq!(newer.unwrap().about().abi, VERSION + 9);
    let error = alien.unwrap_err();
    assert_eq!(error, LoadError::AbiMismatch { abi: 2 << 16 });
    assert!(error.to_string().contains("ABI 2.0, this host 1.0"));
}

#[test]
fn a_required_feature_that_the_host_lacks_is_named_with_both_versions() {
    let error = native(Table {
        required_features: 0b100,
        ..TABLE
    })
    .unwrap_err();

    assert_eq!(
        error.to_string(),
        "the plugin (ABI 1.0) requires the features 0x4, which this host (ABI 1.0) lacks"
    );
}

#[test]
fn a_missing_file_and_a_library_that_is_no_plugin() {
    let missing = Dlopen.load("/nonexistent/plugin.so", &[]).unwrap_err();
    let preload = Dlopen.load("libc.so.6", &["/nonexistent/lib.so"]);
    let plain = Dlopen.load("libc.so.6", &["libm.so.6"]);

    assert!(
        matches!(&missing, LoadError::Open { text } if text.contains("No such file")),
        "{missing}"
    );
    assert!(matches!(preload, Err(LoadError::Preload { .. })));
    assert_eq!(plain.unwrap_err(), LoadError::NoEntry);
}
