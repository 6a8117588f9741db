//! A worker that went too far: frozen, looked at, killed.

use std::time::{Duration, Instant};

use sandbox::cgroup::Probe;
use tokio::time::sleep;

use super::{Worker, lock};
use crate::ending::Ending;
use crate::violations::Class;

/// How long it may take to stand still.
const PATIENCE: Duration = Duration::from_millis(100);
/// How long where a thread waits for the answer to its denied call: the freezer doesn't reach it
/// there, so that the group as a whole never counts as frozen. It gets no answer, and runs no more.
const PATIENCE_WITH_DENIED: Duration = Duration::from_millis(10);
/// Between two looks whether it does.
const LOOK: Duration = Duration::from_millis(1);

/// How a worker was isolated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Isolation {
    /// It is being frozen.
    UnderWay,
    /// Every process of it stood still when it was looked at and killed.
    Frozen {
        /// From the order to freeze.
        after: Duration,
    },
    /// It had the order to freeze, and a thread of it was held by its denied call; whether every
    /// other one stood still can't be told then.
    Held,
    /// Some of it may have run until it was killed.
    NotFrozen {
        /// Why it wasn't frozen.
        why: String,
    },
}

impl Worker {
    /// Has every process of it frozen from now on, then killed by the I/O task. The first
    /// reason why a worker ends counts, and is told by `true`.
    pub(super) fn isolate(&self, cause: Ending) -> bool {
        {
            let mut kept = lock(&self.cause);
            if kept.is_some() {
                return false;
            }
            *kept = Some(cause);
            *lock(&self.isolation) = Some(Isolation::UnderWay);
        }
        if let Err(why) = self.order_to_freeze() {
            self.isolated(Isolation::NotFrozen { why });
            self.slay();
        }
        self.wake.notify_one();
        true
    }

    /// Has every process of it frozen, without waiting until it stands still.
    pub(super) fn order_to_freeze(&self) -> Result<(), String> {
        match &self.probe {
            Some(probe) => probe.freeze().map_err(|error| error.to_string()),
            None => Err("it has no cgroup".into()),
        }
    }

    /// Whether and how it was isolated.
    #[must_use]
    pub fn isolation(&self) -> Option<Isolation> {
        lock(&self.isolation).clone()
    }

    pub(super) fn being_isolated(&self) -> bool {
        *lock(&self.isolation) == Some(Isolation::UnderWay)
    }

    /// The I/O task's part, if it is being isolated: waits until it stands still, but not for
    /// long, and kills it.
    pub(super) async fn finish_isolation(&self) {
        if !self.being_isolated() {
            return;
        }
        if let Some(probe) = &self.probe {
            let held = self.cause().is_some_and(|cause| holds_a_call(&cause));
            let isolation = still(probe, held).await;
            if let Isolation::Frozen { .. } = isolation {
                self.look_at_frozen().await;
            }
            self.isolated(isolation);
        }
        self.slay();
    }

    fn isolated(&self, isolation: Isolation) {
        if let Isolation::NotFrozen { why } = &isolation {
            let plugin = self.plugin.id();
            tracing::warn!("{plugin}: its worker was not frozen before it was killed: {why}");
        }
        *lock(&self.isolation) = Some(isolation);
    }
}

/// Whether a worker that ends so has a denied call which is never answered.
fn holds_a_call(cause: &Ending) -> bool {
    matches!(
        cause,
        Ending::Denied { .. }
            | Ending::DenialFlood { .. }
            | Ending::Isolated {
                violation: Class::Syscall
            }
    )
}

async fn still(probe: &Probe, held: bool) -> Isolation {
    let patience = if held { PATIENCE_WITH_DENIED } else { PATIENCE };
    let began = Instant::now();
    loop {
        let after = began.elapsed();
        match probe.frozen() {
            Ok(true) => return Isolation::Frozen { after },
            Ok(false) if after < patience => sleep(LOOK).await,
            Ok(false) if held => return Isolation::Held,
            Ok(false) => {
                let why = format!("it doesn't stand still within {} ms", patience.as_millis());
                return Isolation::NotFrozen { why };
            }
            Err(error) => {
                let why = error.to_string();
                return Isolation::NotFrozen { why };
            }
        }
    }
}
