//! The host's side: calling a plugin through its table, with a Rust type for the host's functions.

use std::ffi::c_void;
use std::mem::size_of;
use std::ptr;

use super::export::{Exported, Offers};
use super::sink::{Reply, collect};
use super::{Bytes, Context, Host, Plugin, Sink, Status, VERSION, export};

/// What a host does for a plugin in one call. No panic may leave these: it would abort the process.
pub trait Services {
    /// Takes a line for the log.
    fn log(&self, level: u32, text: &[u8]);
    /// Reads a key of the shared context.
    ///
    /// # Errors
    /// The status for the plugin, as in all of these.
    fn context_get(&self, key: &[u8]) -> Result<Vec<u8>, Status>;
    /// Sets a key of the shared context.
    ///
    /// # Errors
    /// The status for the plugin.
    fn context_set(&self, key: &[u8], value: &[u8]) -> Result<(), Status>;
    /// Emits an event.
    ///
    /// # Errors
    /// The status for the plugin.
    fn emit(&self, name: &[u8], payload: &[u8]) -> Result<(), Status>;
    /// Calls a method of a service.
    ///
    /// # Errors
    /// The status for the plugin, and the text of the error.
    fn call_service(
        &self,
        service: &[u8],
        method: &[u8],
        payload: &[u8],
    ) -> Result<Vec<u8>, (Status, Vec<u8>)>;
    /// Whether the call is cancelled or past its deadline.
    fn cancelled(&self) -> bool;
}

/// What a call tells the plugin about itself.
#[derive(Clone, Copy)]
pub struct Caller<'a> {
    /// Unique within the worker; 0 when no caller is behind it.
    pub call_id: u64,
    /// Absolute, nanoseconds of `CLOCK_MONOTONIC`; 0 = none.
    pub deadline_ns: u64,
    /// Tenant of the caller; may be empty.
    pub tenant: &'a str,
    /// User behind the call; may be empty.
    pub user: &'a str,
    /// The host's functions for this call.
    pub services: &'a dyn Services,
}

/// An instance of a plugin, made through its table and destroyed on drop.
#[derive(Debug)]
pub struct Instance {
    table: Plugin,
    raw: *mut c_void,
    reply_limit: usize,
}

impl Instance {
    /// Makes an instance of a type of this process; replies beyond `reply_limit` bytes are refused.
    /// The text of an error is in `error`.
    ///
    /// # Errors
    /// The status of `create`.
    pub fn create<E: Exported>(
        offers: Offers,
        caller: &Caller<'_>,
        config: &[u8],
        reply_limit: usize,
        error: &mut Vec<u8>,
    ) -> Result<Self, Status> {
        let table = export::table::<E>(offers);
        let mut raw = ptr::null_mut();
        let status = caller.enter(|context| {
            collect(error, reply_limit, |sink| {
                let Some(create) = table.create else {
                    return Status::OK;
                };
                // SAFETY: here and below, the function is one of `export`, whose demands are the
                // header's: a context, bytes and a sink that live until it returns, and an instance
                // between `create` and `destroy`, which `self` stands for.
                unsafe { create(context, Bytes::new(config), &raw mut raw, sink) }
            })
        });
        if status == Status::OK {
            Ok(Self {
                table,
                raw,
                reply_limit,
            })
        } else {
            Err(status)
        }
    }

    /// Runs a method; its result, or the text of its error, is appended to `reply`.
    pub fn call(
        &self,
        caller: &Caller<'_>,
        method: &[u8],
        payload: &[u8],
        reply: &mut Vec<u8>,
    ) -> Status {
        self.run(self.table.call, caller, reply, |call, context, sink| {
            // SAFETY: as in `create`.
            unsafe {
                call(
                    self.raw,
                    context,
                    Bytes::new(method),
                    Bytes::new(payload),
                    sink,
                )
            }
        })
    }

    /// Shows an event to a hook and gives its verdict.
    ///
    /// # Errors
    /// The hook's status; its text is in `reply`.
    pub fn hook(
        &self,
        caller: &Caller<'_>,
        name: &[u8],
        payload: &[u8],
        reply: &mut Vec<u8>,
    ) -> Result<u32, Status> {
        let mut verdict = super::CONTINUE;
        let status = self.run(self.table.hook, caller, reply, |hook, context, sink| {
            // SAFETY: as in `create`.
            unsafe {
                hook(
                    self.raw,
                    context,
                    Bytes::new(name),
                    Bytes::new(payload),
                    &raw mut verdict,
                    sink,
                )
            }
        });
        if status == Status::OK {
            Ok(verdict)
        } else {
            Err(status)
        }
    }

    /// Appends the instance's state to `state` and gives the number of its format.
    ///
    /// # Errors
    /// The plugin's status.
    pub fn snapshot(&self, caller: &Caller<'_>, state: &mut Vec<u8>) -> Result<u32, Status> {
        let mut schema = 0;
        let status = self.run(
            self.table.snapshot,
            caller,
            state,
            |snapshot, context, sink| {
                // SAFETY: as in `create`.
                unsafe { snapshot(self.raw, context, &raw mut schema, sink) }
            },
        );
        if status == Status::OK {
            Ok(schema)
        } else {
            Err(status)
        }
    }

