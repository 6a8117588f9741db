//! A plugin of this very process behind a C table, that calls the host as C would.

use std::cell::RefCell;
use std::mem::size_of;
use std::thread;

use super::super::{Host, VERSION};
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

const REPLY_LIMIT: usize = 64;

const TABLE: Plugin = Plugin {
    size: size_of::<Plugin>(),
    abi: VERSION,
    reserved: 0,
    required_features: 0,
    optional_features: 0,
    create: None,
    call: Some(ask),
    hook: None,
    snapshot: None,
    restore: None,
    health: None,
    shutdown: None,
    destroy: None,
};

fn instance(recorder: &Recorder) -> Instance {
    // SAFETY: a whole table of this version; its one function takes liberties only where the host
    // is to refuse them: null pointers, and a context on another thread.
    unsafe { Instance::from_table(TABLE, &recorder.caller(), b"", REPLY_LIMIT, &mut Vec::new()) }
        .unwrap()
}

/// Asks the host for what the method says, and replies with what it got.
unsafe extern "C" fn ask(
    _: *mut c_void,
    context: *const Context,
    method: Bytes,
    payload: Bytes,
    reply: *mut Sink,
) -> Status {
    // SAFETY: called by `Instance::call`, with all of it alive until the return.
    let method = unsafe { method.as_slice() }.unwrap();
    let bad = Bytes {
        data: ptr::null(),
        len: 3,
    };
    // SAFETY: the context received is alive, and its host table is static.
    let host: Host = unsafe { *(*context).host };
    // SAFETY: the context and sink received; null pointers are what is tested.
    unsafe {
        match method {
            b"get" => (host.context_get.unwrap())(context, payload, reply),
            b"set" => (host.context_set.unwrap())(context, payload, payload),
            b"service" => (host.call_service.unwrap())(context, payload, payload, payload, reply),
            b"null bytes" => (host.emit.unwrap())(context, bad, payload),
            b"null sink" => (host.context_get.unwrap())(context, payload, ptr::null_mut()),
            b"null context" => (host.emit.unwrap())(ptr::null(), payload, payload),
            b"flood" => {
                let flood = vec![0; REPLY_LIMIT + 1];
                ((*reply).write.unwrap())(reply, Bytes::new(&flood))
            }
            b"thread" => {
                let address = context.expose_provenance();
                thread::scope(|scope| {
                    scope
                        .spawn(|| {
                            let context = ptr::with_exposed_provenance(address);
                            (host.cancelled.unwrap())(context)
                                + (host.emit.unwrap())(context, Bytes::new(b""), Bytes::new(b"")).0
                        })
                        .join()
                        .map(Status)
                        .unwrap()
                })
            }
            _ => {
                (host.log.unwrap())(context, 3, payload);
                Status::OK
            }
        }
    }
}

fn run(method: &str, payload: &[u8]) -> (Status, Vec<u8>, Vec<String>) {
    let recorder = Recorder::default();
    let mut reply = Vec::new();
    let status =
        instance(&recorder).call(&recorder.caller(), method.as_bytes(), payload, &mut reply);
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
fn absent_functions_are_unsupported_and_an_absent_create_or_shutdown_is_fine() {
    let recorder = Recorder::default();
    let caller = recorder.caller();
    let instance = instance(&recorder);
    let mut out = Vec::new();

    assert_eq!(instance.health(&caller, &mut out), Status::UNSUPPORTED);
    let hook = instance.hook(&caller, b"h", b"", &mut out);
    assert_eq!(hook, Err(Status::UNSUPPORTED));
    let snapshot = instance.snapshot(&caller, &mut out);
    assert_eq!(snapshot, Err(Status::UNSUPPORTED));
    assert_eq!(instance.restore(&caller, 1, b""), Status::UNSUPPORTED);
    assert_eq!(instance.shutdown(&caller), Status::OK);
}
