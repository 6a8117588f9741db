//! A call as the plugin sees it, and the host's functions within it.

use std::marker::PhantomData;
use std::time::Duration;

use super::sink::collect;
use super::{Bytes, Context, Host, Status, table};

/// Bytes of a host's reply that a plugin takes at most; the wire's limit is below it.
const REPLY_LIMIT: usize = 64 << 20;

/// One call in progress. Tied to its thread: the header allows no other.
#[derive(Debug)]
pub struct Call<'a> {
    raw: *const Context,
    id: u64,
    deadline_ns: u64,
    tenant: &'a str,
    user: &'a str,
    host: Host,
    lifetime: PhantomData<&'a Context>,
}

impl<'a> Call<'a> {
    /// Takes a context from the host; `None` if it is malformed, or an identity is not UTF-8.
    ///
    /// # Safety
    /// `raw` is null or a context as the header describes it, which lives for `'a`.
    #[must_use]
    pub unsafe fn new(raw: *const Context) -> Option<Self> {
        // SAFETY: null, or a table that begins with its true size, by the caller's promise.
        let context = unsafe { table::read(raw) }?;
        // SAFETY: the header demands bytes that live as long as the context.
        let (tenant, user) = unsafe {
            (
                context.tenant.as_slice::<'a>()?,
                context.user.as_slice::<'a>()?,
            )
        };
        Some(Self {
            raw,
            id: context.call_id,
            deadline_ns: context.deadline_ns,
            tenant: str::from_utf8(tenant).ok()?,
            user: str::from_utf8(user).ok()?,
            // SAFETY: the header demands a host table, valid as long as the plugin is loaded.
            host: unsafe { table::read(context.host) }?,
            lifetime: PhantomData,
        })
    }

    /// Id of the call, unique within the worker; 0 when no caller is behind it.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Tenant of the caller, as the host vouches for it; may be empty.
    #[must_use]
    pub fn tenant(&self) -> &'a str {
        self.tenant
    }

    /// User behind the call, as the host vouches for it; may be empty.
    #[must_use]
    pub fn user(&self) -> &'a str {
        self.user
    }

    /// Time until the deadline, zero if past it; `None` if the call has none.
    #[must_use]
    pub fn remaining(&self) -> Option<Duration> {
        match self.deadline_ns {
            0 => None,
            deadline => Some(Duration::from_nanos(
                deadline.saturating_sub(monotonic_ns()),
            )),
        }
    }

    /// Whether the call is cancelled or past its deadline.
    #[must_use]
    pub fn cancelled(&self) -> bool {
        let Some(cancelled) = self.host.cancelled else {
            return false;
        };
        // SAFETY: here and below, the function comes from the host's table and gets the context
        // that was received, alive during 'a; byte arguments live until it returns.
        unsafe { cancelled(self.raw) != 0 }
    }

    /// Logs a text, at one of the `LOG_` levels.
    pub fn log(&self, level: u32, text: &[u8]) {
        if let Some(log) = self.host.log {
            // SAFETY: as in `cancelled`.
            unsafe { log(self.raw, level, Bytes::new(text)) }
        }
    }

    /// Reads a key of the shared context.
    ///
    /// # Errors
    /// The host's status; [`Status::UNSUPPORTED`] if it has no such function, as in all of these.
    pub fn context_get(&self, key: &[u8]) -> Result<Vec<u8>, Status> {
        let context_get = self.host.context_get.ok_or(Status::UNSUPPORTED)?;
        let mut value = Vec::new();
        let status = collect(&mut value, REPLY_LIMIT, |sink| {
            // SAFETY: as in `cancelled`; the sink lives until `collect` returns.
            unsafe { context_get(self.raw, Bytes::new(key), sink) }
        });
        done(status).map(|()| value)
    }

    /// Sets a key of the shared context.
    ///
    /// # Errors
    /// The host's status.
    pub fn context_set(&self, key: &[u8], value: &[u8]) -> Result<(), Status> {
        let context_set = self.host.context_set.ok_or(Status::UNSUPPORTED)?;
        // SAFETY: as in `cancelled`.
        done(unsafe { context_set(self.raw, Bytes::new(key), Bytes::new(value)) })
    }

    /// Emits an event.
    ///
    /// # Errors
    /// The host's status.
    pub fn emit(&self, name: &[u8], payload: &[u8]) -> Result<(), Status> {
        let emit = self.host.emit.ok_or(Status::UNSUPPORTED)?;
        // SAFETY: as in `cancelled`.
        done(unsafe { emit(self.raw, Bytes::new(name), Bytes::new(payload)) })
    }

    /// Calls a method of a service and appends what it wrote to `reply`: its answer, or with an
    /// error the text of it.
    ///
    /// # Errors
    /// The service's or the host's status.
    pub fn call_service(
        &self,
        service: &[u8],
        method: &[u8],
        payload: &[u8],
        reply: &mut Vec<u8>,
    ) -> Result<(), Status> {
        let call_service = self.host.call_service.ok_or(Status::UNSUPPORTED)?;
        done(collect(reply, REPLY_LIMIT, |sink| {
            // SAFETY: as in `cancelled`; the sink lives until `collect` returns.
            unsafe {
                call_service(
                    self.raw,
                    Bytes::new(service),
                    Bytes::new(method),
                    Bytes::new(payload),
                    sink,
                )
            }
        }))
    }
}

/// Now, in nanoseconds of `CLOCK_MONOTONIC`: the clock of deadlines.
#[must_use]
pub fn monotonic_ns() -> u64 {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `now` is a writable timespec. The clock always exists (clock_gettime(2)), so there is
    // no error to read; zero would only make deadlines seem far.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    now.tv_sec
        .unsigned_abs()
        .saturating_mul(1_000_000_000)
        .saturating_add(now.tv_nsec.unsigned_abs())
}

fn done(status: Status) -> Result<(), Status> {
    if status == Status::OK {
        Ok(())
    } else {
        Err(status)
    }
}
