//! The host's functions as the plugin's current call sees them.

use std::cell::RefCell;
use std::io::Write;

use ipc_proto::message::HostOp;
use plugin_sdk::abi::Status;
use plugin_sdk::abi::host::Services;

use super::inbox::HostAnswer;
use super::link::Link;
use super::transport::Source;

/// The host's functions for the call that runs.
///
/// *Invariant:* nothing in [`Link`] calls the plugin, so the cell is never found borrowed.
pub(super) struct HostCalls<'a, R, W: Write>(pub(super) &'a RefCell<Link<R, W>>);

impl<R: Source, W: Write> Services for HostCalls<'_, R, W> {
    fn log(&self, level: u32, text: &[u8]) {
        if let Ok(mut link) = self.0.try_borrow_mut() {
            // A broken connection ends the loop after the call; the plugin can't do anything.
            link.attempt(|link| link.log(level, text))
                .unwrap_or_default();
        }
    }

    fn context_get(&self, key: &[u8]) -> Result<Vec<u8>, Status> {
        let key = text(key)?;
        self.ask(HostOp::ContextGet { key })
            .map_err(|(status, _)| status)
    }

    fn context_set(&self, key: &[u8], value: &[u8]) -> Result<(), Status> {
        let key = text(key)?;
        self.ask(HostOp::ContextSet { key, value })
            .map(drop)
            .map_err(|(status, _)| status)
    }

    fn emit(&self, name: &[u8], payload: &[u8]) -> Result<(), Status> {
        let name = text(name)?;
        self.ask(HostOp::Emit { name, payload })
            .map(drop)
            .map_err(|(status, _)| status)
    }

    fn call_service(
        &self,
        service: &[u8],
        method: &[u8],
        payload: &[u8],
    ) -> Result<Vec<u8>, (Status, Vec<u8>)> {
        let names = text(service).and_then(|service| Ok((service, text(method)?)));
        let (service, method) = names.map_err(|status| (status, Vec::new()))?;
        self.ask(HostOp::CallService {
            service,
            method,
            payload,
        })
    }

    fn cancelled(&self) -> bool {
        self.0.try_borrow_mut().is_ok_and(|mut link| {
            link.interruption().is_some()
                || link.attempt(Link::poll).is_err()
                || link.interruption().is_some()
        })
    }
}

impl<R: Source, W: Write> HostCalls<'_, R, W> {
    /// The answer, or the status and the text of the failure.
    fn ask(&self, op: HostOp<'_>) -> Result<Vec<u8>, (Status, Vec<u8>)> {
        let refused = |status| (status, Vec::new());
        let mut link = self
            .0
            .try_borrow_mut()
            .map_err(|_| refused(Status::INVALID))?;
        let outcome = link
            .attempt(|link| link.host_call(op))
            .and_then(|answered| answered);
        match outcome.map_err(refused)? {
            HostAnswer {
                status: Status::OK,
                payload,
            } => Ok(payload),
            HostAnswer { status, payload } => Err((status, payload)),
        }
    }
}

fn text(bytes: &[u8]) -> Result<&str, Status> {
    str::from_utf8(bytes).map_err(|_| Status::INVALID)
}
