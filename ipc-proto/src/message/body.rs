//! How each message lies in a body, and its number in the header.

use std::fmt;

use super::{Downstream, FromWorker, HostOp, LoadFailure, ToWorker, Upstream};
use crate::codec::{ReadError, Reader, WriteError, Writer};
use crate::limits::{CONTROL_BODY, LOG_BODY, MAX_DETAIL, MAX_MEASURED, MAX_PRELOAD, PAYLOAD_BODY};
use crate::version::{HELLO_LEN, Hello};

pub(crate) mod sealed {
    use super::{ReadError, Reader, WriteError, Writer, fmt};

    /// What the decoder needs to know of a direction.
    pub trait Direction {
        /// The messages that travel in this direction.
        type Message<'a>: fmt::Debug + Clone + PartialEq;

        /// Largest body of this kind in bytes; `None` for a kind that doesn't exist here.
        fn body_limit(kind: u8) -> Option<usize>;

        /// Reads a body of this kind.
        fn read<'a>(kind: u8, body: &mut Reader<'a>) -> Result<Self::Message<'a>, ReadError>;
    }

    /// What the encoder needs to know of a message.
    pub trait Message {
        /// Kind for the header.
        fn kind(&self) -> u8;

        /// Largest body of this kind in bytes.
        fn body_limit(&self) -> usize;

        /// Writes the body.
        fn write(&self, body: &mut Writer<'_>) -> Result<(), WriteError>;
    }
}

/// Numbers of the header's kind byte. The upper bit is the direction, and no kind is 0, so that
/// neither a mirrored nor a zeroed frame decodes.
mod kind {
    pub(super) const HELLO: u8 = 0x01;
    pub(super) const LOAD: u8 = 0x02;
    pub(super) const CREATE: u8 = 0x03;
    pub(super) const CALL: u8 = 0x04;
    pub(super) const HOOK: u8 = 0x05;
    pub(super) const SNAPSHOT: u8 = 0x06;
    pub(super) const RESTORE: u8 = 0x07;
    pub(super) const HEALTH: u8 = 0x08;
    pub(super) const CANCEL: u8 = 0x09;
    pub(super) const SHUTDOWN: u8 = 0x0a;
    pub(super) const HOST_REPLY: u8 = 0x0b;
    pub(super) const LISTENER_TAKEN: u8 = 0x0c;
    pub(super) const SYMBOLISE: u8 = 0x0d;

    pub(super) const WORKER_HELLO: u8 = 0x81;
    pub(super) const READY: u8 = 0x82;
    pub(super) const SETUP_FAILED: u8 = 0x83;
    pub(super) const LOADED: u8 = 0x84;
    pub(super) const LOAD_FAILED: u8 = 0x85;
    pub(super) const CREATED: u8 = 0x86;
    pub(super) const REPLY: u8 = 0x87;
    pub(super) const LOG: u8 = 0x88;
    pub(super) const HOST_CALL: u8 = 0x89;
    pub(super) const LISTENER: u8 = 0x8a;
}

impl sealed::Direction for Downstream {
    type Message<'a> = ToWorker<'a>;

    fn body_limit(kind: u8) -> Option<usize> {
        Some(match kind {
            kind::HELLO => HELLO_LEN,
            kind::CALL | kind::HOOK | kind::RESTORE | kind::HOST_REPLY | kind::SYMBOLISE => {
                PAYLOAD_BODY
            }
            kind::LOAD | kind::CREATE => CONTROL_BODY,
            kind::LISTENER_TAKEN
            | kind::SNAPSHOT
            | kind::HEALTH
            | kind::CANCEL
            | kind::SHUTDOWN => 0,
            _ => return None,
        })
    }

