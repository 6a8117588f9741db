//! The functions that a plugin calls the host with, and the context that leads them to their call.
//!
//! Functions declared `extern "C"` abort when a panic would leave them, so a defect of the host
//! never unwinds into the plugin.

use std::mem::size_of;
use std::ptr;
use std::thread::{self, ThreadId};

use super::super::sink::Reply;
use super::super::{Bytes, Context, Host, Sink, Status, VERSION};
use super::{Caller, FEATURES, Services};

impl Caller<'_> {
    /// Runs `callee` with this call as a context, which is dead once it returns.
    pub(super) fn enter<R>(&self, callee: impl FnOnce(*const Context) -> R) -> R {
        let scope = Scope {
            services: self.services,
            thread: thread::current().id(),
        };
        let context = Context {
            size: size_of::<Context>(),
            call_id: self.call_id,
            deadline_ns: self.deadline_ns,
            tenant: Bytes::new(self.tenant.as_bytes()),
            user: Bytes::new(self.user.as_bytes()),
            host: &raw const HOST,
            opaque: ptr::from_ref(&scope).cast_mut().cast(),
        };
        callee(&raw const context)
    }
}

/// What a context's `opaque` points at, for the time of one call.
struct Scope<'a> {
    services: &'a dyn Services,
    thread: ThreadId,
}

static HOST: Host = Host {
    size: size_of::<Host>(),
    abi: VERSION,
    reserved: 0,
    features: FEATURES,
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
/// `context` is null or one that [`Caller::enter`] made, within that call.
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
