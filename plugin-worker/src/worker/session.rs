//! What to do with a request, and in which stage of the plugin's life.

use std::cell::RefCell;
use std::io::Write;
use std::mem;

use ipc_proto::limits::{MAX_DETAIL, RETAINED_BUFFER};
use ipc_proto::message::{FromWorker, ToWorker};
use plugin_sdk::abi::host::{Caller, Services};
use plugin_sdk::abi::{REJECT, Status};

use super::ServeError;
use super::inbox::Request;
use super::link::{Link, clip};
use super::services::HostCalls;
use super::transport::Source;
use crate::load::plugin::{Instance, Loader, Plugin};
use crate::symbolise::symbolise;

/// Serves the supervisor until it asks for the end.
pub(super) fn run<R: Source, W: Write, L: Loader>(
    source: R,
    sink: W,
    loader: &mut L,
) -> Result<(), ServeError> {
    let link = RefCell::new(Link::new(source, sink));
    link.borrow_mut().expect_hello()?;
    let mut session = Session {
        link,
        stage: Stage::Empty,
        reply: Vec::new(),
    };
    loop {
        let request = session.link.borrow_mut().next_request()?;
        let next = session.answer(&request, loader)?;
        session.link.borrow_mut().finish(request);
        if next == Next::Exit {
            return Ok(());
        }
    }
}

/// Where the plugin is in its life.
enum Stage<P: Plugin> {
    /// Nothing was loaded.
    Empty,
    /// Loading failed. Its constructors may have run: this process gets no second plugin.
    Spent,
    /// Mapped, no instance.
    Loaded(P),
    /// The instance serves.
    Serving(P::Instance),
    /// The instance panicked: its state may be broken, so no call reaches it any more.
    Poisoned,
}

impl<P: Plugin> Stage<P> {
    fn name(&self) -> &'static str {
        match self {
            Self::Empty => "no plugin is loaded",
            Self::Spent => "loading has failed",
            Self::Loaded(_) => "the plugin has no instance",
            Self::Serving(_) => "the instance serves",
            Self::Poisoned => "the instance has panicked",
        }
    }
}

#[derive(PartialEq, Eq)]
enum Next {
    Serve,
    Exit,
}

struct Session<R, W: Write, P: Plugin> {
    link: RefCell<Link<R, W>>,
    stage: Stage<P>,
    /// What the plugin writes, used again for every call.
    reply: Vec<u8>,
}

/// The parts of a reply besides what the plugin wrote.
struct Outcome {
    status: Status,
    verdict: u8,
    schema: u32,
}

impl From<Status> for Outcome {
    fn from(status: Status) -> Self {
        Self {
            status,
            verdict: 0,
            schema: 0,
        }
    }
}

impl<R: Source, W: Write, P: Plugin> Session<R, W, P> {
    /// Runs one request and queues its answer.
    fn answer(
        &mut self,
        request: &Request,
        loader: &mut impl Loader<Plugin = P>,
    ) -> Result<Next, ServeError> {
        self.reply.clear();
        self.reply.shrink_to(RETAINED_BUFFER);
        let message = request.message()?;
        self.link.borrow_mut().begin(&message)?;
        match &message {
            ToWorker::Load { plugin, preload } => self.load(request, loader, plugin, preload)?,
            ToWorker::Create { config } => self.create(request, config)?,
            ToWorker::Symbolise { question } => self.symbolise(request, question)?,
            ToWorker::Shutdown => {
                let status = self.shut_down(request);
                self.reply(request, &status.into())?;
                self.link.borrow_mut().flush()?;
                return Ok(Next::Exit);
            }
            _ => {
                let outcome = self.serve(request, &message)?;
                self.reply(request, &outcome)?;
            }
        }
        Ok(Next::Serve)
    }

    fn load(
        &mut self,
        request: &Request,
        loader: &mut impl Loader<Plugin = P>,
        plugin: &str,
        preload: &[&str],
    ) -> Result<(), ServeError> {
        if !matches!(self.stage, Stage::Empty) {
            return Err(self.out_of_sequence("a load"));
        }
        match loader.load(plugin, preload) {
            Ok(plugin) => {
                let about = plugin.about();
                self.stage = Stage::Loaded(plugin);
                self.send(
                    request,
                    &FromWorker::Loaded {
                        abi: about.abi,
                        optional_features: about.optional_features,
                    },
                )
            }
            Err(error) => {
                self.stage = Stage::Spent;
                self.send(
                    request,
                    &FromWorker::LoadFailed {
                        reason: error.reason(),
                        plugin_abi: error.plugin_abi(),
                        detail: clip(&error.to_string(), MAX_DETAIL),
                    },
                )
            }
        }
    }

    /// From here no plugin comes into this process any more.
    fn symbolise(&mut self, request: &Request, question: &[u8]) -> Result<(), ServeError> {
        if !matches!(self.stage, Stage::Empty) {
            return Err(self.out_of_sequence("a question for symbols"));
        }
        self.stage = Stage::Spent;
        let status = match symbolise(question) {
            Ok(answer) => {
                self.reply = answer;
                Status::OK
            }
            Err(_) => Status::INVALID,
        };
        self.reply(request, &status.into())
    }