    fn read<'a>(kind: u8, body: &mut Reader<'a>) -> Result<ToWorker<'a>, ReadError> {
        Ok(match kind {
            kind::HELLO => ToWorker::Hello(read_hello(body)?),
            kind::LISTENER_TAKEN => ToWorker::ListenerTaken,
            kind::LOAD => ToWorker::Load {
                plugin: body.get()?,
                preload: body.get_list(MAX_PRELOAD)?,
            },
            kind::SYMBOLISE => ToWorker::Symbolise {
                question: body.get()?,
            },
            kind::CREATE => ToWorker::Create {
                config: body.get()?,
            },
            kind::CALL => ToWorker::Call {
                method: body.get()?,
                payload: body.get()?,
                tenant: body.get()?,
                user: body.get()?,
            },
            kind::HOOK => ToWorker::Hook {
                name: body.get()?,
                payload: body.get()?,
                tenant: body.get()?,
                user: body.get()?,
            },
            kind::SNAPSHOT => ToWorker::Snapshot,
            kind::RESTORE => ToWorker::Restore {
                schema: body.get()?,
                state: body.get()?,
            },
            kind::HEALTH => ToWorker::Health,
            kind::CANCEL => ToWorker::Cancel,
            kind::SHUTDOWN => ToWorker::Shutdown,
            kind::HOST_REPLY => ToWorker::HostReply {
                seq: body.get()?,
                status: body.get()?,
                payload: body.get()?,
            },
            _ => return Err(body.malformed()),
        })
    }
}

impl sealed::Message for ToWorker<'_> {
    fn kind(&self) -> u8 {
        match self {
            Self::Hello(_) => kind::HELLO,
            Self::ListenerTaken => kind::LISTENER_TAKEN,
            Self::Load { .. } => kind::LOAD,
            Self::Create { .. } => kind::CREATE,
            Self::Symbolise { .. } => kind::SYMBOLISE,
            Self::Call { .. } => kind::CALL,
            Self::Hook { .. } => kind::HOOK,
            Self::Snapshot => kind::SNAPSHOT,
            Self::Restore { .. } => kind::RESTORE,
            Self::Health => kind::HEALTH,
            Self::Cancel => kind::CANCEL,
            Self::Shutdown => kind::SHUTDOWN,
            Self::HostReply { .. } => kind::HOST_REPLY,
        }
    }

    fn body_limit(&self) -> usize {
        <Downstream as sealed::Direction>::body_limit(self.kind()).unwrap_or(0)
    }

    fn write(&self, body: &mut Writer<'_>) -> Result<(), WriteError> {
        match self {
            Self::Hello(hello) => body.put_raw(&hello.to_bytes()),
            Self::Load { plugin, preload } => {
                body.put(plugin)?;
                body.put_list(preload, MAX_PRELOAD)
            }
            Self::Create { config } => body.put(config),
            Self::Symbolise { question } => body.put(question),
            Self::Call {
                method: name,
                payload,
                tenant,
                user,
            }
            | Self::Hook {
                name,
                payload,
                tenant,
                user,
            } => body.put((name, payload, tenant, user)),
            Self::Restore { schema, state } => body.put((schema, state)),
            Self::ListenerTaken | Self::Snapshot | Self::Health | Self::Cancel | Self::Shutdown => {
                Ok(())
            }
            Self::HostReply {
                seq,
                status,
                payload,
            } => body.put((seq, status, payload)),
        }
    }
}

impl sealed::Direction for Upstream {
    type Message<'a> = FromWorker<'a>;

    fn body_limit(kind: u8) -> Option<usize> {
        Some(match kind {
            kind::WORKER_HELLO => HELLO_LEN,
            kind::REPLY | kind::HOST_CALL => PAYLOAD_BODY,
            kind::LOG => LOG_BODY,
            kind::LISTENER | kind::SETUP_FAILED | kind::LOADED | kind::LOAD_FAILED => CONTROL_BODY,
            kind::READY => MAX_MEASURED,
            kind::CREATED => 0,
            _ => return None,
        })
    }

