//! What a plugin may ask of the host while it handles a call. Every request is checked
//! here, on the supervisor's side.

use std::collections::BTreeMap;

use ipc_proto::message::HostOp;

/// The longest key of the context, in bytes.
const MAX_KEY: usize = 256;
/// The longest value of the context, in bytes.
const MAX_VALUE: usize = 64 * 1024;
/// The most keys of one plugin's context.
const MAX_KEYS: usize = 256;
/// The most bytes of one plugin's context, keys and values.
const MAX_CONTEXT: usize = 1024 * 1024;
/// The longest name of an event, in bytes.
const MAX_EVENT_NAME: usize = 256;
/// The longest payload of an event, in bytes: events wait for slow subscribers.
const MAX_EVENT: usize = 4096;

/// Statuses of the plugin ABI that the host answers with (`cordon_plugin.h`).
mod status {
    pub(super) const OK: i32 = 0;
    pub(super) const DENIED: i32 = 6;
    pub(super) const NOT_FOUND: i32 = 7;
    pub(super) const TOO_LARGE: i32 = 8;
}

/// The answer to a host call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HostAnswer {
    pub(crate) status: i32,
    pub(crate) payload: Vec<u8>,
}

impl HostAnswer {
    pub(crate) const DENIED: HostAnswer = Self::of(status::DENIED);

    const fn of(status: i32) -> HostAnswer {
        HostAnswer {
            status,
            payload: Vec::new(),
        }
    }
}

/// The context of one plugin: bytes by key, kept from worker to worker.
#[derive(Debug, Default)]
pub(crate) struct Context {
    values: BTreeMap<String, Vec<u8>>,
    /// Of all keys and values.
    bytes: usize,
}

impl Context {
    /// Answers one request; `emit` takes an event for the host.
    pub(crate) fn answer(&mut self, op: &HostOp<'_>, emit: impl FnOnce(&str, &[u8])) -> HostAnswer {
        match op {
            HostOp::ContextGet { key } => match self.values.get(*key) {
                Some(value) => HostAnswer {
                    status: status::OK,
                    payload: value.clone(),
                },
                None => HostAnswer::of(status::NOT_FOUND),
            },
            HostOp::ContextSet { key, value } => {
                let stored = self.set(key, value);
                HostAnswer::of(stored.map_or(status::TOO_LARGE, |()| status::OK))
            }
            HostOp::Emit { name, payload } => {
                if name.len() > MAX_EVENT_NAME || payload.len() > MAX_EVENT {
                    return HostAnswer::of(status::TOO_LARGE);
                }
                emit(name, payload);
                HostAnswer::of(status::OK)
            }
            // No manifest can ask for a service, so no plugin has been granted one.
            HostOp::CallService { .. } => HostAnswer::DENIED,
        }
    }

    /// Keeps a value, or changes nothing where a limit forbids it.
    fn set(&mut self, key: &str, value: &[u8]) -> Option<()> {
        let before = self.values.get(key);
        let count = self.values.len() + usize::from(before.is_none());
        let freed = before.map_or(0, |before| key.len() + before.len());
        let bytes = self.bytes - freed + key.len() + value.len();
        let fits = key.len() <= MAX_KEY && value.len() <= MAX_VALUE;
        if !fits || count > MAX_KEYS || bytes > MAX_CONTEXT {
            return None;
        }
        self.bytes = bytes;
        self.values.insert(key.to_owned(), value.to_vec());
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn context_is_bounded_in_keys_and_bytes() {
        let mut context = Context::default();
        let mut set = |key: &str, value: &[u8]| {
            context
                .answer(&HostOp::ContextSet { key, value }, |_, _| ())
                .status
        };
        for number in 0..MAX_KEYS {
            assert_eq!(set(&number.to_string(), b"v"), status::OK);
        }
        assert_eq!(set("one more", b"v"), status::TOO_LARGE);
        assert_eq!(set("0", b"changed"), status::OK);
        assert_eq!(set("0", &vec![0; MAX_VALUE + 1]), status::TOO_LARGE);
        let get = context.answer(&HostOp::ContextGet { key: "0" }, |_, _| ());
        assert_eq!(
            get,
            HostAnswer {
                status: status::OK,
                payload: b"changed".to_vec()
            }
        );
    }

    #[test]
    fn context_is_bounded_in_all_and_what_is_replaced_is_free_again() {
        let mut context = Context::default();
        let mut set = |key: &str, value: &[u8]| {
            context
                .answer(&HostOp::ContextSet { key, value }, |_, _| ())
                .status
        };
        let value = vec![0; MAX_VALUE - 2];
        for number in 10..26 {
            assert_eq!(set(&number.to_string(), &value), status::OK);
        }
        assert_eq!(set("x", b""), status::TOO_LARGE);
        assert_eq!(set("10", &vec![0; MAX_VALUE - 1]), status::TOO_LARGE);
        assert_eq!(set("10", &value), status::OK);
        assert_eq!(set("10", b""), status::OK);
        assert_eq!(set("x", &value[1..]), status::OK);
    }

    #[test]
    fn events_are_bounded() {
        let mut emitted = Vec::new();
        let mut emit = |name: &str, payload: &[u8]| {
            let op = HostOp::Emit { name, payload };
            let keep = |_: &str, payload: &[u8]| emitted.push(payload.len());
            Context::default().answer(&op, keep).status
        };
        assert_eq!(emit("most", &[0; MAX_EVENT]), status::OK);
        assert_eq!(emit("more", &[0; MAX_EVENT + 1]), status::TOO_LARGE);
        assert_eq!(
            emit(&"n".repeat(MAX_EVENT_NAME + 1), b""),
            status::TOO_LARGE
        );
        assert_eq!(emitted, [MAX_EVENT]);
    }

    #[test]
    fn services_are_denied() {
        let op = HostOp::CallService {
            service: "s",
            method: "m",
            payload: b"",
        };
        assert_eq!(
            Context::default().answer(&op, |_, _| ()),
            HostAnswer::DENIED
        );
    }
}
