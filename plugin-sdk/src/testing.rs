//! A host in this process, so that plugins can be tested without a worker.
//!
//! The plugin is called through its table, as a worker calls it. What it logs, emits and sets is
//! recorded; services are closures of the test.
//!
//! ```
//! # use plugin_sdk::{Context, Error, make_plugin};
//! # #[derive(Default)]
//! # struct Clock;
//! # impl Clock {
//! #     fn now(&mut self, context: &Context<'_>, _: &[u8]) -> Result<Vec<u8>, Error> {
//! #         context.emit("asked", context.user())?;
//! #         Ok(context.call_service("time", "utc", "")?)
//! #     }
//! # }
//! # make_plugin! { plugin: Clock, id: "clock", methods: { "now" => Clock::now }, }
//! use plugin_sdk::testing::Host;
//!
//! # fn main() {
//! let host = Host::new().user("ada").service("time", |_method, _payload| Ok(b"12:00".to_vec()));
//! let clock = host.create::<Clock>(b"").unwrap();
//!
//! assert_eq!(clock.call("now", b"").unwrap(), b"12:00");
//! assert_eq!(host.events(), [("asked".to_owned(), b"ada".to_vec())]);
//! # }
//! ```

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::abi::call::monotonic_ns;
use crate::abi::export::Exported;
use crate::abi::host::{self, Caller, Services};
use crate::abi::{self, Status};
use crate::plugin::Instance;
use crate::{Level, Plugin, Verdict};

/// Bytes that one reply may have, as in the real host.
const REPLY_LIMIT: usize = 16 << 20;

type Service = Box<dyn Fn(&str, &[u8]) -> Result<Vec<u8>, Failure>>;

/// A function of the plugin (or of a test's service) did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{status}: {text}")]
pub struct Failure {
    /// The status it returned.
    pub status: Status,
    /// The text it gave.
    pub text: String,
}

/// A plugin's state, as it saved it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Number of the format.
    pub schema: u32,
    /// The state.
    pub state: Vec<u8>,
}

/// The host: identity and deadline of calls, a shared context, services, and a record.
#[derive(Default)]
pub struct Host {
    tenant: String,
    user: String,
    deadline: Option<Duration>,
    denied: BTreeSet<String>,
    services: BTreeMap<String, Service>,
    context: RefCell<BTreeMap<String, Vec<u8>>>,
    logs: RefCell<Vec<(Level, String)>>,
    events: RefCell<Vec<(String, Vec<u8>)>>,
    calls: Cell<u64>,
    cancelled: Cell<bool>,
}

impl Host {
    /// A host with an empty context, no services, and calls by nobody without a deadline.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the tenant of calls.
    #[must_use]
    pub fn tenant(mut self, tenant: &str) -> Self {
        self.tenant = tenant.into();
        self
    }

    /// Sets the user of calls.
    #[must_use]
    pub fn user(mut self, user: &str) -> Self {
        self.user = user.into();
        self
    }

    /// Sets the time that each call has.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = Some(deadline);
        self
    }

    /// Sets a key of the shared context.
    #[must_use]
    pub fn context(self, key: &str, value: impl Into<Vec<u8>>) -> Self {
        self.context.borrow_mut().insert(key.into(), value.into());
        self
    }

    /// Adds a service: its method's name and payload to its reply.
    #[must_use]
    pub fn service(
        mut self,
        name: &str,
        service: impl Fn(&str, &[u8]) -> Result<Vec<u8>, Failure> + 'static,
    ) -> Self {
        self.services.insert(name.into(), Box::new(service));
        self
    }

    /// Denies a context key, event or service by its name.
    #[must_use]
    pub fn deny(mut self, name: &str) -> Self {
        self.denied.insert(name.into());
        self
    }

    /// Makes an instance of a plugin.
    ///
    /// # Errors
    /// What its `init` failed with.
    pub fn create<P: Plugin>(&self, config: &[u8]) -> Result<Created<'_>, Failure>
    where
        Instance<P>: Exported,
    {
        let mut text = Vec::new();
        match host::Instance::create::<Instance<P>>(
            P::OFFERS,
            &self.caller(),
            config,
            REPLY_LIMIT,
            &mut text,
        ) {
            Ok(instance) => Ok(Created {
                host: self,
                instance,
            }),
            Err(status) => Err(failure(status, &text)),
        }
    }

    /// Cancels whatever is called from now on.
    pub fn cancel(&self) {
        self.cancelled.set(true);
    }

    /// What was logged.
    #[must_use]
    pub fn logs(&self) -> Vec<(Level, String)> {
        self.logs.borrow().clone()
    }

    /// What was emitted: names and payloads.
    #[must_use]
    pub fn events(&self) -> Vec<(String, Vec<u8>)> {
        self.events.borrow().clone()
    }

    /// The value of a key of the shared context.
    #[must_use]
    pub fn context_value(&self, key: &str) -> Option<Vec<u8>> {
        self.context.borrow().get(key).cloned()
    }

    fn caller(&self) -> Caller<'_> {
        self.calls.set(self.calls.get() + 1);
        let deadline_ns = self.deadline.map_or(0, |deadline| {
            monotonic_ns().saturating_add(u64::try_from(deadline.as_nanos()).unwrap_or(u64::MAX))
        });
        Caller {
            call_id: self.calls.get(),
            deadline_ns,
            tenant: &self.tenant,
            user: &self.user,
            services: self,
        }
    }

    fn allowed(&self, name: &[u8]) -> Result<String, Status> {
        let name = str::from_utf8(name).map_err(|_| Status::INVALID)?;
        if self.denied.contains(name) {
            Err(Status::DENIED)
        } else {
            Ok(name.into())
        }
    }
}

