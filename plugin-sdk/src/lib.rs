//! Write plugins for Cordon.
//!
//! Cordon loads a dylib as easily as `dlopen` would, but into a worker process that reaches nothing
//! beyond what the plugin was granted. A plugin in Rust is a `cdylib` with a type and one macro:
//!
//! ```toml
//! [lib]
//! crate-type = ["cdylib"]
//!
//! [dependencies]
//! plugin-sdk = "0.1"
//! ```
//!
//! ```
//! #![forbid(unsafe_code)]
//!
//! use plugin_sdk::{Context, Error, info, make_plugin};
//!
//! #[derive(Default)]
//! struct Greeter;
//!
//! impl Greeter {
//!     fn greet(&self, context: &Context<'_>, payload: &[u8]) -> Result<String, Error> {
//!         let name = str::from_utf8(payload)?;
//!         info!(context, "greeting {name} for {:?}", context.user());
//!         Ok(format!("Hello, {name}!"))
//!     }
//! }
//!
//! make_plugin! {
//!     plugin: Greeter,
//!     id: "greet",
//!     methods: { "greet" => Greeter::greet },
//! }
//! # fn main() {}
//! ```
//!
//! - [`make_plugin!`] lists everything a plugin may declare: configuration, methods, hooks, snapshots
//!   for hot reload, health, requirements and limits. What it declares ends up in the manifest, an
//!   ELF section that hosts read without running any code.
//! - [`Context`] is the call in progress: its caller, its deadline, and what the host does for it.
//! - [`Error`] takes any error by `?`. A panic is caught at the entry: the caller gets its text, and
//!   the instance, poisoned, is replaced. This needs `panic = "unwind"`, the default; with `abort` a
//!   panic ends the worker, and the host reports a crash.
//! - [`testing`] is a host for unit tests.
//! - [`abi`] is the C ABI below all this, the twin of `include/cordon_plugin.h` for other languages.
//!
//! # What a plugin can count on
//!
//! No files, network, processes or environment but what it was granted; 50 MB of heap, 4 threads, 32
//! file descriptors and one second of CPU time per call unless its operator said otherwise. Opening
//! a file that isn't granted fails with an error, and is recorded as a violation. A plugin that calls
//! `exit` has crashed. Calls come one at a time, on one thread, unless the plugin declares
//! `threadsafe`.
//!
//! # Unsafe code
//!
//! Plugins can `#![forbid(unsafe_code)]`: the attributes that exporting takes are written in this
//! crate, and all code behind them is in [`abi`].

pub mod abi;
pub mod context;
pub mod error;
pub mod manifest;
pub mod plugin;
pub mod testing;

pub use context::{Context, Level};
pub use error::{Error, HostError};
pub use plugin::{Plugin, Verdict};
