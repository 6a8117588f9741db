//! A worker that went too far: frozen, looked at, killed.

use std::time::{Duration, Instant};

use sandbox::cgroup::Probe;
use tokio::time::sleep;

use super::{Worker, lock};
use crate::ending::Ending;

/// How long it may take to stand still. A thread whose denied call waits for an answer never
/// does, but doesn't run either.
const PATIENCE: Duration = Duration::from_millis(100);
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
        let frozen = match &self.probe {
            Some(probe) => probe.freeze().map_err(|error| error.to_string()),
            None => Err("it has no cgroup".into()),
        };
        if let Err(why) = frozen {
            self.isolated(Isolation::NotFrozen { why });
            self.slay();
        }
        self.wake.notify_one();
        true
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
            let isolation = still(probe).await;
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

async fn still(probe: &Probe) -> Isolation {
    let began = Instant::now();
    loop {
        let after = began.elapsed();
        match probe.frozen() {
            Ok(true) => return Isolation::Frozen { after },
            Ok(false) if after < PATIENCE => sleep(LOOK).await,
            Ok(false) => {
                let why = format!("it doesn't stand still within {} ms", PATIENCE.as_millis());
                return Isolation::NotFrozen { why };
            }
            Err(error) => {
                let why = error.to_string();
                return Isolation::NotFrozen { why };
            }
        }
    }
}
