//! One limit in two tiers, over any quantity.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::LimitName;
use crate::units::{ByteSize, Count, Percent, TimeSpan, UnitError};

/// A limit in two tiers, declared ≤ hard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Limit<T> {
    declared: T,
    hard: T,
}

impl<T: Copy> Limit<T> {
    /// A violation is counted above this.
    pub fn declared(&self) -> T {
        self.declared
    }

    /// The plugin is stopped at this.
    pub fn hard(&self) -> T {
        self.hard
    }
}

impl<T: Quantity> Limit<T> {
    /// The limit with the default headroom: hard is 1.25 × declared, rounded up, saturating. Only
    /// for zero both are equal.
    pub fn new(declared: T) -> Self {
        let raw = declared.raw();
        Self {
            declared,
            hard: T::from_raw(raw.saturating_add(raw.div_ceil(4))),
        }
    }

    /// The limit without headroom.
    pub fn exact(declared: T) -> Self {
        Self {
            declared,
            hard: declared,
        }
    }

    /// The limit with both tiers given, unless hard is below declared.
    pub fn with_hard(declared: T, hard: T) -> Option<Self> {
        (declared <= hard).then_some(Self { declared, hard })
    }

    /// This limit for a plugin that asks for `asked`: unchanged if it asks for just this much,
    /// lower with headroom of its own if for less, `None` if for more.
    pub fn narrowed(&self, asked: T) -> Option<Self> {
        if asked == self.declared {
            return Some(*self);
        }
        (asked < self.declared).then(|| Self {
            declared: asked,
            hard: Self::new(asked).hard.min(self.hard),
        })
    }

    pub(super) fn amounts(&self) -> Limit<Amount> {
        Limit {
            declared: self.declared.amount(),
            hard: self.hard.amount(),
        }
    }
}

/// A quantity that a limit can bound.
pub trait Quantity:
    Copy + Ord + fmt::Display + FromStr<Err = UnitError> + for<'de> Deserialize<'de>
{
    /// The quantity of `raw` bytes, microseconds, percent or things, saturating.
    fn from_raw(raw: u64) -> Self;
    /// The number of bytes, microseconds, percent or things.
    fn raw(self) -> u64;
    /// The quantity with its unit as a value.
    fn amount(self) -> Amount;
}

impl Quantity for ByteSize {
    fn from_raw(raw: u64) -> Self {
        Self::bytes(raw)
    }

    fn raw(self) -> u64 {
        self.as_u64()
    }

    fn amount(self) -> Amount {
        Amount::Bytes(self)
    }
}

impl Quantity for TimeSpan {
    fn from_raw(raw: u64) -> Self {
        Self::micros(raw)
    }

    fn raw(self) -> u64 {
        self.as_micros()
    }

    fn amount(self) -> Amount {
        Amount::Micros(self)
    }
}

impl Quantity for Count {
    fn from_raw(raw: u64) -> Self {
        Self::new(raw)
    }

    fn raw(self) -> u64 {
        self.as_u64()
    }

    fn amount(self) -> Amount {
        Amount::Count(self)
    }
}

impl Quantity for Percent {
    fn from_raw(raw: u64) -> Self {
        Self::new(u32::try_from(raw).unwrap_or(u32::MAX))
    }

    fn raw(self) -> u64 {
        self.as_u32().into()
    }

    fn amount(self) -> Amount {
        Amount::Percent(self)
    }
}

/// A value of any limit, used or allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "unit", content = "value", rename_all = "lowercase")]
pub enum Amount {
    /// Bytes.
    Bytes(ByteSize),
    /// Time, serialized in microseconds.
    #[serde(rename = "us")]
    Micros(TimeSpan),
    /// Percent of one core.
    Percent(Percent),
    /// Things.
    Count(Count),
}

impl Amount {
    /// The number of bytes, microseconds, percent or things.
    pub fn raw(self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.as_u64(),
            Self::Micros(time) => time.as_micros(),
            Self::Percent(share) => share.as_u32().into(),
            Self::Count(count) => count.as_u64(),
        }
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => bytes.fmt(f),
            Self::Micros(time) => time.fmt(f),
            Self::Percent(share) => share.fmt(f),
            Self::Count(count) => count.fmt(f),
        }
    }
}

/// A plugin asks for more of a limit than policy allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMuch {
    /// Which limit.
    pub name: LimitName,
    /// What the plugin asks for.
    pub asked: Amount,
    /// What policy allows.
    pub allowed: Amount,
}

/// Settings that leave a hard tier below the declared one.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("limits.{name}: hard {hard} is below declared {declared}, raise hard or lower declared")]
pub struct TiersCrossed {
    /// Which limit.
    pub name: LimitName,
    /// The declared tier.
    pub declared: Amount,
    /// The hard tier.
    pub hard: Amount,
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn asking_for_just_what_policy_has_keeps_its_hard_tier() {
        let policy = Limit::with_hard(Count::new(10), Count::new(100)).unwrap();
        assert_eq!(policy.narrowed(Count::new(10)), Some(policy));
        assert_eq!(
            policy.narrowed(Count::new(8)),
            Some(Limit::new(Count::new(8)))
        );
        assert_eq!(policy.narrowed(Count::new(11)), None);
    }

    proptest! {
        #[test]
        fn tiers_never_cross_nor_grow(policy: u64, hard: u64, asked: u64) {
            let Some(policy) = Limit::with_hard(Count::new(policy), Count::new(hard)) else { return Ok(()) };
            prop_assert_eq!(policy.narrowed(Count::new(asked)).is_none(), asked > policy.declared.as_u64());
            if let Some(limit) = policy.narrowed(Count::new(asked)) {
                prop_assert_eq!(limit.declared.as_u64(), asked);
                prop_assert!(limit.declared <= limit.hard && limit.hard <= policy.hard);
            }
        }

        #[test]
        fn default_headroom_is_real(declared in 1..u64::MAX) {
            prop_assert!(Limit::new(Count::new(declared)).hard.as_u64() > declared);
        }
    }
}
