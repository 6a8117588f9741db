//! Where workers hand in their crashes.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::{Crash, Scene};
use crate::package::Package;

/// Crashes that wait to be written down; beyond them a host has worse trouble.
const WAITING: usize = 256;

/// A crash, with what its backtrace can be made of.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) crash: Crash,
    pub(crate) scene: Option<Box<Scene>>,
    pub(crate) package: Arc<Package>,
}

/// The workers' end.
#[derive(Debug)]
pub(crate) struct Desk(mpsc::Sender<Case>);

impl Desk {
    pub(crate) fn new() -> (Desk, mpsc::Receiver<Case>) {
        let (sender, receiver) = mpsc::channel(WAITING);
        (Desk(sender), receiver)
    }

    /// Hands a crash in; one too many is only logged.
    pub(crate) fn hand_in(&self, case: Case) {
        // Closed, nobody wants to know of it.
        if let Err(mpsc::error::TrySendError::Full(case)) = self.0.try_send(case) {
            let Crash { plugin, how, .. } = case.crash;
            tracing::warn!("plugin {plugin}: {how}; no evidence of it is kept, too many crash");
        }
    }
}
