//! How calls of one instance meet: one at a time, or several at once.

use std::sync::{Mutex, PoisonError};

/// Whether calls of an instance exclude each other, and so whether they may change it.
///
/// The host keeps to what the manifest declares; this makes sure of it.
pub trait Concurrency: 'static {
    /// What a function of the plugin gets: `&mut P` or `&P`.
    type Handle<'a, P: 'a>;
    /// Where the instance lives.
    type Cell<P: 'static>;

    /// Puts the instance in its place.
    fn cell<P: Send + 'static>(plugin: P) -> Self::Cell<P>;
    /// Runs `f` with the instance, when its turn has come. Panics in `f` must be caught in `f`.
    fn enter<P, R>(cell: &Self::Cell<P>, f: impl FnOnce(Self::Handle<'_, P>) -> R) -> R;
}

/// One call at a time. Functions may take `&mut self`.
#[derive(Debug)]
pub enum Serial {}

impl Concurrency for Serial {
    type Handle<'a, P: 'a> = &'a mut P;
    type Cell<P: 'static> = Mutex<P>;

    fn cell<P: Send + 'static>(plugin: P) -> Mutex<P> {
        Mutex::new(plugin)
    }

    fn enter<P, R>(cell: &Mutex<P>, f: impl FnOnce(&mut P) -> R) -> R {
        f(&mut cell.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Several calls at once. Functions take `&self`, and the plugin is [`Sync`].
#[derive(Debug)]
pub enum Threadsafe {}

impl Concurrency for Threadsafe {
    type Handle<'a, P: 'a> = &'a P;
    type Cell<P: 'static> = P;

    fn cell<P: Send + 'static>(plugin: P) -> P {
        plugin
    }

    fn enter<P, R>(cell: &P, f: impl FnOnce(&P) -> R) -> R {
        f(cell)
    }
}
