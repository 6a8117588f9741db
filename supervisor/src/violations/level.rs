//! How many violations count at a moment.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Parts of a window that are told apart.
const GRAINS: u32 = 64;

/// Violations that still count: not yet out of the window, and not forgiven. Bounded memory.
#[derive(Clone, Debug)]
pub(super) struct Level {
    window: Option<Duration>,
    decay: Option<Duration>,
    /// The oldest first. Each lasts a 64th of the window at most, so there are at most 66.
    spans: VecDeque<Span>,
    sum: u64,
    /// Up to when time was turned into forgiveness.
    forgiven: Option<Instant>,
}

/// Violations that leave the window together, with the last of them.
#[derive(Clone, Copy, Debug)]
struct Span {
    first: Instant,
    last: Instant,
    count: u64,
}

impl Level {
    /// Zero. A window or decay of no time is none.
    pub(super) fn new(window: Option<Duration>, decay: Option<Duration>) -> Self {
        let some = |time: &Duration| !time.is_zero();
        Self {
            window: window.filter(some),
            decay: decay.filter(some),
            spans: VecDeque::new(),
            sum: 0,
            forgiven: None,
        }
    }

    /// One more.
    pub(super) fn add(&mut self, now: Instant) {
        self.settle(now);
        if self.sum == 0 {
            self.forgiven = Some(now);
        }
        self.sum = self.sum.saturating_add(1);
        let grain = self.window.map_or(Duration::MAX, |window| window / GRAINS);
        match self.spans.back_mut() {
            Some(span) if now.saturating_duration_since(span.first) <= grain => {
                span.last = now;
                span.count = span.count.saturating_add(1);
            }
            _ => self.spans.push_back(Span {
                first: now,
                last: now,
                count: 1,
            }),
        }
    }

    /// How many count.
    pub(super) fn at(&mut self, now: Instant) -> u64 {
        self.settle(now);
        self.sum
    }

    fn settle(&mut self, now: Instant) {
        if let (Some(decay), Some(forgiven)) = (self.decay, self.forgiven) {
            let passed = now.saturating_duration_since(forgiven);
            let times = passed.as_nanos() / decay.as_nanos();
            self.forgive(u64::try_from(times).unwrap_or(u64::MAX));
            let rest = (passed.as_nanos() % decay.as_nanos()) as u64;
            self.forgiven = now.checked_sub(Duration::from_nanos(rest)).or(Some(now));
        }
        let Some(window) = self.window else { return };
        while let Some(oldest) = self.spans.front()
            && now.saturating_duration_since(oldest.last) >= window
        {
            self.sum -= oldest.count;
            self.spans.pop_front();
        }
    }

    /// Takes the oldest away.
    fn forgive(&mut self, mut count: u64) {
        while count > 0
            && let Some(oldest) = self.spans.front_mut()
        {
            let taken = count.min(oldest.count);
            oldest.count -= taken;
            self.sum -= taken;
            count -= taken;
            if oldest.count == 0 {
                self.spans.pop_front();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    proptest! {
        #[test]
        fn a_violation_counts_for_the_window_and_at_most_a_64th_more(
            steps in proptest::collection::vec(0..20_000_u64, 0..500),
            rest in 0..120_000_u64,
        ) {
            let start = Instant::now();
            let mut level = Level::new(Some(MINUTE), None);
            let (mut now, mut came) = (start, Vec::new());
            for step in steps {
                now += Duration::from_millis(step);
                level.add(now);
                came.push(now);
                prop_assert!(level.spans.len() <= GRAINS as usize + 2);
            }
            now += Duration::from_millis(rest);
            let younger = |than: Duration| came.iter().filter(|one| now - **one < than).count() as u64;
            let counted = level.at(now);
            prop_assert!(counted >= younger(MINUTE));
            prop_assert!(counted <= younger(MINUTE + MINUTE / GRAINS));
        }

        #[test]
        fn decay_forgives_one_in_its_time_and_never_in_advance(
            steps in proptest::collection::vec(0..200_u64, 0..200),
            looks in proptest::collection::vec(any::<bool>(), 200),
        ) {
            let start = Instant::now();
            let mut level = Level::new(None, Some(MINUTE));
            // The same as a bucket that leaks once a minute after it was empty.
            let (mut now, mut model, mut since) = (start, 0_u64, start);
            for (step, look) in steps.into_iter().zip(looks) {
                now += Duration::from_secs(step);
                while now - since >= MINUTE {
                    since += MINUTE;
                    model = model.saturating_sub(1);
                }
                if look {
                    prop_assert_eq!(level.at(now), model);
                }
                if model == 0 {
                    since = now;
                }
                model += 1;
                level.add(now);
                prop_assert_eq!(level.at(now), model);
            }
        }

        #[test]
        fn without_both_nothing_is_forgotten(steps in proptest::collection::vec(0..u64::from(u32::MAX), 0..100)) {
            let mut level = Level::new(None, Some(Duration::ZERO));
            let mut now = Instant::now();
            for (before, step) in steps.into_iter().enumerate() {
                now += Duration::from_secs(step);
                prop_assert_eq!(level.at(now), before as u64);
                level.add(now);
            }
            prop_assert!(level.spans.len() <= 1);
        }

        #[test]
        fn window_and_decay_together_count_no_more_than_either(
            steps in proptest::collection::vec(0..60_u64, 0..200),
        ) {
            let both = (Some(10 * MINUTE), Some(MINUTE));
            let mut levels = [both, (both.0, None), (None, both.1)].map(|(window, decay)| Level::new(window, decay));
            let mut now = Instant::now();
            for step in steps {
                now += Duration::from_secs(step);
                levels.iter_mut().for_each(|level| level.add(now));
                let [both, window, decay] = levels.each_mut().map(|level| level.at(now));
                prop_assert!(both >= 1 && both <= window && both <= decay);
            }
        }
    }

    #[test]
    fn time_that_stands_still_or_goes_back_takes_nothing_away() {
        let (start, later) = (Instant::now(), Instant::now() + MINUTE / 2);
        let mut level = Level::new(Some(MINUTE), Some(MINUTE));
        level.add(later);
        level.add(start);
        assert_eq!(level.at(start), 2);
    }
}
