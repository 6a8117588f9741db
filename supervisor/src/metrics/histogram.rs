//! Latencies, log-linear: each power of two has sixteen parts, so that no figure is off by
//! more than 6.25 %. Recording is three atomic additions, without a lock or an allocation.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::Serialize;

/// The parts of a power of two, as a power of two.
const PARTS: u32 = 4;
/// Times of 2^42 ns, 73 minutes, and above are one.
const LARGEST: u32 = 42;
const BUCKETS: usize = ((LARGEST - PARTS + 1) << PARTS) as usize;

/// How long calls took, at most: half of them, nine in ten, and so on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Latency {
    /// Half of them took at most this, in microseconds.
    pub p50_us: u64,
    /// 90 %.
    pub p90_us: u64,
    /// 99 %.
    pub p99_us: u64,
    /// All.
    pub max_us: u64,
}

/// Counts of latencies, 5 KiB.
#[derive(Debug)]
pub(crate) struct Histogram {
    /// Below 2^[`PARTS`] ns a bucket is a nanosecond wide.
    counts: Box<[AtomicU64; BUCKETS]>,
    /// In nanoseconds.
    most: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self {
            counts: Box::new([const { AtomicU64::new(0) }; BUCKETS]),
            most: AtomicU64::new(0),
        }
    }
}

impl Histogram {
    pub(crate) fn record(&self, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.counts[bucket(nanos)].fetch_add(1, Ordering::Relaxed);
        self.most.fetch_max(nanos, Ordering::Relaxed);
    }

    /// How many there are, and what they say together. What is recorded meanwhile may be
    /// part of it.
    pub(crate) fn summary(&self) -> (u64, Option<Latency>) {
        let counts: Vec<u64> = self
            .counts
            .iter()
            .map(|count| count.load(Ordering::Relaxed))
            .collect();
        let all: u64 = counts.iter().sum();
        if all == 0 {
            return (0, None);
        }
        let most = self.most.load(Ordering::Relaxed);
        let micros = |nanos: u64| nanos.div_ceil(1000);
        let at = |percent: u64| {
            // The least value that so many of them don't pass (nearest rank).
            let rank = (u128::from(all) * u128::from(percent)).div_ceil(100);
            let mut seen = 0;
            let found = counts.iter().position(|count| {
                seen += u128::from(*count);
                seen >= rank
            });
            // The last one has no end.
            let found = found.filter(|bucket| bucket + 1 < BUCKETS);
            micros(found.map_or(most, upper).min(most))
        };
        let latency = Latency {
            p50_us: at(50),
            p90_us: at(90),
            p99_us: at(99),
            max_us: micros(most),
        };
        (all, Some(latency))
    }
}

fn bucket(nanos: u64) -> usize {
    let power = nanos.checked_ilog2().unwrap_or(0);
    let index = match power {
        0..PARTS => nanos,
        PARTS..LARGEST => {
            let shift = power - PARTS;
            (u64::from(shift) << PARTS) + (nanos >> shift)
        }
        _ => BUCKETS as u64 - 1,
    };
    index as usize
}

/// The highest value of a bucket.
fn upper(bucket: usize) -> u64 {
    let (bucket, parts) = (bucket as u64, 1 << PARTS);
    if bucket < parts {
        return bucket;
    }
    let shift = bucket / parts - 1;
    ((bucket % parts + parts + 1) << shift) - 1
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn buckets_join_without_gap_and_are_narrow() {
        let mut next = 0;
        for index in 0..BUCKETS {
            assert_eq!(bucket(next), index, "{next}");
            assert_eq!(bucket(upper(index)), index, "{}", upper(index));
            let width = upper(index) + 1 - next;
            assert!(
                width == 1 || width * 16 <= next,
                "{index}: {width} at {next}"
            );
            next = upper(index) + 1;
        }
        assert_eq!(next, 1 << LARGEST);
        for nanos in [1 << LARGEST, u64::MAX] {
            assert_eq!(bucket(nanos), BUCKETS - 1);
        }
    }

    #[test]
    fn percentiles_are_those_of_the_values_within_a_sixteenth() {
        let histogram = Histogram::default();
        assert_eq!(histogram.summary(), (0, None));
        for micros in 1..=1000 {
            histogram.record(Duration::from_micros(micros));
        }

        let (all, latency) = histogram.summary();

        assert_eq!(all, 1000);
        let Latency {
            p50_us,
            p90_us,
            p99_us,
            max_us,
        } = latency.unwrap();
        for (found, value) in [(p50_us, 500), (p90_us, 900), (p99_us, 990)] {
            assert!(
                found >= value && found <= value + value / 16 + 1,
                "{found} for {value}"
            );
        }
        assert_eq!(max_us, 1000);
    }

    #[test]
    fn one_value_is_all_of_them_however_large() {
        for time in [Duration::ZERO, Duration::from_micros(7), Duration::MAX] {
            let histogram = Histogram::default();
            histogram.record(time);
            let latency = histogram.summary().1.unwrap();
            assert_eq!(latency.p50_us, latency.max_us, "{time:?}");
            assert_eq!(latency.p99_us, latency.max_us, "{time:?}");
        }
    }
}
