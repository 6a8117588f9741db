//! A plugin of this very process behind a C table, and what the dynamic loader refuses.

use std::cell::RefCell;
use std::ffi::c_void;
use std::mem::offset_of;

use super::*;

/// Remembers what the plugin asked for.
#[derive(Default)]
struct Recorder(RefCell<Vec<String>>);

impl Recorder {
    fn note(&self, what: &str, bytes: &[u8]) {
        let line = format!("{what} {}", String::from_utf8_lossy(bytes));
        self.0.borrow_mut().push(line);
    }

    fn caller(&self) -> Caller<'_> {
        Caller {
            call_id: 7,
            deadline_ns: 0,
            tenant: "acme",
            user: "ann",
            services: self,
        }
    }
}

impl Services for Recorder {
    fn log(&self, level: u32, text: &[u8]) {
        self.note(&format!("log {level}"), text);
    }

    fn context_get(&self, key: &[u8]) -> Result<Vec<u8>, Status> {
        self.note("get", key);
        Ok(b"value".to_vec())
    }

    fn context_set(&self, key: &[u8], _: &[u8]) -> Result<(), Status> {
        self.note("set", key);
        Err(Status::DENIED)
    }

    fn emit(&self, name: &[u8], _: &[u8]) -> Result<(), Status> {
        self.note("emit", name);
        Ok(())
    }

    fn call_service(&self, _: &[u8], _: &[u8], _: &[u8]) -> Result<Vec<u8>, (Status, Vec<u8>)> {
        Err((Status::NOT_FOUND, b"none".to_vec()))
    }

    fn cancelled(&self) -> bool {
        false
    }
}

const TABLE: Table = Table {
    size: size_of::<Table>(),
    abi: VERSION,
    reserved: 0,
    required_features: 0,
    optional_features: 1 << 40,
    create: None,
    call: Some(ask),
    hook: None,
    snapshot: None,
    restore: None,
    health: None,
    shutdown: None,
    destroy: None,
};

/// Asks the host for what the method says, and replies with what it got.
unsafe extern "C" fn ask(
    _: *mut c_void,
    context: *const Context,
    method: Bytes,
    payload: Bytes,
    reply: *mut Sink,
) -> Status {
    // SAFETY: called by `Native::call`, with all of it alive until the return.
    let method = unsafe { method.as_slice() }.unwrap();
    let bad = Bytes {
        data: ptr::null(),
        len: 3,
    };
    // SAFETY: the context and sink received; null pointers are what is tested.
    unsafe {
        match method {
            b"get" => context_get(context, payload, reply),
            b"set" => context_set(context, payload, payload),
            b"service" => call_service(context, payload, payload, payload, reply),
            b"null bytes" => emit(context, bad, payload),
            b"null sink" => context_get(context, payload, ptr::null_mut()),
            b"null context" => emit(ptr::null(), payload, payload),
            b"flood" => {
                let flood = vec![0; MAX_PAYLOAD + 1];
                ((*reply).write.unwrap())(reply, Bytes::new(&flood))
            }
            b"thread" => {
                let address = context.expose_provenance();
                thread::scope(|scope| {
                    scope
                        .spawn(|| {
                            let context = ptr::with_exposed_provenance(address);
                            cancelled(context) + emit(context, Bytes::new(b""), Bytes::new(b"")).0
                        })
                        .join()
                        .map(Status)
                        .unwrap()
                })
            }
            _ => {
                log(context, 3, payload);
                Status::OK
            }
        }
    }
}

fn run(method: &str, payload: &[u8]) -> (Status, Vec<u8>, Vec<String>) {
    let recorder = Recorder::default();
    let mut reply = Vec::new();
    let mut plugin = Native::new(TABLE).unwrap();
    let status = plugin.call(&recorder.caller(), method, payload, &mut reply);
    (status, reply, recorder.0.into_inner())
}

#[test]
fn host_functions_reach_the_services_of_the_call() {
    assert_eq!(run("log", b"line").2, ["log 3 line"]);
    assert_eq!(
        run("get", b"key"),
        (Status::OK, b"value".to_vec(), vec!["get key".into()])
    );
    assert_eq!(run("set", b"key").0, Status::DENIED);
    assert_eq!(
        run("service", b"s"),
        (Status::NOT_FOUND, b"none".to_vec(), vec![])
    );
}

#[test]
fn null_pointers_of_the_plugin_are_invalid() {
    for method in ["null bytes", "null sink", "null context"] {
        assert_eq!(run(method, b"x"), (Status::INVALID, vec![], vec![]));
    }
}

#[test]
fn another_thread_of_the_plugin_gets_nothing() {
    let (status, _, asked) = run("thread", b"");

    assert_eq!(status.0, 1 + Status::INVALID.0);
    assert!(asked.is_empty());
}

#[test]
fn a_reply_over_the_limit_is_too_large() {
    assert_eq!(run("flood", b""), (Status::TOO_LARGE, vec![], vec![]));
}

#[test]
fn absent_functions_are_unsupported_and_an_absent_create_is_fine() {
    let recorder = Recorder::default();
    let mut plugin = Native::new(TABLE).unwrap();
    let (mut out, mut number) = (Vec::new(), 9);
    let caller = recorder.caller();

    assert_eq!(plugin.create(&caller, b"", &mut out), Status::OK);
    assert_eq!(plugin.health(&caller, &mut out), Status::UNSUPPORTED);
    let hook = plugin.hook(&caller, "h", b"", &mut number, &mut out);
    assert_eq!(hook, Status::UNSUPPORTED);
    assert_eq!(plugin.restore(&caller, 1, b""), Status::UNSUPPORTED);
    plugin.destroy();
}

#[test]
fn functions_beyond_the_size_of_the_table_are_absent() {
    let older = Table {
        size: offset_of!(Table, call),
        ..TABLE
    };
    // SAFETY: a whole table whose size is within it.
    let read = unsafe { table::read(&raw const older) }.unwrap();

    assert!(Native::new(read).unwrap().table.call.is_none());
}

#[test]
fn another_major_and_a_newer_minor() {
    let newer = Native::new(Table {
        abi: VERSION + 9,
        ..TABLE
    });
    let alien = Native::new(Table {
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
    let error = Native::new(Table {
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
