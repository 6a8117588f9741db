//! Whether a plugin that lost its worker gets another, and when. Pure: failures and times in,
//! a decision out.
//!
//! The pause doubles from restart to restart, and is short again once the failures are older
//! than policy's window. A plugin that fails too often within it crashes in a loop: it stays
//! down until somebody loads it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::ending::Ending;
use crate::lifecycle::Failure;
use crate::units::TimeSpan;

/// What policy says about restarts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RestartRules {
    /// After which ends.
    pub when: When,
    /// The pause before the first restart.
    pub first: TimeSpan,
    /// The longest pause.
    pub most: TimeSpan,
    /// Restarts within `window`; one failure more is a crash loop. At most 1000.
    pub attempts: u32,
    /// How long a failure counts.
    pub window: TimeSpan,
}

/// After which ends a plugin is restarted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum When {
    /// After none.
    Never,
    /// After each that may befall an honest plugin: a crash, an exit of its own, too much
    /// memory or time.
    OnFailure,
}

/// What follows from a failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The plugin stays down.
    Stay,
    /// It is restarted after this pause.
    After(Duration),
    /// It stays down, for it has failed too often.
    CrashLoop {
        /// How often it was restarted within the window.
        restarts: u32,
    },
}

/// The failures of one plugin that still count. Bounded by policy's attempts.
#[derive(Clone, Debug)]
pub struct Restarts {
    rules: RestartRules,
    failures: VecDeque<Instant>,
}

impl Default for RestartRules {
    fn default() -> Self {
        Self {
            when: When::OnFailure,
            first: TimeSpan::secs(1),
            most: TimeSpan::secs(60),
            attempts: 5,
            window: TimeSpan::secs(600),
        }
    }
}

impl RestartRules {
    /// No restarts, whatever happens.
    pub const NEVER: Self = Self {
        when: When::Never,
        first: TimeSpan::secs(1),
        most: TimeSpan::secs(60),
        attempts: 5,
        window: TimeSpan::secs(600),
    };
}

impl Restarts {
    /// No failures yet.
    #[must_use]
    pub fn new(rules: RestartRules) -> Self {
        Self {
            rules,
            failures: VecDeque::new(),
        }
    }

    /// The rules that decide.
    #[must_use]
    pub fn rules(&self) -> RestartRules {
        self.rules
    }

    /// Decides after a failure at `now`, which is counted if a restart follows.
    pub fn decide(&mut self, failure: &Failure, now: Instant) -> Decision {
        if self.rules.when == When::Never || !may_do_better(failure) {
            return Decision::Stay;
        }
        let window = self.rules.window.as_duration();
        let old = |failure: &Instant| now.saturating_duration_since(*failure) >= window;
        while self.failures.front().is_some_and(old) {
            self.failures.pop_front();
        }
        let restarts = u32::try_from(self.failures.len()).unwrap_or(u32::MAX);
        if restarts >= self.rules.attempts {
            return Decision::CrashLoop { restarts };
        }
        self.failures.push_back(now);
        let doubled = 1_u64.checked_shl(restarts).unwrap_or(u64::MAX);
        let pause = self.rules.first.as_micros().saturating_mul(doubled);
        Decision::After(TimeSpan::micros(pause).min(self.rules.most).as_duration())
    }

    /// Starts from none. For somebody who loads the plugin.
    pub fn forget(&mut self) {
        self.failures.clear();
    }
}

