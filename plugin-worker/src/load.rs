//! The plugin behind its C table: dlopen, checks, and calls. The only `unsafe` code of this crate.
//!
//! The plugin shares this process, so nothing here is a wall against a hostile one: the sandbox
//! around the process is. The checks keep an honest plugin's mistake from becoming our undefined
//! behaviour, and a defect of ours from unwinding into C: functions declared `extern "C"` abort
//! instead, which the supervisor reports as a crash.

pub(crate) mod plugin;

use std::ffi::c_void;
use std::mem::size_of;
use std::ptr;
use std::thread::{self, ThreadId};

use ipc_proto::limits::MAX_PAYLOAD;
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use plugin_sdk::abi::host::{Caller, Services};
use plugin_sdk::abi::sink::{Reply, collect};
use plugin_sdk::abi::{
    Bytes, CONTINUE, Context, ENTRY_SYMBOL, Entry, Host, MAJOR, Plugin as Table, Sink, Status,
    VERSION, table,
};

use plugin::{About, HOST_FEATURES, LoadError, Loader, Plugin};

/// Loads plugins with the dynamic loader, and never unloads one: thread-local destructors of a
/// plugin may still point into it, so unloading is the end of the process.
pub(crate) struct Dlopen;

impl Loader for Dlopen {
    type Plugin = Native;

    fn load(&mut self, plugin: &str, preload: &[&str]) -> Result<Native, LoadError> {
        for path in preload {
            // The handle is a plain pointer: dropping the raw value leaves the library open.
            open(path)
                .map_err(|text| LoadError::Preload {
                    path: (*path).to_owned(),
                    text,
                })?
                .into_raw();
        }
        let library = open(plugin).map_err(|text| LoadError::Open { text })?;
        // SAFETY: a symbol of this name is of type Entry by the ABI that the file claims to follow;
        // Option takes in a symbol whose address is null. It stays valid since the library is never
        // closed.
        let entry = unsafe { library.get::<Option<Entry>>(ENTRY_SYMBOL) }.map(|symbol| *symbol);
        library.into_raw();
        let Ok(Some(entry)) = entry else {
            return Err(LoadError::NoEntry);
        };
        // SAFETY: Entry's contract is to be called once with the host's version, on the thread that
        // loaded the plugin, before anything else: so it is.
        let published = unsafe { entry(VERSION) };
        if published.is_null() {
            return Err(LoadError::Refused);
        }
        // SAFETY: not null; the ABI demands a static table that begins with its own size.
        let table = unsafe { table::read(published) }.ok_or(LoadError::Vtable)?;
        Native::new(table)
    }
}

fn open(path: &str) -> Result<Library, String> {
    // SAFETY: opening runs the library's constructors, which is what this confined process is for.
    // No state of ours depends on what they leave alone but memory that they have no pointer to.
    unsafe { Library::open(Some(path), RTLD_NOW | RTLD_LOCAL) }.map_err(|error| {
        // libloading's own text is only "dlopen failed"; the cause says why.
        std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string)
    })
}

/// A plugin that is mapped into this process.
#[derive(Debug)]
pub(crate) struct Native {
    table: Table,
    /// What `create` stored; null without `create`.
    instance: *mut c_void,
}

impl Native {
    fn new(table: Table) -> Result<Self, LoadError> {
        let abi = table.abi;
        if abi >> 16 != u32::from(MAJOR) {
            return Err(LoadError::AbiMismatch { abi });
        }
        match table.required_features & !HOST_FEATURES {
            0 => Ok(Self {
                table,
                instance: ptr::null_mut(),
            }),
            missing => Err(LoadError::Feature { abi, missing }),
        }
    }
}

// SAFETY, for every call through the table below: the function pointer is the plugin's own for that
// slot, read from a table whose size covers it. It gets a context that `enter` made and a sink that
// `collect` made, both alive until it returns; byte strings borrowed from this function's caller,
// likewise; pointers to locals for single results; and the instance between `create` and
// `destroy`, which the serve loop keeps in that order on one thread (the contract of `Plugin`).
impl Plugin for Native {
    fn about(&self) -> About {
        About {
            abi: self.table.abi,
            optional_features: self.table.optional_features,
        }
    }