    /// Hands a state to the instance.
    pub fn restore(&self, caller: &Caller<'_>, schema: u32, state: &[u8]) -> Status {
        self.run(
            self.table.restore,
            caller,
            &mut Vec::new(),
            |restore, context, _| {
                // SAFETY: as in `create`.
                unsafe { restore(self.raw, context, schema, Bytes::new(state)) }
            },
        )
    }

    /// Asks whether the instance is fit to serve; what it says is appended to `detail`.
    pub fn health(&self, caller: &Caller<'_>, detail: &mut Vec<u8>) -> Status {
        self.run(
            self.table.health,
            caller,
            detail,
            |health, context, sink| {
                // SAFETY: as in `create`.
                unsafe { health(self.raw, context, sink) }
            },
        )
    }

    /// Tells the instance that it ends.
    pub fn shutdown(&self, caller: &Caller<'_>) -> Status {
        self.run(
            self.table.shutdown,
            caller,
            &mut Vec::new(),
            |shutdown, context, _| {
                // SAFETY: as in `create`.
                unsafe { shutdown(self.raw, context) }
            },
        )
    }

    fn run<F>(
        &self,
        function: Option<F>,
        caller: &Caller<'_>,
        reply: &mut Vec<u8>,
        invoke: impl FnOnce(F, *const Context, *mut Sink) -> Status,
    ) -> Status {
        let Some(function) = function else {
            return Status::UNSUPPORTED;
        };
        caller.enter(|context| {
            collect(reply, self.reply_limit, |sink| {
                invoke(function, context, sink)
            })
        })
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if let Some(destroy) = self.table.destroy {
            // SAFETY: as in `create`; nothing uses the instance after this.
            unsafe { destroy(self.raw) }
        }
    }
}

impl Caller<'_> {
    /// Runs `callee` with this call as a context, which is dead once it returns.
    fn enter<R>(&self, callee: impl FnOnce(*const Context) -> R) -> R {
        let context = Context {
            size: size_of::<Context>(),
            call_id: self.call_id,
            deadline_ns: self.deadline_ns,
            tenant: Bytes::new(self.tenant.as_bytes()),
            user: Bytes::new(self.user.as_bytes()),
            host: &raw const HOST,
            opaque: ptr::from_ref(&self.services).cast_mut().cast(),
        };
        callee(&raw const context)
    }
}

static HOST: Host = Host {
    size: size_of::<Host>(),
    abi: VERSION,
    reserved: 0,
    features: 0,
    log: Some(log),
    context_get: Some(context_get),
    context_set: Some(context_set),
    emit: Some(emit),
    call_service: Some(call_service),
    cancelled: Some(cancelled),
};

/// The services of the call behind a context.
///
/// # Safety
/// `context` is the one that [`Caller::enter`] handed out, within that call.
unsafe fn services<'a>(context: *const Context) -> &'a dyn Services {
    // SAFETY: by the caller's promise, `context` is alive and `opaque` points at the `services` of
    // the Caller that `enter` borrows.
    unsafe { *(*context).opaque.cast::<&'a dyn Services>() }
}

// What the functions below rely on: the header demands of a plugin that it passes the context it
// received, within that call, with bytes and sinks that live until the return.

unsafe extern "C" fn log(context: *const Context, level: u32, text: Bytes) {
    // SAFETY: the header's demands, above.
    if let (services, Some(text)) = unsafe { (services(context), text.as_slice()) } {
        services.log(level, text);
    }
}

unsafe extern "C" fn context_get(context: *const Context, key: Bytes, value: *mut Sink) -> Status {
    // SAFETY: the header's demands.
    let (services, Some(key), Some(mut value)) =
        (unsafe { (services(context), key.as_slice(), Reply::new(value)) })
    else {
        return Status::INVALID;
    };
    status(
        services
            .context_get(key)
            .and_then(|found| value.write(&found)),
    )
}

unsafe extern "C" fn context_set(context: *const Context, key: Bytes, value: Bytes) -> Status {
    // SAFETY: the header's demands.
    match unsafe { (services(context), key.as_slice(), value.as_slice()) } {
        (services, Some(key), Some(value)) => status(services.context_set(key, value)),
        _ => Status::INVALID,
    }
}

unsafe extern "C" fn emit(context: *const Context, name: Bytes, payload: Bytes) -> Status {
    // SAFETY: the header's demands.
    match unsafe { (services(context), name.as_slice(), payload.as_slice()) } {
        (services, Some(name), Some(payload)) => status(services.emit(name, payload)),
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
    // SAFETY: the header's demands.
    let (services, Some(mut reply)) = (unsafe { (services(context), Reply::new(reply)) }) else {
        return Status::INVALID;
    };
    // SAFETY: the header's demands.
    let (Some(service), Some(method), Some(payload)) =
        (unsafe { (service.as_slice(), method.as_slice(), payload.as_slice()) })
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
    // SAFETY: the header's demands.
    unsafe { services(context) }.cancelled().into()
}

fn status(outcome: Result<(), Status>) -> Status {
    outcome.err().unwrap_or(Status::OK)
}