    fn read<'a>(kind: u8, body: &mut Reader<'a>) -> Result<FromWorker<'a>, ReadError> {
        Ok(match kind {
            kind::WORKER_HELLO => FromWorker::Hello(read_hello(body)?),
            kind::LISTENER => FromWorker::Listener { fd: body.get()? },
            kind::READY => FromWorker::Ready {
                measured: body.get_raw(),
            },
            kind::SETUP_FAILED => FromWorker::SetupFailed {
                step: body.get()?,
                errno: body.get()?,
            },
            kind::LOADED => FromWorker::Loaded {
                abi: body.get()?,
                optional_features: body.get()?,
            },
            kind::LOAD_FAILED => FromWorker::LoadFailed {
                reason: LoadFailure::from_wire(body.get()?).ok_or_else(|| body.malformed())?,
                plugin_abi: body.get()?,
                detail: body.get_text(MAX_DETAIL)?,
            },
            kind::CREATED => FromWorker::Created,
            kind::REPLY => FromWorker::Reply {
                status: body.get()?,
                verdict: body.get()?,
                schema: body.get()?,
                payload: body.get()?,
            },
            kind::LOG => FromWorker::Log {
                level: body.get()?,
                text: body.get()?,
            },
            kind::HOST_CALL => FromWorker::HostCall {
                seq: body.get()?,
                op: HostOp::read(body)?,
            },
            _ => return Err(body.malformed()),
        })
    }
}

impl sealed::Message for FromWorker<'_> {
    fn kind(&self) -> u8 {
        match self {
            Self::Hello(_) => kind::WORKER_HELLO,
            Self::Listener { .. } => kind::LISTENER,
            Self::Ready { .. } => kind::READY,
            Self::SetupFailed { .. } => kind::SETUP_FAILED,
            Self::Loaded { .. } => kind::LOADED,
            Self::LoadFailed { .. } => kind::LOAD_FAILED,
            Self::Created => kind::CREATED,
            Self::Reply { .. } => kind::REPLY,
            Self::Log { .. } => kind::LOG,
            Self::HostCall { .. } => kind::HOST_CALL,
        }
    }

    fn body_limit(&self) -> usize {
        <Upstream as sealed::Direction>::body_limit(self.kind()).unwrap_or(0)
    }

    fn write(&self, body: &mut Writer<'_>) -> Result<(), WriteError> {
        match self {
            Self::Hello(hello) => body.put_raw(&hello.to_bytes()),
            Self::Listener { fd } => body.put(fd),
            Self::Ready { measured } => body.put_raw(measured),
            Self::Created => Ok(()),
            Self::SetupFailed { step, errno } => body.put((step, errno)),
            Self::Loaded {
                abi,
                optional_features,
            } => body.put((abi, optional_features)),
            Self::LoadFailed {
                reason,
                plugin_abi,
                detail,
            } => {
                body.put((*reason as u8, plugin_abi))?;
                body.put_text(detail, MAX_DETAIL)
            }
            Self::Reply {
                status,
                verdict,
                schema,
                payload,
            } => body.put((status, verdict, schema, payload)),
            Self::Log { level, text } => body.put((level, text)),
            Self::HostCall { seq, op } => {
                body.put(seq)?;
                op.write(body)
            }
        }
    }
}

impl<'a> HostOp<'a> {
    const CONTEXT_GET: u8 = 1;
    const CONTEXT_SET: u8 = 2;
    const EMIT: u8 = 3;
    const CALL_SERVICE: u8 = 4;

    fn read(body: &mut Reader<'a>) -> Result<Self, ReadError> {
        Ok(match body.get()? {
            Self::CONTEXT_GET => Self::ContextGet { key: body.get()? },
            Self::CONTEXT_SET => Self::ContextSet {
                key: body.get()?,
                value: body.get()?,
            },
            Self::EMIT => Self::Emit {
                name: body.get()?,
                payload: body.get()?,
            },
            Self::CALL_SERVICE => Self::CallService {
                service: body.get()?,
                method: body.get()?,
                payload: body.get()?,
            },
            _ => return Err(body.malformed()),
        })
    }

    fn write(&self, body: &mut Writer<'_>) -> Result<(), WriteError> {
        match *self {
            Self::ContextGet { key } => body.put((Self::CONTEXT_GET, key)),
            Self::ContextSet { key, value } => body.put((Self::CONTEXT_SET, key, value)),
            Self::Emit { name, payload } => body.put((Self::EMIT, name, payload)),
            Self::CallService {
                service,
                method,
                payload,
            } => body.put((Self::CALL_SERVICE, service, method, payload)),
        }
    }
}

fn read_hello(body: &mut Reader<'_>) -> Result<Hello, ReadError> {
    let malformed = body.malformed();
    Hello::from_bytes(body.get_raw()).ok_or(malformed)
}
