//! The two scripted sides of the serve loop's tests.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::rc::Rc;
use std::time::Duration;

use ipc_proto::decoder::Decoder;
use ipc_proto::frame::encode;
use ipc_proto::limits::MAX_PAYLOAD;
use ipc_proto::message::{FromWorker, ToWorker, Upstream};
use ipc_proto::version::Hello;
use plugin_sdk::abi::host::Caller;
use plugin_sdk::abi::{REJECT, Status};

use crate::load::plugin::{About, Instance, LoadError, Loader, Plugin};
use crate::worker::transport::Source;
use crate::worker::{ServeError, session};

/// What one read finds.
enum Step {
    Bytes(Vec<u8>),
    /// Nothing yet, for a read that doesn't wait; a waiting one goes on to the next step.
    Nothing,
}

/// The supervisor's side of the wire; it closes after its last step.
#[derive(Default)]
pub(super) struct Script(VecDeque<Step>);

impl Script {
    /// One read that brings the given frames.
    pub(super) fn then(mut self, frames: &[Vec<u8>]) -> Self {
        self.0.push_back(Step::Bytes(frames.concat()));
        self
    }

    pub(super) fn then_nothing(mut self) -> Self {
        self.0.push_back(Step::Nothing);
        self
    }

    fn take(&mut self, bytes: Vec<u8>, buffer: &mut [u8]) -> usize {
        let count = bytes.len().min(buffer.len());
        buffer[..count].copy_from_slice(&bytes[..count]);
        if count < bytes.len() {
            self.0.push_front(Step::Bytes(bytes[count..].to_vec()));
        }
        count
    }
}

impl Read for Script {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.0.pop_front() {
                Some(Step::Bytes(bytes)) => return Ok(self.take(bytes, buffer)),
                Some(Step::Nothing) => {}
                None => return Ok(0),
            }
        }
    }
}

impl Source for Script {
    fn read_ready(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.pop_front() {
            Some(Step::Bytes(bytes)) => Ok(self.take(bytes, buffer)),
            Some(Step::Nothing) => Err(io::ErrorKind::WouldBlock.into()),
            None => Ok(0),
        }
    }
}

/// Every write by itself.
#[derive(Default, Clone)]
struct Writes(Rc<RefCell<Vec<Vec<u8>>>>);

impl Write for Writes {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().push(bytes.to_vec());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A plugin whose methods are named for what they do; keeps a diary.
#[derive(Default, Clone)]
struct Scripted(Rc<RefCell<Vec<String>>>);

impl Scripted {
    fn note(&self, line: impl Into<String>) {
        self.0.borrow_mut().push(line.into());
    }
}

impl Loader for Scripted {
    type Plugin = Self;

    fn load(&mut self, plugin: &str, preload: &[&str]) -> Result<Self, LoadError> {
        self.note(format!("load {plugin} after {preload:?}"));
        match plugin {
            "/alien.so" => Err(LoadError::AbiMismatch { abi: 2 << 16 }),
            _ => Ok(self.clone()),
        }
    }
}

impl Plugin for Scripted {
    type Instance = Self;

    fn about(&self) -> About {
        About {
            abi: 1 << 16,
            optional_features: 5,
        }
    }

    fn create(&self, _: &Caller<'_>, config: &[u8], error: &mut Vec<u8>) -> Result<Self, Status> {
        if config == b"bad" {
            error.extend_from_slice(b"bad configuration");
            return Err(Status::ERROR);
        }
        Ok(self.clone())
    }
}

impl Instance for Scripted {
    fn call(
        &mut self,
        caller: &Caller<'_>,
        method: &str,
        payload: &[u8],
        reply: &mut Vec<u8>,
    ) -> Status {
        self.note(format!("call {method}"));
        let services = caller.services;
        match method {
            "echo" => reply.extend_from_slice(payload),
            "who" => {
                let who = format!("{}/{}/{}", caller.tenant, caller.user, caller.call_id);
                reply.extend_from_slice(who.as_bytes());
            }
            "panic" => return Status::PANIC,
            "log" => services.log(99, b"a \xff line"),
            "get" => match services.context_get(payload) {
                Ok(value) => reply.extend_from_slice(&value),
                Err(status) => return status,
            },
            "emit huge" => {
                return services
                    .emit("e".repeat(MAX_PAYLOAD).as_bytes(), &[0; 9000])
                    .err()
                    .unwrap_or(Status::OK);
            }
            "poll" => {
                let polls = (0..3).map(|_| services.cancelled().to_string());
                reply.extend_from_slice(polls.collect::<Vec<_>>().join(" ").as_bytes());
            }
            _ => return Status::NO_METHOD,
        }
        Status::OK
    }

