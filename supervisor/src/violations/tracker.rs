//! Counts one plugin's violations across all its workers.

use std::collections::{BTreeMap, VecDeque};

use super::{Class, Kind, Violation};
use crate::config::ViolationRules;

/// The most violations that are kept; counts go on.
pub const MAX_RECORDS: usize = 256;

/// The violations of one plugin. Bounded memory, exact counts.
#[derive(Clone, Debug)]
pub struct Tracker {
    rules: ViolationRules,
    counted: u64,
    by_class: BTreeMap<Class, u64>,
    recent: VecDeque<Violation>,
}

/// What follows from a violation, seen over all so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing: it isn't grave enough to be counted.
    Logged,
    /// It was counted.
    Counted {
        /// Violations counted so far.
        counted: u64,
    },
    /// It was counted, and it is enough: unmount the plugin.
    Unmount {
        /// Violations counted so far.
        counted: u64,
    },
}

impl Tracker {
    /// No violations yet.
    pub fn new(rules: ViolationRules) -> Self {
        Self {
            rules,
            counted: 0,
            by_class: BTreeMap::new(),
            recent: VecDeque::new(),
        }
    }

    /// Takes note of a violation.
    pub fn record(&mut self, violation: Violation) -> Verdict {
        let verdict = self.count(&violation.kind);
        if self.recent.len() == MAX_RECORDS {
            self.recent.pop_front();
        }
        self.recent.push_back(violation);
        verdict
    }

    /// Counts one more like the latest one of this kind that is kept, without keeping it, so
    /// that many of little interest don't push out others. `None` where none is kept, and
    /// nothing is counted.
    pub fn repeat(&mut self, kind: &Kind) -> Option<Verdict> {
        let mut latest = self.recent.iter_mut().rev();
        let same = latest.find(|violation| violation.kind == *kind)?;
        same.repeated = same.repeated.saturating_add(1);
        Some(self.count(kind))
    }

    fn count(&mut self, kind: &Kind) -> Verdict {
        let of_class = self.by_class.entry(kind.class()).or_default();
        *of_class = of_class.saturating_add(1);
        if !kind.severity().counts() {
            return Verdict::Logged;
        }
        self.counted = self.counted.saturating_add(1);
        let counted = self.counted;
        if self.rules.auto_unmount && counted >= u64::from(self.rules.threshold.get()) {
            Verdict::Unmount { counted }
        } else {
            Verdict::Counted { counted }
        }
    }

    /// Violations that count towards the threshold.
    pub fn counted(&self) -> u64 {
        self.counted
    }

    /// How many there were of each class, also of those not counted.
    pub fn by_class(&self) -> &BTreeMap<Class, u64> {
        &self.by_class
    }

    /// The latest violations, at most [`MAX_RECORDS`], the oldest first.
    pub fn recent(&self) -> impl ExactSizeIterator<Item = &Violation> {
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
    use std::time::UNIX_EPOCH;

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
        let mut tracker = Tracker::new(ViolationRules::default());
        for counted in 1..10 {
            assert_eq!(tracker.record(violation(NOISE)), Verdict::Logged);
            assert_eq!(
                tracker.record(violation(Kind::Deadline)),
                Verdict::Counted { counted }
            );
        }
        assert_eq!(
            tracker.record(violation(Kind::OomKill)),
            Verdict::Unmount { counted: 10 }
        );
        assert_eq!(tracker.by_class()[&Class::Limit(LimitName::Log)], 9);
        tracker.reset();
        assert_eq!(
            tracker.record(violation(Kind::OomKill)),
            Verdict::Counted { counted: 1 }
        );
    }

    #[test]
    fn repetitions_are_counted_and_pushed_together() {
        let denied = |syscall: &'static str| Kind::DeniedSyscall {
            syscall: syscall.into(),
            dangerous: false,
        };
        let mut tracker = Tracker::new(rules(3));

        assert_eq!(tracker.repeat(&denied("socket")), None);
        assert_eq!(tracker.counted(), 0);
        tracker.record(violation(denied("socket")));
        tracker.record(violation(denied("fork")));
        let third = tracker.repeat(&denied("socket"));

        assert_eq!(third, Some(Verdict::Unmount { counted: 3 }));
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
        assert_eq!(
            tracker.record(violation(Kind::Protocol)),
            Verdict::Counted { counted: 1 }
        );
    }

    proptest! {
        #[test]
        fn a_flood_leaves_bounded_memory_and_exact_counts(kinds in proptest::collection::vec(0..3u8, 0..2000), threshold in 1..100u32) {
            let mut tracker = Tracker::new(rules(threshold));
            let (mut counted, mut unmounts) = (0, 0_usize);
            for kind in &kinds {
                let kind = [NOISE, Kind::Deadline, Kind::Protocol][usize::from(*kind)].clone();
                counted += u64::from(kind.severity().counts());
                unmounts += usize::from(matches!(tracker.record(violation(kind)), Verdict::Unmount { .. }));
            }
            prop_assert_eq!(tracker.counted(), counted);
            prop_assert_eq!(tracker.by_class().values().sum::<u64>(), kinds.len() as u64);
            prop_assert_eq!(tracker.recent().len(), kinds.len().min(MAX_RECORDS));
            prop_assert_eq!(unmounts as u64, counted.saturating_sub(u64::from(threshold) - 1));
        }
    }
}
