//! A plugin's violations: recorded, kept, told, and what is to be done about its worker.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use super::{Event, Record};
use crate::lifecycle::{self, Action, State, Unmount};
use crate::violations::{Actions, Class, Kind, Severity, Verdict, Violation, ViolationRules};

/// What is to be done about the worker of a violation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outcome {
    pub(crate) class: Class,
    pub(crate) actions: Actions,
    /// The plugin is unmounted, and its worker to be killed.
    pub(crate) unmounted: bool,
}

impl Record {
    /// Records a violation.
    pub(crate) fn violate(&self, violation: Violation) -> Outcome {
        let class = violation.kind.class();
        let shared = Arc::new(violation);
        let (verdict, logged) = {
            let tracker = &mut self.inner().tracker;
            let verdict = tracker.record(Arc::clone(&shared), Instant::now());
            (verdict, tracker.rules().log_violations)
        };
        if let Some(keeper) = self.speaker.keeper.as_ref().filter(|_| logged) {
            keeper.record(&shared);
        }
        if let Some(alerts) = &self.speaker.alerts {
            alerts.tell(&shared);
        }
        self.tell(Event::Violation(shared));
        self.follow(class, verdict)
    }

    /// Counts one more like one that was recorded, of which nobody is told; the answer is
    /// that of [`violate`](Record::violate). `None` where none is known.
    pub(crate) fn repeat(&self, kind: &Kind) -> Option<Outcome> {
        let (verdict, logged) = {
            let tracker = &mut self.inner().tracker;
            let verdict = tracker.repeat(kind, Instant::now())?;
            (verdict, tracker.rules().log_violations)
        };
        if let Some(keeper) = self.speaker.keeper.as_ref().filter(|_| logged) {
            keeper.repeat(&self.id, kind, || self.violation(kind.clone()));
        }
        Some(self.follow(kind.class(), verdict))
    }

    fn follow(&self, class: Class, verdict: Verdict) -> Outcome {
        Outcome {
            class,
            actions: verdict.actions,
            unmounted: verdict.unmount && self.unmount(class, verdict.counted),
        }
    }

    /// `true` when there is a worker to be killed.
    fn unmount(&self, last: Class, counted: u64) -> bool {
        let reason = Unmount { counted, last };
        if let Some(keeper) = &self.speaker.keeper
            && !matches!(self.state(), State::Unmounted { .. })
        {
            // Before anybody can take the state for one that an operator has undone.
            keeper.unmount(&self.id, reason);
        }
        // An untrusted plugin never ran; every other state can be unmounted.
        let action = self.advance(lifecycle::Event::ThresholdReached(reason));
        action.is_ok_and(|action| action == Some(Action::Kill))
    }

    /// What policy has for violations of that severity.
    pub(crate) fn response(&self, severity: Severity) -> Actions {
        self.inner().tracker.rules().actions.to(severity)
    }

    /// What the plugin is restricted by.
    pub(crate) fn restrictions(&self) -> Actions {
        self.inner().tracker.restrictions(Instant::now())
    }

    /// What policy says of its violations.
    pub(crate) fn violation_rules(&self) -> ViolationRules {
        *self.inner().tracker.rules()
    }

    /// Counts from zero.
    pub(crate) fn reset_violations(&self) {
        self.inner().tracker.reset();
    }

    /// A violation of this plugin, now.
    pub(crate) fn violation(&self, kind: Kind) -> Violation {
        Violation::new(self.id.clone(), kind, SystemTime::now())
    }
}
