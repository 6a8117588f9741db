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
                let full = self.values.len() >= MAX_KEYS && !self.values.contains_key(*key);
                if full || key.len() > MAX_KEY || value.len() > MAX_VALUE {
                    return HostAnswer::of(status::TOO_LARGE);
                }
                self.values.insert((*key).to_owned(), value.to_vec());
                HostAnswer::of(status::OK)
            }
            HostOp::Emit { name, payload } => {
                if name.len() > MAX_KEY || payload.len() > MAX_VALUE {
                    return HostAnswer::of(status::TOO_LARGE);
                }
                emit(name, payload);
                HostAnswer::of(status::OK)
            }
            // No manifest can ask for a service, so no plugin has been granted one.
            HostOp::CallService { .. } => HostAnswer::DENIED,
        }
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
