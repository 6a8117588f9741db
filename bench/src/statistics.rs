//! What many samples say together.

use std::time::Duration;

/// Samples of one quantity, in microseconds.
#[derive(Debug, Clone, Default)]
pub(crate) struct Samples(Vec<f64>);

impl Samples {
    pub(crate) fn push(&mut self, time: Duration) {
        self.0.push(time.as_secs_f64() * 1e6);
    }

    /// The value that half of the samples don't pass; 0 without samples.
    pub(crate) fn median(&self) -> f64 {
        self.percentile(50)
    }

    /// The least sample that `percent` of them don't pass (nearest rank).
    pub(crate) fn percentile(&self, percent: usize) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let rank = (sorted.len() * percent).div_ceil(100).max(1);
        sorted.get(rank - 1).copied().unwrap_or_default()
    }
}

impl FromIterator<f64> for Samples {
    fn from_iter<I: IntoIterator<Item = f64>>(micros: I) -> Self {
        Self(micros.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_samples_whatever_their_order() {
        let samples: Samples = (1..=100).rev().map(f64::from).collect();
        assert_eq!(samples.median(), 50.0);
        assert_eq!(samples.percentile(99), 99.0);
        assert_eq!(samples.percentile(100), 100.0);
    }

    #[test]
    fn few_samples_have_percentiles_too() {
        assert_eq!(Samples::from_iter([7.0]).percentile(1), 7.0);
        assert_eq!(Samples::from_iter([1.0, 2.0, 9.0]).median(), 2.0);
        assert_eq!(Samples::default().median(), 0.0);
    }
}
