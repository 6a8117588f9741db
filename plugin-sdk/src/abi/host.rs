//! The host's side: calling a plugin through its table, with a Rust type for the host's functions.

mod callbacks;

use std::ffi::c_void;
use std::ptr;

use super::export::{Exported, Offers};
use super::sink::collect;
use super::{Bytes, Context, Plugin, Sink, Status, export};

/// Feature bits of the ABI that this host has.
pub const FEATURES: u64 = 0;

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

// SAFETY, for every call through the table below: the function is the table's own for that slot, and
// by the promise to `from_table` what the header describes. It gets what the header demands of a
// host: a context and a sink that are alive until it returns, byte strings and places for single
// results that are borrowed or local here, and the instance between `create` and `destroy`, which
// `self` stands for, on the one thread that a type with a raw pointer stays on.
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
        // SAFETY: a whole table of this very version without required features, whose functions are
        // those of `export`, written to the header and part of this program.
        unsafe { Self::from_table(table, caller, config, reply_limit, error) }
    }

    /// Makes an instance through a plugin's table; without a `create` there is nothing to do.
    /// Replies beyond `reply_limit` bytes are refused. The text of an error is in `error`.
    ///
    /// # Errors
    /// The status of `create`; there is no instance to destroy then.
    ///
    /// # Safety
    /// - Each function of `table` is absent or does what `cordon_plugin.h` demands of a plugin for
    ///   that slot; in particular it uses what it is given only until it returns. A table that was
    ///   published by a plugin is copied by [`table::read`](super::table::read), which leaves absent
    ///   what the plugin's version doesn't have.
    /// - `table.abi` has this host's [`MAJOR`](super::MAJOR), and `table.required_features` no bit
    ///   outside [`FEATURES`].
    /// - The functions stay mapped while the instance lives.
    pub unsafe fn from_table(
        table: Plugin,
        caller: &Caller<'_>,
        config: &[u8],
        reply_limit: usize,
        error: &mut Vec<u8>,
    ) -> Result<Self, Status> {
        let mut raw = ptr::null_mut();
        if let Some(create) = table.create {
            let status = caller.enter(|context| {
                collect(error, reply_limit, |sink| {
                    // SAFETY: see above the impl.
                    unsafe { create(context, Bytes::new(config), &raw mut raw, sink) }
                })
            });
            if status != Status::OK {
                return Err(status);
            }
        }
        Ok(Self {
            table,
            raw,
            reply_limit,
        })
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
            // SAFETY: see above the impl.
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
            // SAFETY: see above the impl.
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
                // SAFETY: see above the impl.
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
                // SAFETY: see above the impl.
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
                // SAFETY: see above the impl.
                unsafe { health(self.raw, context, sink) }
            },
        )
    }

    /// Tells the instance that it ends. One that doesn't care has no such function, which is fine.
    pub fn shutdown(&self, caller: &Caller<'_>) -> Status {
        if self.table.shutdown.is_none() {
            return Status::OK;
        }
        self.run(
            self.table.shutdown,
            caller,
            &mut Vec::new(),
            |shutdown, context, _| {
                // SAFETY: see above the impl.
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
            // SAFETY: see above the impl of Instance; nothing uses the instance after this.
            unsafe { destroy(self.raw) }
        }
    }
}

#[cfg(test)]
mod tests;