    /// A refused `create` may be tried again, with another configuration.
    fn create(&mut self, request: &Request, config: &[u8]) -> Result<(), ServeError> {
        let Stage::Loaded(plugin) = mem::replace(&mut self.stage, Stage::Spent) else {
            return Err(self.out_of_sequence("a create"));
        };
        let services = HostCalls(&self.link);
        let caller = caller(request, &services, "", "");
        match plugin.create(&caller, config, &mut self.reply) {
            Ok(instance) => {
                self.stage = Stage::Serving(instance);
                self.send(request, &FromWorker::Created)
            }
            Err(status) => {
                self.stage = match status {
                    Status::PANIC => Stage::Poisoned,
                    _ => Stage::Loaded(plugin),
                };
                self.reply(request, &status.into())
            }
        }
    }

    /// Runs one of the requests that need an instance.
    fn serve(&mut self, request: &Request, message: &ToWorker<'_>) -> Result<Outcome, ServeError> {
        let interruption = self.link.borrow().interruption();
        let outcome = match (&mut self.stage, interruption) {
            (Stage::Poisoned, _) => Status::PANIC.into(),
            (Stage::Serving(_), Some(status)) => status.into(),
            (Stage::Serving(instance), None) => {
                let services = HostCalls(&self.link);
                run_request(instance, request, message, &services, &mut self.reply)
            }
            _ => return Err(self.out_of_sequence("a call")),
        };
        if outcome.status == Status::PANIC {
            self.stage = Stage::Poisoned;
        }
        Ok(outcome)
    }

    /// Nothing reaches a poisoned instance, not even its end.
    fn shut_down(&mut self, request: &Request) -> Status {
        match mem::replace(&mut self.stage, Stage::Spent) {
            Stage::Serving(mut instance) => {
                let services = HostCalls(&self.link);
                let status = instance.shutdown(&caller(request, &services, "", ""));
                if status != Status::PANIC {
                    instance.destroy();
                }
                status
            }
            Stage::Poisoned => Status::PANIC,
            Stage::Empty | Stage::Spent | Stage::Loaded(_) => Status::OK,
        }
    }

    fn reply(&self, request: &Request, outcome: &Outcome) -> Result<(), ServeError> {
        let reply = FromWorker::Reply {
            status: outcome.status.0,
            verdict: outcome.verdict,
            schema: outcome.schema,
            payload: &self.reply,
        };
        self.send(request, &reply)
    }

    fn send(&self, request: &Request, message: &FromWorker<'_>) -> Result<(), ServeError> {
        self.link.borrow_mut().answer(request, message)
    }

    fn out_of_sequence(&self, message: &'static str) -> ServeError {
        ServeError::OutOfSequence {
            message,
            stage: self.stage.name(),
        }
    }
}

fn run_request(
    instance: &mut impl Instance,
    request: &Request,
    message: &ToWorker<'_>,
    services: &dyn Services,
    reply: &mut Vec<u8>,
) -> Outcome {
    let by_host = caller(request, services, "", "");
    match *message {
        ToWorker::Call {
            method,
            payload,
            tenant,
            user,
        } => {
            let caller = caller(request, services, tenant, user);
            instance.call(&caller, method, payload, reply).into()
        }
        ToWorker::Hook {
            name,
            payload,
            tenant,
            user,
        } => {
            let caller = caller(request, services, tenant, user);
            hook_outcome(instance.hook(&caller, name, payload, reply))
        }
        ToWorker::Snapshot => match instance.snapshot(&by_host, reply) {
            Ok(schema) => Outcome {
                schema,
                ..Status::OK.into()
            },
            Err(status) => status.into(),
        },
        ToWorker::Restore { schema, state } => instance.restore(&by_host, schema, state).into(),
        ToWorker::Health => instance.health(&by_host, reply).into(),
        // The others were dealt with before: by `Session::answer`, or by the inbox.
        ToWorker::Hello(_)
        | ToWorker::ListenerTaken
        | ToWorker::Load { .. }
        | ToWorker::Create { .. }
        | ToWorker::Symbolise { .. }
        | ToWorker::Cancel
        | ToWorker::Shutdown
        | ToWorker::HostReply { .. } => Status::INVALID.into(),
    }
}

/// A verdict that doesn't exist is an error, so that a guard's fault never reads as "go on".
fn hook_outcome(verdict: Result<u32, Status>) -> Outcome {
    match verdict {
        Ok(verdict) if verdict > REJECT => Status::INVALID.into(),
        Ok(verdict) => Outcome {
            verdict: verdict as u8,
            ..Status::OK.into()
        },
        Err(status) => status.into(),
    }
}

fn caller<'a>(
    request: &Request,
    services: &'a dyn Services,
    tenant: &'a str,
    user: &'a str,
) -> Caller<'a> {
    Caller {
        call_id: request.call,
        deadline_ns: request.deadline_ns,
        tenant,
        user,
        services,
    }
}