    fn create(&mut self, caller: &Caller<'_>, config: &[u8], error: &mut Vec<u8>) -> Status {
        let Some(create) = self.table.create else {
            return Status::OK;
        };
        let mut instance = ptr::null_mut();
        let status = enter(caller, error, |context, sink| {
            // SAFETY: see above the impl.
            unsafe { create(context, Bytes::new(config), &raw mut instance, sink) }
        });
        if status == Status::OK {
            self.instance = instance;
        }
        status
    }

    fn call(
        &mut self,
        caller: &Caller<'_>,
        method: &str,
        payload: &[u8],
        reply: &mut Vec<u8>,
    ) -> Status {
        let Some(call) = self.table.call else {
            return Status::UNSUPPORTED;
        };
        let (method, payload) = (Bytes::new(method.as_bytes()), Bytes::new(payload));
        enter(caller, reply, |context, sink| {
            // SAFETY: see above the impl.
            unsafe { call(self.instance, context, method, payload, sink) }
        })
    }

    fn hook(
        &mut self,
        caller: &Caller<'_>,
        name: &str,
        payload: &[u8],
        verdict: &mut u32,
        reply: &mut Vec<u8>,
    ) -> Status {
        let Some(hook) = self.table.hook else {
            return Status::UNSUPPORTED;
        };
        *verdict = CONTINUE;
        let (name, payload) = (Bytes::new(name.as_bytes()), Bytes::new(payload));
        enter(caller, reply, |context, sink| {
            // SAFETY: see above the impl.
            unsafe { hook(self.instance, context, name, payload, verdict, sink) }
        })
    }

    fn snapshot(&mut self, caller: &Caller<'_>, schema: &mut u32, state: &mut Vec<u8>) -> Status {
        let Some(snapshot) = self.table.snapshot else {
            return Status::UNSUPPORTED;
        };
        enter(caller, state, |context, sink| {
            // SAFETY: see above the impl.
            unsafe { snapshot(self.instance, context, schema, sink) }
        })
    }

    fn restore(&mut self, caller: &Caller<'_>, schema: u32, state: &[u8]) -> Status {
        let Some(restore) = self.table.restore else {
            return Status::UNSUPPORTED;
        };
        enter(caller, &mut Vec::new(), |context, _| {
            // SAFETY: see above the impl.
            unsafe { restore(self.instance, context, schema, Bytes::new(state)) }
        })
    }

    fn health(&mut self, caller: &Caller<'_>, detail: &mut Vec<u8>) -> Status {
        let Some(health) = self.table.health else {
            return Status::UNSUPPORTED;
        };
        enter(caller, detail, |context, sink| {
            // SAFETY: see above the impl.
            unsafe { health(self.instance, context, sink) }
        })
    }

    fn shutdown(&mut self, caller: &Caller<'_>) -> Status {
        let Some(shutdown) = self.table.shutdown else {
            return Status::OK;
        };
        enter(caller, &mut Vec::new(), |context, _| {
            // SAFETY: see above the impl.
            unsafe { shutdown(self.instance, context) }
        })
    }

    fn destroy(&mut self) {
        if let Some(destroy) = self.table.destroy {
            // SAFETY: see above the impl; nothing uses the instance after this.
            unsafe { destroy(self.instance) }
        }
    }
}

/// What a context's `opaque` points at, for the time of one call.
struct Scope<'a> {
    services: &'a dyn Services,
    thread: ThreadId,
}

/// Runs `callee` with a context for this call and a sink that fills `buffer`, both dead once it
/// returns.
fn enter(
    caller: &Caller<'_>,
    buffer: &mut Vec<u8>,
    callee: impl FnOnce(*const Context, *mut Sink) -> Status,
) -> Status {
    let scope = Scope {
        services: caller.services,
        thread: thread::current().id(),
    };
    let context = Context {
        size: size_of::<Context>(),
        call_id: caller.call_id,
        deadline_ns: caller.deadline_ns,
        tenant: Bytes::new(caller.tenant.as_bytes()),
        user: Bytes::new(caller.user.as_bytes()),
        host: &raw const HOST,
        opaque: ptr::from_ref(&scope).cast_mut().cast(),
    };
    collect(buffer, MAX_PAYLOAD, |sink| callee(&raw const context, sink))
}

