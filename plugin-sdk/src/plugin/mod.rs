//! What a plugin is in Rust: a type that is [`Plugin`], which [`make_plugin!`](crate::make_plugin)
//! makes it from plain functions.

mod concurrency;
mod instance;
mod macros;

pub use concurrency::{Concurrency, Serial, Threadsafe};
pub use instance::Instance;

pub use crate::abi::export::Offers;
pub use crate::abi::sink::Reply;

use crate::{Context, Error};

/// What functions of the plugin get of it: `&mut P` if its calls are serial, `&P` if threadsafe.
pub type Handle<'a, P> = <<P as Plugin>::Concurrency as Concurrency>::Handle<'a, P>;

/// A plugin. Usually implemented by [`make_plugin!`](crate::make_plugin). Functions with a body here
/// are optional; one that is written is also to be announced in [`Self::OFFERS`].
///
/// *Invariant*: a panic in any of these ends the instance; the host replaces it.
pub trait Plugin: Sized + Send + 'static {
    /// Whether calls exclude each other.
    type Concurrency: Concurrency;
    /// The manifest, as TOML; [`Manifest`](crate::manifest::Manifest) writes it at compile time.
    const MANIFEST: &'static str;
    /// Which of the functions below mean something; the host sees no others.
    const OFFERS: Offers;

    /// Makes an instance from its configuration.
    ///
    /// # Errors
    /// Why it can't be; the plugin then fails to load.
    fn create(context: &Context<'_>, config: &[u8]) -> Result<Self, Error>;

    /// Runs a method and writes its result to `reply`.
    ///
    /// # Errors
    /// The caller's answer instead of a result.
    fn call(
        plugin: Handle<'_, Self>,
        context: &Context<'_>,
        method: &str,
        payload: &[u8],
        reply: &mut Reply<'_>,
    ) -> Result<(), Error> {
        let (_, _, _, _) = (plugin, context, payload, reply);
        Err(Error::no_method(method))
    }

    /// Looks at an event.
    ///
    /// # Errors
    /// No verdict; what follows is the host's policy.
    fn hook(
        plugin: Handle<'_, Self>,
        context: &Context<'_>,
        name: &str,
        payload: &[u8],
    ) -> Result<Verdict, Error> {
        let (_, _, _) = (plugin, context, payload);
        Err(Error::no_method(name))
    }

    /// Writes the state to `state` and gives the number of its format.
    ///
    /// # Errors
    /// Why there is none now.
    fn snapshot(
        plugin: Handle<'_, Self>,
        context: &Context<'_>,
        state: &mut Reply<'_>,
    ) -> Result<u32, Error> {
        let (_, _, _) = (plugin, context, state);
        Err(Error::unsupported("no snapshots"))
    }

    /// Takes over a state of the format `schema`.
    ///
    /// # Errors
    /// [`Error::unsupported`] for a schema that isn't known, [`Error::invalid`] for a bad state.
    fn restore(
        plugin: Handle<'_, Self>,
        context: &Context<'_>,
        schema: u32,
        state: &[u8],
    ) -> Result<(), Error> {
        let (_, _, _) = (plugin, context, state);
        Err(Error::unsupported(format!("schema {schema}: no snapshots")))
    }

    /// Whether the instance is fit to serve; a line about it may go to `detail`.
    ///
    /// # Errors
    /// Why it isn't.
    fn health(
        plugin: Handle<'_, Self>,
        context: &Context<'_>,
        detail: &mut Reply<'_>,
    ) -> Result<(), Error> {
        let (_, _, _) = (plugin, context, detail);
        Ok(())
    }

    /// Last call, to be done by the context's deadline.
    ///
    /// # Errors
    /// What could not be done; the host logs it.
    fn shutdown(plugin: Handle<'_, Self>, context: &Context<'_>) -> Result<(), Error> {
        let (_, _) = (plugin, context);
        Ok(())
    }
}

/// What a hook decides about an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Go on.
    Continue,
    /// Stop here: this is the answer.
    Intercept(Vec<u8>),
    /// Refuse, for this reason.
    Reject(String),
}

/// Writes what a function of an author's gave to a sink.
///
/// # Errors
/// The function's error, or that its result is beyond the host's limit.
pub fn answer<T: AsRef<[u8]>, E: Into<Error>>(
    reply: &mut Reply<'_>,
    result: Result<T, E>,
) -> Result<(), Error> {
    let result = result.map_err(Into::into)?;
    reply
        .write(result.as_ref())
        .map_err(|status| Error::from_status(status, "the result is refused by the host"))
}
