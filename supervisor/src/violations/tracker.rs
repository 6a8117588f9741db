//! Counts one plugin's violations across all its workers.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use super::level::Level;
use super::{Action, Actions, Class, Kind, Severity, Violation, ViolationRules};
use crate::units::TimeSpan;

/// The most violations that are kept; counts go on.
pub const MAX_RECORDS: usize = 256;

/// The violations of one plugin. Bounded memory, exact counts.
#[derive(Clone, Debug)]
pub struct Tracker {
    rules: ViolationRules,
    level: Level,
    by_class: BTreeMap<Class, u64>,
    recent: VecDeque<Arc<Violation>>,
    /// What the plugin is restricted by, and since when no violation asked for it again.
    restricted: Option<(Actions, Instant)>,
}

/// What follows from a violation, seen over all that count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// Violations that count by now.
    pub counted: u64,
    /// What is to be done, by its severity.
    pub actions: Actions,
    /// It is enough: unmount the plugin.
    pub unmount: bool,
}

impl Tracker {
    /// No violations yet.
    pub fn new(rules: ViolationRules) -> Self {
        let time = |span: Option<TimeSpan>| span.map(TimeSpan::as_duration);
        Self {
            rules,
            level: Level::new(time(rules.window), time(rules.decay)),
            by_class: BTreeMap::new(),
            recent: VecDeque::new(),
            restricted: None,
        }
    }

    /// Takes note of a violation.
    pub fn record(&mut self, violation: impl Into<Arc<Violation>>, now: Instant) -> Verdict {
        let violation = violation.into();
        let verdict = self.count(violation.kind.class(), violation.severity, now);
        if self.recent.len() == MAX_RECORDS {
            self.recent.pop_front();
        }
        self.recent.push_back(violation);
        verdict
    }

    /// Counts one more like the latest one of this kind that is kept, without keeping it, so
    /// that many of little interest don't push out others. `None` where none is kept, and
    /// nothing is counted.
    pub fn repeat(&mut self, kind: &Kind, now: Instant) -> Option<Verdict> {
        let mut latest = self.recent.iter_mut().rev();
        let same = latest.find(|violation| violation.kind == *kind)?;
        let same = Arc::make_mut(same);
        same.repeated = same.repeated.saturating_add(1);
        let severity = same.severity;
        Some(self.count(kind.class(), severity, now))
    }

    fn count(&mut self, class: Class, severity: Severity, now: Instant) -> Verdict {
        let of_class = self.by_class.entry(class).or_default();
        *of_class = of_class.saturating_add(1);
        let actions = self.rules.actions.to(severity);
        let counts = actions.contains(Action::Count);
        if counts {
            self.level.add(now);
        }
        let asked = actions.and(Actions::RESTRICTIONS);
        if !asked.is_empty() {
            self.restricted = Some((self.restrictions(now).or(asked), now));
        }
        let counted = self.level.at(now);
        let enough = counted >= u64::from(self.rules.threshold.get());
        Verdict {
            counted,
            actions,
            unmount: counts && enough && self.rules.auto_unmount,
        }
    }

    /// What policy says.
    pub fn rules(&self) -> &ViolationRules {
        &self.rules
    }

    /// Violations that count towards the threshold by now.
    pub fn counted(&mut self, now: Instant) -> u64 {
        self.level.at(now)
    }

    /// What the plugin is restricted by: for policy's time after the last violation that asked
    /// for it, or until the tracker is reset.
    pub fn restrictions(&mut self, now: Instant) -> Actions {
        let time = self.rules.restricted.as_duration();
        let over = |since: Instant| now.saturating_duration_since(since) >= time;
        self.restricted = self.restricted.filter(|(_, since)| !over(*since));
        self.restricted
            .map_or(Actions::default(), |(actions, _)| actions)
    }

    /// How many there were of each class, also of those not counted.
    pub fn by_class(&self) -> &BTreeMap<Class, u64> {
        &self.by_class
    }

    /// The latest violations, at most [`MAX_RECORDS`], the oldest first.
    pub fn recent(&self) -> impl ExactSizeIterator<Item = &Arc<Violation>> {
        self.recent.iter()
    }