/// An instance of a plugin, destroyed on drop.
pub struct Created<'h> {
    host: &'h Host,
    instance: host::Instance,
}

impl Created<'_> {
    /// Runs a method.
    ///
    /// # Errors
    /// The plugin's status and text, as in all of these.
    pub fn call(&self, method: &str, payload: &[u8]) -> Result<Vec<u8>, Failure> {
        let mut reply = Vec::new();
        let status =
            self.instance
                .call(&self.host.caller(), method.as_bytes(), payload, &mut reply);
        done(status, &reply).map(|()| reply)
    }

    /// Shows an event to a hook.
    ///
    /// # Errors
    /// The plugin's status and text.
    pub fn hook(&self, name: &str, payload: &[u8]) -> Result<Verdict, Failure> {
        let mut reply = Vec::new();
        match self
            .instance
            .hook(&self.host.caller(), name.as_bytes(), payload, &mut reply)
        {
            Ok(abi::CONTINUE) => Ok(Verdict::Continue),
            Ok(abi::INTERCEPT) => Ok(Verdict::Intercept(reply)),
            Ok(_) => Ok(Verdict::Reject(
                String::from_utf8_lossy(&reply).into_owned(),
            )),
            Err(status) => Err(failure(status, &reply)),
        }
    }

    /// Asks for the state.
    ///
    /// # Errors
    /// The plugin's status and text.
    pub fn snapshot(&self) -> Result<Snapshot, Failure> {
        let mut state = Vec::new();
        match self.instance.snapshot(&self.host.caller(), &mut state) {
            Ok(schema) => Ok(Snapshot { schema, state }),
            Err(status) => Err(failure(status, &state)),
        }
    }

    /// Hands over a state.
    ///
    /// # Errors
    /// The plugin's status; its text is in [`Host::logs`].
    pub fn restore(&self, snapshot: &Snapshot) -> Result<(), Failure> {
        done(
            self.instance
                .restore(&self.host.caller(), snapshot.schema, &snapshot.state),
            b"",
        )
    }

    /// Asks whether the instance is fit to serve, and what it says about that.
    ///
    /// # Errors
    /// The plugin's status and text.
    pub fn health(&self) -> Result<String, Failure> {
        let mut detail = Vec::new();
        let status = self.instance.health(&self.host.caller(), &mut detail);
        done(status, &detail).map(|()| String::from_utf8_lossy(&detail).into_owned())
    }

    /// Tells the instance that it ends.
    ///
    /// # Errors
    /// The plugin's status; its text is in [`Host::logs`].
    pub fn shutdown(&self) -> Result<(), Failure> {
        done(self.instance.shutdown(&self.host.caller()), b"")
    }
}

impl Services for Host {
    fn log(&self, level: u32, text: &[u8]) {
        let level = match level {
            abi::LOG_ERROR => Level::Error,
            abi::LOG_WARN => Level::Warn,
            abi::LOG_INFO => Level::Info,
            abi::LOG_DEBUG => Level::Debug,
            _ => Level::Trace,
        };
        self.logs
            .borrow_mut()
            .push((level, String::from_utf8_lossy(text).into_owned()));
    }

    fn context_get(&self, key: &[u8]) -> Result<Vec<u8>, Status> {
        self.context_value(&self.allowed(key)?)
            .ok_or(Status::NOT_FOUND)
    }

    fn context_set(&self, key: &[u8], value: &[u8]) -> Result<(), Status> {
        self.context
            .borrow_mut()
            .insert(self.allowed(key)?, value.into());
        Ok(())
    }

    fn emit(&self, name: &[u8], payload: &[u8]) -> Result<(), Status> {
        self.events
            .borrow_mut()
            .push((self.allowed(name)?, payload.into()));
        Ok(())
    }

    fn call_service(
        &self,
        service: &[u8],
        method: &[u8],
        payload: &[u8],
    ) -> Result<Vec<u8>, (Status, Vec<u8>)> {
        let service = self
            .allowed(service)
            .map_err(|status| (status, Vec::new()))?;
        let service = self
            .services
            .get(&service)
            .ok_or((Status::NOT_FOUND, Vec::new()))?;
        let method = str::from_utf8(method).map_err(|_| (Status::NO_METHOD, Vec::new()))?;
        service(method, payload).map_err(|failure| (failure.status, failure.text.into_bytes()))
    }

    fn cancelled(&self) -> bool {
        self.cancelled.get()
    }
}

fn done(status: Status, text: &[u8]) -> Result<(), Failure> {
    if status == Status::OK {
        Ok(())
    } else {
        Err(failure(status, text))
    }
}

fn failure(status: Status, text: &[u8]) -> Failure {
    Failure {
        status,
        text: String::from_utf8_lossy(text).into_owned(),
    }
}
