//! The plugin's side: a table of functions made from a Rust type, and its export.

use std::ffi::c_void;
use std::mem::size_of;
use std::ptr;

use super::call::Call;
use super::sink::Reply;
use super::{Bytes, Context, MAJOR, Plugin, Sink, Status, VERSION};

/// An instance behind a table. Implementations let no panic out: it would abort the process.
pub trait Exported: Sized + Send + Sync + 'static {
    /// Makes an instance, or writes why not to `error`.
    ///
    /// # Errors
    /// The status to return.
    fn create(call: &Call<'_>, config: &[u8], error: &mut Reply<'_>) -> Result<Self, Status>;
    /// Runs a method.
    fn call(&self, call: &Call<'_>, method: &[u8], payload: &[u8], reply: &mut Reply<'_>)
    -> Status;
    /// Looks at an event.
    ///
    /// # Errors
    /// The status to return, instead of a verdict.
    fn hook(
        &self,
        call: &Call<'_>,
        name: &[u8],
        payload: &[u8],
        reply: &mut Reply<'_>,
    ) -> Result<u32, Status>;
    /// Writes the state and gives the number of its format.
    ///
    /// # Errors
    /// The status to return.
    fn snapshot(&self, call: &Call<'_>, state: &mut Reply<'_>) -> Result<u32, Status>;
    /// Takes over a state.
    fn restore(&self, call: &Call<'_>, schema: u32, state: &[u8]) -> Status;
    /// Whether the instance is fit to serve.
    fn health(&self, call: &Call<'_>, detail: &mut Reply<'_>) -> Status;
    /// Last call.
    fn shutdown(&self, call: &Call<'_>) -> Status;
    /// Drops the instance.
    fn destroy(self: Box<Self>);
}

/// Which of the optional functions a table has.
#[derive(Clone, Copy, Debug, Default)]
pub struct Offers {
    /// `call`.
    pub methods: bool,
    /// `hook`.
    pub hooks: bool,
    /// `snapshot` and `restore`.
    pub snapshot: bool,
    /// `health`.
    pub health: bool,
}

/// The table of `E`, with the functions it offers.
#[must_use]
pub const fn table<E: Exported>(offers: Offers) -> Plugin {
    Plugin {
        size: size_of::<Plugin>(),
        abi: VERSION,
        reserved: 0,
        required_features: 0,
        optional_features: 0,
        create: Some(create::<E>),
        call: if offers.methods {
            Some(call::<E>)
        } else {
            None
        },
        hook: if offers.hooks { Some(hook::<E>) } else { None },
        snapshot: if offers.snapshot {
            Some(snapshot::<E>)
        } else {
            None
        },
        restore: if offers.snapshot {
            Some(restore::<E>)
        } else {
            None
        },
        health: if offers.health {
            Some(health::<E>)
        } else {
            None
        },
        shutdown: Some(shutdown::<E>),
        destroy: Some(destroy::<E>),
    }
}

/// Answers `cordon_plugin_entry`: null to a host of another major version.
///
/// `manifest` is only mentioned: the linker drops a section that nothing refers to.
#[must_use]
pub fn entry(plugin: &'static Plugin, manifest: &'static [u8], host_abi: u32) -> *const Plugin {
    std::hint::black_box(manifest);
    if host_abi >> 16 == u32::from(MAJOR) {
        plugin
    } else {
        ptr::null()
    }
}

/// Exports the table and the manifest of a [`Plugin`](crate::Plugin). Part of
/// [`make_plugin!`](crate::make_plugin); the unsafe attributes it stands for are sound because the
/// names belong to this ABI and are defined once per shared object.
#[doc(hidden)]
#[macro_export]
macro_rules! __export_plugin {
    ($plugin:ty) => {
        const _: () = {
            static TABLE: $crate::abi::Plugin = $crate::abi::export::table::<
                $crate::plugin::Instance<$plugin>,
            >(<$plugin as $crate::Plugin>::OFFERS);

            #[used]
            #[unsafe(link_section = ".cordon.manifest")]
            static MANIFEST: [u8; <$plugin as $crate::Plugin>::MANIFEST.len()] =
                match <$plugin as $crate::Plugin>::MANIFEST
                    .as_bytes()
                    .first_chunk()
                {
                    ::core::option::Option::Some(bytes) => *bytes,
                    ::core::option::Option::None => ::core::unreachable!(),
                };

            #[unsafe(no_mangle)]
            extern "C" fn cordon_plugin_entry(host_abi: u32) -> *const $crate::abi::Plugin {
                $crate::abi::export::entry(&TABLE, &MANIFEST, host_abi)
            }
        };
    };
}

// What the functions below rely on, by the header: contexts, byte strings and sinks are well-formed
// and live until the return; `instance` is what `create` stored, not yet given to `destroy`. That is
// the host's word, and the host is trusted.

unsafe extern "C" fn create<E: Exported>(
    context: *const Context,
    config: Bytes,
    instance: *mut *mut c_void,
    error: *mut Sink,
) -> Status {
    // SAFETY: the host's word, above.
    let (Some(call), Some(config), Some(mut error)) =
        (unsafe { (Call::new(context), config.as_slice(), Reply::new(error)) })
    else {
        return Status::INVALID;
    };
    if instance.is_null() {
        return Status::INVALID;
    }
    match E::create(&call, config, &mut error) {
        Ok(made) => {
            // SAFETY: not null; writable by the host's word.
            unsafe { instance.write(Box::into_raw(Box::new(made)).cast()) };
            Status::OK
        }
        Err(status) => status,
    }
}

unsafe extern "C" fn call<E: Exported>(
    instance: *mut c_void,
    context: *const Context,
    method: Bytes,
    payload: Bytes,
    reply: *mut Sink,
) -> Status {
    // SAFETY: the host's word; E is Sync, so sharing it between calls is sound.
    let (Some(instance), Some(call)) =
        (unsafe { (instance.cast::<E>().as_ref(), Call::new(context)) })
    else {
        return Status::INVALID;
    };
    // SAFETY: the host's word.
    match unsafe { (method.as_slice(), payload.as_slice(), Reply::new(reply)) } {
        (Some(method), Some(payload), Some(mut reply)) => {
            instance.call(&call, method, payload, &mut reply)
        }
        _ => Status::INVALID,
    }
}

unsafe extern "C" fn hook<E: Exported>(
    instance: *mut c_void,
    context: *const Context,
    name: Bytes,
    payload: Bytes,
    verdict: *mut u32,
    reply: *mut Sink,
) -> Status {
    // SAFETY: the host's word; E is Sync.
    let (Some(instance), Some(call)) =
        (unsafe { (instance.cast::<E>().as_ref(), Call::new(context)) })
    else {
        return Status::INVALID;
    };
    // SAFETY: the host's word.
    let (Some(name), Some(payload), Some(mut reply)) =
        (unsafe { (name.as_slice(), payload.as_slice(), Reply::new(reply)) })
    else {
        return Status::INVALID;
    };
    // SAFETY: the host's word: null or a u32 of its own.
    unsafe { store(verdict, instance.hook(&call, name, payload, &mut reply)) }
}

unsafe extern "C" fn snapshot<E: Exported>(
    instance: *mut c_void,
    context: *const Context,
    schema: *mut u32,
    state: *mut Sink,
) -> Status {
    // SAFETY: the host's word; E is Sync.
    let (Some(instance), Some(call), Some(mut state)) = (unsafe {
        (
            instance.cast::<E>().as_ref(),
            Call::new(context),
            Reply::new(state),
        )
    }) else {
        return Status::INVALID;
    };
    // SAFETY: the host's word: null or a u32 of its own.
    unsafe { store(schema, instance.snapshot(&call, &mut state)) }
}

unsafe extern "C" fn restore<E: Exported>(
    instance: *mut c_void,
    context: *const Context,
    schema: u32,
    state: Bytes,
) -> Status {
    // SAFETY: the host's word; E is Sync.
    match unsafe {
        (
            instance.cast::<E>().as_ref(),
            Call::new(context),
            state.as_slice(),
        )
    } {
        (Some(instance), Some(call), Some(state)) => instance.restore(&call, schema, state),
        _ => Status::INVALID,
    }
}

unsafe extern "C" fn health<E: Exported>(
    instance: *mut c_void,
    context: *const Context,
    detail: *mut Sink,
) -> Status {
    // SAFETY: the host's word; E is Sync.
    match unsafe {
        (
            instance.cast::<E>().as_ref(),
            Call::new(context),
            Reply::new(detail),
        )
    } {
        (Some(instance), Some(call), Some(mut detail)) => instance.health(&call, &mut detail),
        _ => Status::INVALID,
    }
}

unsafe extern "C" fn shutdown<E: Exported>(
    instance: *mut c_void,
    context: *const Context,
) -> Status {
    // SAFETY: the host's word; E is Sync.
    match unsafe { (instance.cast::<E>().as_ref(), Call::new(context)) } {
        (Some(instance), Some(call)) => instance.shutdown(&call),
        _ => Status::INVALID,
    }
}

unsafe extern "C" fn destroy<E: Exported>(instance: *mut c_void) {
    if !instance.is_null() {
        // SAFETY: `create` made it by Box::into_raw, and the host's word is that this is its end.
        unsafe { Box::from_raw(instance.cast::<E>()) }.destroy();
    }
}

/// Stores a value for the host.
///
/// # Safety
/// `to` is null or a writable u32.
unsafe fn store(to: *mut u32, value: Result<u32, Status>) -> Status {
    match value {
        Ok(_) if to.is_null() => Status::INVALID,
        Ok(value) => {
            // SAFETY: not null; writable by the caller's promise.
            unsafe { to.write(value) };
            Status::OK
        }
        Err(status) => status,
    }
}