    fn hook(
        &mut self,
        _: &Caller<'_>,
        name: &str,
        _: &[u8],
        reply: &mut Vec<u8>,
    ) -> Result<u32, Status> {
        reply.extend_from_slice(b"no");
        Ok(if name == "guard" { REJECT } else { 77 })
    }

    fn snapshot(&mut self, _: &Caller<'_>, state: &mut Vec<u8>) -> Result<u32, Status> {
        state.extend_from_slice(b"state");
        Ok(3)
    }

    fn restore(&mut self, _: &Caller<'_>, schema: u32, state: &[u8]) -> Status {
        self.note(format!("restore {schema} {}", state.len()));
        Status::OK
    }

    fn health(&mut self, _: &Caller<'_>, _: &mut Vec<u8>) -> Status {
        Status::UNSUPPORTED
    }

    fn shutdown(&mut self, _: &Caller<'_>) -> Status {
        self.note("shutdown");
        Status::OK
    }

    fn destroy(self) {
        self.note("destroy");
    }
}

/// What a run left behind.
pub(super) struct Outcome {
    pub(super) result: Result<(), ServeError>,
    /// Every frame sent, as `call: message`.
    pub(super) sent: Vec<String>,
    pub(super) writes: usize,
    pub(super) diary: Vec<String>,
}

pub(super) fn serve(script: Script) -> Outcome {
    let (writes, mut plugin) = (Writes::default(), Scripted::default());
    let result = session::run(script, writes.clone(), &mut plugin);
    let mut decoder = Decoder::<Upstream>::new();
    let mut sent = Vec::new();
    for mut bytes in writes.0.borrow().iter().map(Vec::as_slice) {
        while !bytes.is_empty() {
            bytes = &bytes[decoder.push(bytes)..];
            while let Some(frame) = decoder.next_frame().unwrap() {
                sent.push(format!("{}: {}", frame.call, show(&frame.message)));
            }
        }
    }
    let writes = writes.0.borrow().len();
    let diary = plugin.0.take();
    Outcome {
        result,
        sent,
        writes,
        diary,
    }
}

fn show(message: &FromWorker<'_>) -> String {
    match message {
        FromWorker::Reply {
            status,
            verdict,
            schema,
            payload,
        } => {
            let text = String::from_utf8_lossy(payload);
            format!("{} {verdict} {schema} {text:?}", Status(*status))
        }
        other => format!("{other:?}"),
    }
}

pub(super) fn frame(call: u64, message: &ToWorker<'_>) -> Vec<u8> {
    due(call, message, None)
}

pub(super) fn due(call: u64, message: &ToWorker<'_>, deadline: Option<Duration>) -> Vec<u8> {
    let mut out = Vec::new();
    encode(message, call, deadline, &mut out).unwrap();
    out
}

pub(super) fn method<'a>(method: &'a str, payload: &'a [u8]) -> ToWorker<'a> {
    ToWorker::Call {
        method,
        payload,
        tenant: "acme",
        user: "ann",
    }
}

pub(super) fn call(id: u64, name: &str) -> Vec<u8> {
    frame(id, &method(name, b"data"))
}

pub(super) fn load(plugin: &str) -> Vec<u8> {
    let preload = vec!["/lib/libz.so.1"];
    frame(1, &ToWorker::Load { plugin, preload })
}

pub(super) fn host_reply(seq: u32, status: Status, payload: &[u8]) -> Vec<u8> {
    let status = status.0;
    frame(
        0,
        &ToWorker::HostReply {
            seq,
            status,
            payload,
        },
    )
}

pub(super) fn hello() -> Script {
    Script::default().then(&[frame(0, &ToWorker::Hello(Hello::OURS))])
}

/// A supervisor that has a plugin with an instance; four frames are sent for that.
pub(super) fn serving() -> Script {
    hello().then(&[
        load("/plugin.so"),
        frame(2, &ToWorker::Create { config: b"" }),
    ])
}

/// What is sent after the plugin has an instance.
pub(super) fn sent_by_serving(script: Script) -> Vec<String> {
    serve(script).sent.split_off(2)
}