    /// Starts from zero. For an operator who re-enables the plugin.
    pub fn reset(&mut self) {
        *self = Self::new(self.rules);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use std::num::NonZeroU32;
    use std::time::{Duration, UNIX_EPOCH};

    use proptest::prelude::*;

    use super::*;
    use crate::limits::LimitName;
    use crate::violations::Tier;

    fn violation(kind: Kind) -> Violation {
        Violation::new("greet".parse().unwrap(), kind, UNIX_EPOCH)
    }

    fn rules(threshold: u32) -> ViolationRules {
        ViolationRules {
            threshold: NonZeroU32::new(threshold).unwrap(),
            ..ViolationRules::default()
        }
    }

    const NOISE: Kind = Kind::Limit {
        resource: LimitName::Log,
        tier: Tier::Declared,
    };

    #[test]
    fn the_tenth_counted_violation_unmounts_by_default() {
        let now = Instant::now();
        let mut tracker = Tracker::new(ViolationRules::default());
        for nth in 1..10 {
            let noise = tracker.record(violation(NOISE), now);
            assert_eq!((noise.counted, noise.unmount), (nth - 1, false));
            let late = tracker.record(violation(Kind::Deadline), now);
            assert_eq!((late.counted, late.unmount), (nth, false));
        }
        let tenth = tracker.record(violation(Kind::OomKill), now);
        assert_eq!((tenth.counted, tenth.unmount), (10, true));
        // What doesn't count is never the one too many.
        assert!(!tracker.record(violation(NOISE), now).unmount);
        assert_eq!(tracker.by_class()[&Class::Limit(LimitName::Log)], 10);
        tracker.reset();
        let first = tracker.record(violation(Kind::OomKill), now);
        assert_eq!((first.counted, first.unmount), (1, false));
    }

    #[test]
    fn actions_are_those_of_the_severity() {
        let mut rules = rules(3);
        rules.actions.low = Actions::of(&[Action::Count, Action::Watch]);
        let mut tracker = Tracker::new(rules);
        let now = Instant::now();
        for kind in [NOISE, Kind::Deadline, Kind::Protocol] {
            let verdict = tracker.record(violation(kind.clone()), now);
            assert_eq!(verdict.actions, rules.actions.to(kind.severity()));
        }
        assert_eq!(tracker.counted(now), 3);
    }

    #[test]
    fn restrictions_add_up_and_last_for_their_time_or_until_a_reset() {
        let mut limited = rules(100);
        limited.restricted = TimeSpan::secs(60);
        limited.actions.medium = Actions::of(&[Action::Throttle]);
        limited.actions.high = Actions::of(&[Action::Revoke, Action::Isolate]);
        let longer = ViolationRules {
            restricted: TimeSpan::secs(61),
            ..limited
        };
        let medium = Kind::DeniedConnect {
            address: String::new(),
        };
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        for (rules, later) in [
            (limited, Actions::default()),
            (longer, Actions::of(&[Action::Throttle, Action::Revoke])),
        ] {
            let mut tracker = Tracker::new(rules);
            assert_eq!(tracker.restrictions(start), Actions::default());
            tracker.record(violation(medium.clone()), at(0));
            assert_eq!(
                tracker.restrictions(at(59)),
                Actions::of(&[Action::Throttle])
            );
            tracker.record(violation(Kind::Deadline), at(59));
            let both = Actions::of(&[Action::Throttle, Action::Revoke]);
            assert_eq!(tracker.restrictions(at(118)), both);
            assert_eq!(tracker.restrictions(at(119)), later);
            tracker.reset();
            assert_eq!(tracker.restrictions(at(119)), Actions::default());
        }
    }

    #[test]
    fn what_left_the_window_unmounts_nobody() {
        let window = TimeSpan::secs(64);
        let mut tracker = Tracker::new(ViolationRules {
            window: Some(window),
            ..rules(2)
        });
        let start = Instant::now();
        for minutes in 0..10 {
            let now = start + Duration::from_secs(66 * minutes);
            assert!(!tracker.record(violation(Kind::Deadline), now).unmount);
        }
        let soon = start + Duration::from_secs(66 * 9 + 63);
        assert!(tracker.record(violation(Kind::Deadline), soon).unmount);
    }

    #[test]
    fn repetitions_are_counted_and_pushed_together() {
        let denied = |syscall: &'static str| Kind::DeniedSyscall {
            syscall: syscall.into(),
            dangerous: false,
        };
        let now = Instant::now();
        let mut tracker = Tracker::new(rules(3));

        assert_eq!(tracker.repeat(&denied("socket"), now), None);
        assert_eq!(tracker.counted(now), 0);
        tracker.record(violation(denied("socket")), now);
        tracker.record(violation(denied("fork")), now);
        let third = tracker.repeat(&denied("socket"), now).unwrap();

        assert_eq!((third.counted, third.unmount), (3, true));
        assert_eq!(tracker.by_class()[&Class::Syscall], 3);
        let kept: Vec<u64> = tracker.recent().map(|kept| kept.repeated).collect();
        assert_eq!(kept, [1, 0]);
    }

    #[test]
    fn without_auto_unmount_it_only_counts() {
        let mut tracker = Tracker::new(ViolationRules {
            auto_unmount: false,
            ..rules(1)
        });
        let verdict = tracker.record(violation(Kind::Protocol), Instant::now());
        assert_eq!((verdict.counted, verdict.unmount), (1, false));
    }

    proptest! {
        #[test]
        fn a_flood_leaves_bounded_memory_and_exact_counts(kinds in proptest::collection::vec(0..3u8, 0..2000), threshold in 1..100u32) {
            let now = Instant::now();
            let mut tracker = Tracker::new(rules(threshold));
            let (mut counted, mut unmounts) = (0, 0_usize);
            for kind in &kinds {
                let kind = [NOISE, Kind::Deadline, Kind::Protocol][usize::from(*kind)].clone();
                counted += u64::from(kind.severity() > Severity::Low);
                unmounts += usize::from(tracker.record(violation(kind), now).unmount);
            }
            prop_assert_eq!(tracker.counted(now), counted);
            prop_assert_eq!(tracker.by_class().values().sum::<u64>(), kinds.len() as u64);
            prop_assert_eq!(tracker.recent().len(), kinds.len().min(MAX_RECORDS));
            prop_assert_eq!(unmounts as u64, counted.saturating_sub(u64::from(threshold) - 1));
        }
    }
}
