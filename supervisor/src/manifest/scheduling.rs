//! Priorities with the scheduler, as the kernel counts them: sched(7).

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The lowest nice value that a plugin may set itself, -20 to 19. Lower is more: less than 0
/// takes time from the host's own programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "i64")]
pub struct Nice(i8);

/// The highest real-time priority that a plugin may set itself, 1 to 99. A real-time thread runs
/// before every ordinary one of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "i64")]
pub struct Realtime(u8);

/// A priority that the kernel doesn't have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{value} is out of range, it must be from {least} to {most}")]
pub struct NoSuchPriority {
    value: i64,
    least: i64,
    most: i64,
}

impl Nice {
    /// As RLIMIT_NICE has it, 1 to 40: the lowest nice value is 20 minus the limit
    /// (getrlimit(2)).
    pub fn rlimit(self) -> u64 {
        u64::from(self.0.abs_diff(20))
    }
}

impl Realtime {
    /// As RLIMIT_RTPRIO has it.
    pub fn rlimit(self) -> u64 {
        self.0.into()
    }
}

impl TryFrom<i64> for Nice {
    type Error = NoSuchPriority;

    fn try_from(value: i64) -> Result<Self, NoSuchPriority> {
        in_range(value, -20, 19).map(Self)
    }
}

impl TryFrom<i64> for Realtime {
    type Error = NoSuchPriority;

    fn try_from(value: i64) -> Result<Self, NoSuchPriority> {
        in_range(value, 1, 99).map(Self)
    }
}

fn in_range<T: TryFrom<i64>>(value: i64, least: i64, most: i64) -> Result<T, NoSuchPriority> {
    let refused = NoSuchPriority { value, least, most };
    if !(least..=most).contains(&value) {
        return Err(refused);
    }
    T::try_from(value).map_err(|_| refused)
}

impl fmt::Display for Nice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Realtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn nice_values_are_limits_upside_down() {
        for (nice, rlimit) in [(19, 1), (0, 20), (-5, 25), (-20, 40)] {
            assert_eq!(Nice::try_from(nice).unwrap().rlimit(), rlimit);
        }
    }

    #[test]
    fn what_the_kernel_does_not_have_is_refused() {
        assert!(Nice::try_from(-21).is_err() && Nice::try_from(20).is_err());
        assert!(Realtime::try_from(0).is_err() && Realtime::try_from(100).is_err());
        assert_eq!(
            Realtime::try_from(i64::MAX).unwrap_err().to_string(),
            "9223372036854775807 is out of range, it must be from 1 to 99"
        );
    }
}
