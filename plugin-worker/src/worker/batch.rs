//! Which replies go out with one write. No I/O, no clock.
//!
//! Nothing can write a reply while the plugin runs: this process has one thread, and it is the
//! plugin's then. So a reply waits for the next request only while that one is likely to be quick:
//! the same method or hook, that was quick several times in a row. All others, and everything but
//! calls and hooks, find the replies before them written.
//!
//! What remains: when a method turns slow that was quick just before, the replies of its batch
//! ([`HOLD_NS`] of work) are late until it returns, logs, calls the host or asks whether it is
//! cancelled. When it crashes or is killed instead, they are lost with it, and their callers see the
//! failure of a call that had succeeded.

use std::hash::{DefaultHasher, Hash, Hasher};

use ipc_proto::message::ToWorker;

/// How long replies may gather, counted from the first request that began after the last write.
/// Longer than a quick request, shorter than anybody notices.
const HOLD_NS: u64 = 50_000;

/// A request that takes longer is not quick: several of these wouldn't fit into a batch.
const QUICK_NS: u64 = 20_000;

/// Quick requests in a row after which the next one is expected to be quick as well.
const STREAK: u32 = 8;

/// The replies that were not written yet, and how quick the requests of late were.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// When the first request since the last write began.
    began_ns: Option<u64>,
    /// When the latest request began, until its time is known.
    running_ns: Option<u64>,
    /// Fingerprint of the method or hook that runs, or ran last.
    target: Option<u64>,
    /// How often that was quick in a row.
    streak: u32,
}

impl Batch {
    /// A request is about to run, and the one before it is done. Whether the replies may wait for it.
    pub(super) fn begin(&mut self, message: &ToWorker<'_>, now_ns: u64) -> bool {
        self.pause(now_ns);
        self.running_ns = Some(now_ns);
        let target = fingerprint(message);
        if target != self.target {
            self.target = target;
            self.streak = 0;
        }
        let began_ns = *self.began_ns.get_or_insert(now_ns);
        target.is_some() && self.streak >= STREAK && now_ns.saturating_sub(began_ns) <= HOLD_NS
    }

    /// The latest request is done and no other is here.
    pub(super) fn pause(&mut self, now_ns: u64) {
        let Some(running_ns) = self.running_ns.take() else {
            return;
        };
        self.streak = if now_ns.saturating_sub(running_ns) <= QUICK_NS {
            self.streak.saturating_add(1)
        } else {
            0
        };
    }

    /// All replies were written.
    pub(super) fn written(&mut self) {
        self.began_ns = None;
    }
}

/// Tells methods and hooks apart, but for a collision, which makes two names share a streak; `None`
/// for requests that are never expected to be quick.
fn fingerprint(message: &ToWorker<'_>) -> Option<u64> {
    let name = match message {
        ToWorker::Call { method, .. } => (0, method),
        ToWorker::Hook { name, .. } => (1, name),
        _ => return None,
    };
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    Some(hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICK: u64 = 1_000;

    fn call(method: &str) -> ToWorker<'_> {
        ToWorker::Call {
            method,
            payload: b"",
            tenant: "",
            user: "",
        }
    }

    /// A batch after enough quick calls of "echo", all written, and the time then.
    fn proven() -> (Batch, u64) {
        let mut batch = Batch::default();
        for tick in 0..u64::from(STREAK) {
            assert!(!batch.begin(&call("echo"), tick * TICK));
            batch.written();
        }
        let now = u64::from(STREAK) * TICK;
        batch.pause(now);
        (batch, now)
    }

    #[test]
    fn replies_wait_for_quick_calls_until_the_batch_is_old() {
        let (mut batch, start) = proven();

        let held = (0..).take_while(|n| batch.begin(&call("echo"), start + n * TICK));

        assert_eq!(held.count() as u64, HOLD_NS / TICK + 1);
    }

    #[test]
    fn idle_time_between_requests_is_nobodys() {
        let (mut batch, start) = proven();

        assert!(batch.begin(&call("echo"), start + 1_000 * HOLD_NS));
    }

    #[test]
    fn a_slow_call_ends_the_trust_until_it_is_earned_again() {
        let (mut batch, mut now) = proven();
        assert!(batch.begin(&call("echo"), now));

        now += QUICK_NS + 1;
        for _ in 0..STREAK {
            assert!(!batch.begin(&call("echo"), now));
            batch.written();
            now += TICK;
        }

        assert!(batch.begin(&call("echo"), now));
    }

    #[test]
    fn another_method_or_a_hook_of_the_same_name_is_not_trusted() {
        let hook = ToWorker::Hook {
            name: "echo",
            payload: b"",
            tenant: "",
            user: "",
        };

        for other in [call("other"), hook, ToWorker::Snapshot, ToWorker::Shutdown] {
            let (mut batch, now) = proven();
            assert!(!batch.begin(&other, now));
        }
    }

    #[test]
    fn requests_that_are_no_calls_are_never_trusted() {
        let mut batch = Batch::default();

        assert!((0..100).all(|n| !batch.begin(&ToWorker::Health, n)));
    }
}
