//! The plugin behind its C table: dlopen, entry and checks. The only `unsafe` code of this crate.
//!
//! The plugin shares this process, so nothing here is a wall against a hostile one: the sandbox
//! around the process is. The checks keep an honest plugin's mistake from becoming our undefined
//! behaviour.

pub(crate) mod plugin;

use std::mem::ManuallyDrop;

use ipc_proto::limits::MAX_PAYLOAD;
use libloading::os::unix::{Library, RTLD_LOCAL, RTLD_NOW};
use plugin_sdk::abi::host::{self, Caller, FEATURES};
use plugin_sdk::abi::{ENTRY_SYMBOL, Entry, MAJOR, Plugin as Table, Status, VERSION, table};

use plugin::{About, Instance, LoadError, Loader, Plugin};

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
        // SAFETY: what this plugin published, and its library is never closed.
        unsafe { Native::new(table) }
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

/// A plugin that is mapped into this process, of a version that this host can call.
#[derive(Debug)]
pub(crate) struct Native(Table);

impl Native {
    /// Checks what the plugin says of itself.
    ///
    /// # Safety
    /// The table's functions are a plugin's by the ABI's header, and stay mapped.
    unsafe fn new(table: Table) -> Result<Self, LoadError> {
        let abi = table.abi;
        if abi >> 16 != u32::from(MAJOR) {
            return Err(LoadError::AbiMismatch { abi });
        }
        match table.required_features & !FEATURES {
            0 => Ok(Self(table)),
            missing => Err(LoadError::Feature { abi, missing }),
        }
    }
}

impl Plugin for Native {
    type Instance = Live;

    fn about(&self) -> About {
        About {
            abi: self.0.abi,
            optional_features: self.0.optional_features,
        }
    }

    fn create(
        &self,
        caller: &Caller<'_>,
        config: &[u8],
        error: &mut Vec<u8>,
    ) -> Result<Live, Status> {
        // SAFETY: `new` was promised a plugin's functions, and has checked version and features.
        let instance =
            unsafe { host::Instance::from_table(self.0, caller, config, MAX_PAYLOAD, error) }?;
        Ok(Live(ManuallyDrop::new(instance)))
    }
}

/// An instance that is destroyed only on demand: none of its code may run after a panic, or when
/// the supervisor is gone.
#[derive(Debug)]
pub(crate) struct Live(ManuallyDrop<host::Instance>);

impl Instance for Live {
    fn call(
        &mut self,
        caller: &Caller<'_>,
        method: &str,
        payload: &[u8],
        reply: &mut Vec<u8>,
    ) -> Status {
        self.0.call(caller, method.as_bytes(), payload, reply)
    }

    fn hook(
        &mut self,
        caller: &Caller<'_>,
        name: &str,
        payload: &[u8],
        reply: &mut Vec<u8>,
    ) -> Result<u32, Status> {
        self.0.hook(caller, name.as_bytes(), payload, reply)
    }

    fn snapshot(&mut self, caller: &Caller<'_>, state: &mut Vec<u8>) -> Result<u32, Status> {
        self.0.snapshot(caller, state)
    }

    fn restore(&mut self, caller: &Caller<'_>, schema: u32, state: &[u8]) -> Status {
        self.0.restore(caller, schema, state)
    }

    fn health(&mut self, caller: &Caller<'_>, detail: &mut Vec<u8>) -> Status {
        self.0.health(caller, detail)
    }

    fn shutdown(&mut self, caller: &Caller<'_>) -> Status {
        self.0.shutdown(caller)
    }

    fn destroy(self) {
        drop(ManuallyDrop::into_inner(self.0));
    }
}

#[cfg(test)]
mod tests;
