//! The panic firewall: between the ABI's functions and a [`Plugin`].

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Concurrency, Handle, Plugin, Verdict};
use crate::abi::call::Call;
use crate::abi::export::Exported;
use crate::abi::sink::Reply;
use crate::abi::{self, Status};
use crate::{Context, Error, Level};

/// An instance of `P` behind the ABI.
///
/// *Invariant*: after a panic in one of its functions none of them runs again, but for the drop.
/// This is what makes catching panics sound for the plugin: nobody sees what they left half done.
pub struct Instance<P: Plugin> {
    cell: <P::Concurrency as Concurrency>::Cell<P>,
    poisoned: AtomicBool,
}

impl<P: Plugin> Instance<P> {
    /// Runs `f` with the plugin in its turn, unless it is poisoned. The flag is read and set within
    /// the turn, so that a serial call that waited for it sees it.
    fn enter<R>(&self, f: impl FnOnce(Handle<'_, P>) -> Result<R, Error>) -> Result<R, Error> {
        P::Concurrency::enter(&self.cell, |plugin| {
            if self.poisoned.load(Ordering::Acquire) {
                return Err(Error::from_status(
                    Status::PANIC,
                    "the instance is poisoned by an earlier panic",
                ));
            }
            catch(|| f(plugin)).unwrap_or_else(|panic| {
                self.poisoned.store(true, Ordering::Release);
                Err(panic)
            })
        })
    }
}

impl<P: Plugin> Exported for Instance<P>
where
    Self: Send + Sync,
{
    fn create(call: &Call<'_>, config: &[u8], error: &mut Reply<'_>) -> Result<Self, Status> {
        match catch(|| P::create(&Context::new(call), config)).unwrap_or_else(Err) {
            Ok(plugin) => Ok(Self {
                cell: P::Concurrency::cell(plugin),
                poisoned: AtomicBool::new(false),
            }),
            Err(failure) => Err(explain(&failure, error)),
        }
    }

    fn call(
        &self,
        call: &Call<'_>,
        method: &[u8],
        payload: &[u8],
        reply: &mut Reply<'_>,
    ) -> Status {
        let Ok(method) = str::from_utf8(method) else {
            return Status::NO_METHOD;
        };
        let outcome =
            self.enter(|plugin| P::call(plugin, &Context::new(call), method, payload, reply));
        outcome.map_or_else(|error| explain(&error, reply), |()| Status::OK)
    }

    fn hook(
        &self,
        call: &Call<'_>,
        name: &[u8],
        payload: &[u8],
        reply: &mut Reply<'_>,
    ) -> Result<u32, Status> {
        let Ok(name) = str::from_utf8(name) else {
            return Err(Status::NO_METHOD);
        };
        let (verdict, text) =
            match self.enter(|plugin| P::hook(plugin, &Context::new(call), name, payload)) {
                Ok(Verdict::Continue) => return Ok(abi::CONTINUE),
                Ok(Verdict::Intercept(answer)) => (abi::INTERCEPT, answer),
                Ok(Verdict::Reject(reason)) => (abi::REJECT, reason.into_bytes()),
                Err(error) => return Err(explain(&error, reply)),
            };
        reply.write(&text).map(|()| verdict)
    }

    fn snapshot(&self, call: &Call<'_>, state: &mut Reply<'_>) -> Result<u32, Status> {
        self.enter(|plugin| P::snapshot(plugin, &Context::new(call), state))
            .map_err(|error| explain(&error, state))
    }

    fn restore(&self, call: &Call<'_>, schema: u32, state: &[u8]) -> Status {
        let outcome = self.enter(|plugin| P::restore(plugin, &Context::new(call), schema, state));
        outcome.map_or_else(|error| log(call, "restore", &error), |()| Status::OK)
    }

    fn health(&self, call: &Call<'_>, detail: &mut Reply<'_>) -> Status {
        let outcome = self.enter(|plugin| P::health(plugin, &Context::new(call), detail));
        outcome.map_or_else(|error| explain(&error, detail), |()| Status::OK)
    }

    fn shutdown(&self, call: &Call<'_>) -> Status {
        let outcome = self.enter(|plugin| P::shutdown(plugin, &Context::new(call)));
        outcome.map_or_else(|error| log(call, "shutdown", &error), |()| Status::OK)
    }

    fn destroy(self: Box<Self>) {
        let outcome = catch(move || {
            drop(self);
            Ok(())
        });
        // There is nobody left to tell; the panic hook has written to stderr.
        drop(outcome);
    }
}

/// Runs `f`; a panic in it becomes an error with the panic's text. State that `f` leaves broken is
/// the caller's to fence off.
fn catch<R>(f: impl FnOnce() -> Result<R, Error>) -> Result<Result<R, Error>, Error> {
    catch_unwind(AssertUnwindSafe(f)).map_err(|payload| {
        let error = Error::from_status(Status::PANIC, message(payload.as_ref()));
        // A payload's own drop could panic, outside of any firewall.
        std::mem::forget(payload);
        error
    })
}

fn message(payload: &(dyn Any + Send)) -> &str {
    match (
        payload.downcast_ref::<&'static str>(),
        payload.downcast_ref::<String>(),
    ) {
        (Some(text), _) => text,
        (_, Some(text)) => text,
        _ => "panic without a text",
    }
}

/// Gives an error to the caller. Its status counts even if its text doesn't fit.
fn explain(error: &Error, reply: &mut Reply<'_>) -> Status {
    reply
        .write(error.text().as_bytes())
        .map_or(error.status(), |()| error.status())
}

/// Gives an error to the log, from functions that have no sink.
fn log(call: &Call<'_>, step: &str, error: &Error) -> Status {
    Context::new(call).log(Level::Error, format_args!("{step}: {error}"));
    error.status()
}