static HOST: Host = Host {
    size: size_of::<Host>(),
    abi: VERSION,
    reserved: 0,
    features: HOST_FEATURES,
    log: Some(log),
    context_get: Some(context_get),
    context_set: Some(context_set),
    emit: Some(emit),
    call_service: Some(call_service),
    cancelled: Some(cancelled),
};

/// The services of the call behind a context; `None` for null, and on another thread than the
/// call's, which the ABI forbids and the services don't stand.
///
/// # Safety
/// `context` is null or one that [`enter`] made, within that call.
unsafe fn services<'a>(context: *const Context) -> Option<&'a dyn Services> {
    // SAFETY: by the caller's promise null or alive, and `opaque` points at the Scope in the frame
    // of `enter`, which is alive as well; nobody writes to either.
    let scope = unsafe { context.as_ref()?.opaque.cast::<Scope<'a>>().as_ref()? };
    (scope.thread == thread::current().id()).then_some(scope.services)
}

// SAFETY, for the functions below: the ABI demands of a plugin that it passes the context it
// received, within that call; byte strings that are readable until the function returns; and its
// own sinks, which nobody else uses meanwhile. Nulls and impossible lengths are refused by
// `services`, `as_slice` and `Reply::new`. The services copy what they are given, and return
// before a sink of the plugin (whose `write` may call back) is written to.

unsafe extern "C" fn log(context: *const Context, level: u32, text: Bytes) {
    // SAFETY: see above.
    if let (Some(services), Some(text)) = unsafe { (services(context), text.as_slice()) } {
        services.log(level, text);
    }
}

unsafe extern "C" fn context_get(context: *const Context, key: Bytes, value: *mut Sink) -> Status {
    // SAFETY: see above.
    let arguments = unsafe { (services(context), key.as_slice(), Reply::new(value)) };
    let (Some(services), Some(key), Some(mut value)) = arguments else {
        return Status::INVALID;
    };
    status(
        services
            .context_get(key)
            .and_then(|found| value.write(&found)),
    )
}

unsafe extern "C" fn context_set(context: *const Context, key: Bytes, value: Bytes) -> Status {
    // SAFETY: see above.
    match unsafe { (services(context), key.as_slice(), value.as_slice()) } {
        (Some(services), Some(key), Some(value)) => status(services.context_set(key, value)),
        _ => Status::INVALID,
    }
}

unsafe extern "C" fn emit(context: *const Context, name: Bytes, payload: Bytes) -> Status {
    // SAFETY: see above.
    match unsafe { (services(context), name.as_slice(), payload.as_slice()) } {
        (Some(services), Some(name), Some(payload)) => status(services.emit(name, payload)),
        _ => Status::INVALID,
    }
}

unsafe extern "C" fn call_service(
    context: *const Context,
    service: Bytes,
    method: Bytes,
    payload: Bytes,
    reply: *mut Sink,
) -> Status {
    // SAFETY: see above.
    let target = unsafe { (services(context), service.as_slice(), method.as_slice()) };
    // SAFETY: see above.
    let data = unsafe { (payload.as_slice(), Reply::new(reply)) };
    let ((Some(services), Some(service), Some(method)), (Some(payload), Some(mut reply))) =
        (target, data)
    else {
        return Status::INVALID;
    };
    match services.call_service(service, method, payload) {
        Ok(answer) => status(reply.write(&answer)),
        // The service's failure outweighs that its text may not fit.
        Err((failure, text)) => reply.write(&text).map_or(failure, |()| failure),
    }
}

unsafe extern "C" fn cancelled(context: *const Context) -> i32 {
    // SAFETY: see above. A context used on another thread belongs to no call there: give up.
    unsafe { services(context) }
        .is_none_or(Services::cancelled)
        .into()
}

fn status(outcome: Result<(), Status>) -> Status {
    outcome.err().unwrap_or(Status::OK)
}

#[cfg(test)]
mod tests;