/// Whether another worker may do better. What no honest plugin does isn't answered by another
/// try, nor is what somebody wanted, nor the end of the launcher.
fn may_do_better(failure: &Failure) -> bool {
    match failure {
        Failure::Load { .. } => true,
        Failure::CrashLoop { .. } => false,
        Failure::Ended { ending } => match ending {
            Ending::Signal { .. }
            | Ending::Exit { .. }
            | Ending::OutOfMemory
            | Ending::Deadline { .. }
            | Ending::Cpu { .. }
            | Ending::Limit { .. }
            | Ending::Panicked
            | Ending::Launch { .. } => true,
            Ending::Denied { .. }
            | Ending::DenialFlood { .. }
            | Ending::Protocol { .. }
            | Ending::Confinement { .. }
            | Ending::Unloaded
            | Ending::Unmounted
            | Ending::Isolated { .. }
            | Ending::Lost => false,
        },
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CRASH: Failure = Failure::Ended {
        ending: Ending::Signal { number: 11 },
    };

    fn after(seconds: u64) -> Decision {
        Decision::After(Duration::from_secs(seconds))
    }

    #[test]
    fn pauses_double_up_to_the_longest() {
        let mut restarts = Restarts::new(RestartRules {
            most: TimeSpan::secs(5),
            attempts: 9,
            ..RestartRules::default()
        });
        let now = Instant::now();

        let pauses: Vec<_> = (0..5).map(|_| restarts.decide(&CRASH, now)).collect();

        assert_eq!(pauses, [after(1), after(2), after(4), after(5), after(5)]);
    }

    #[test]
    fn one_failure_too_many_within_the_window_is_a_crash_loop() {
        let mut restarts = Restarts::new(RestartRules::default());
        let now = Instant::now();
        for _ in 0..5 {
            assert!(matches!(restarts.decide(&CRASH, now), Decision::After(_)));
        }
        let looping = Decision::CrashLoop { restarts: 5 };

        assert_eq!(restarts.decide(&CRASH, now), looping);
        let later = now + Duration::from_secs(599);
        assert_eq!(restarts.decide(&CRASH, later), looping);
        let later = now + Duration::from_secs(600);
        assert_eq!(restarts.decide(&CRASH, later), after(1));
    }

    #[test]
    fn who_loads_it_again_forgives_what_was() {
        let mut restarts = Restarts::new(RestartRules::default());
        let now = Instant::now();
        for _ in 0..6 {
            restarts.decide(&CRASH, now);
        }
        restarts.forget();
        assert_eq!(restarts.decide(&CRASH, now), after(1));
    }

    #[test]
    fn what_no_honest_plugin_does_is_not_answered_by_another_try() {
        let what = || String::from("a");
        for (ending, restarted) in [
            (Ending::Exit { code: 0 }, true),
            (Ending::OutOfMemory, true),
            (Ending::Deadline { call: 1 }, true),
            (
                Ending::Cpu {
                    used: Duration::ZERO,
                },
                true,
            ),
            (Ending::Panicked, true),
            (Ending::Denied { syscall: what() }, false),
            (Ending::DenialFlood { used: 1 }, false),
            (Ending::Protocol { what: what() }, false),
            (Ending::Confinement { what: what() }, false),
            (Ending::Unloaded, false),
            (Ending::Unmounted, false),
            (Ending::Lost, false),
        ] {
            let failure = Failure::Ended { ending };
            let mut restarts = Restarts::new(RestartRules::default());
            let decision = restarts.decide(&failure, Instant::now());
            assert_eq!(decision != Decision::Stay, restarted, "{failure}");
        }
    }

    #[test]
    fn policy_can_say_never() {
        let mut restarts = Restarts::new(RestartRules::NEVER);
        assert_eq!(restarts.decide(&CRASH, Instant::now()), Decision::Stay);
    }

    proptest! {
        /// Whatever the times of the failures: never more restarts within a window than allowed.
        #[test]
        fn restarts_are_bounded(pauses in proptest::collection::vec(0..200_u64, 0..200), attempts in 1..8_u32) {
            let rules = RestartRules { attempts, ..RestartRules::default() };
            let mut restarts = Restarts::new(rules);
            let (mut now, mut begun) = (Instant::now(), Vec::new());
            for pause in pauses {
                now += Duration::from_secs(pause);
                if let Decision::After(pause) = restarts.decide(&CRASH, now) {
                    prop_assert!(pause >= Duration::from_secs(1) && pause <= Duration::from_secs(60));
                    begun.push(now);
                }
                let recent = begun.iter().filter(|then| now - **then < Duration::from_secs(600));
                prop_assert!(recent.count() <= attempts as usize);
            }
        }
    }
}
