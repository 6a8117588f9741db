//! Sizes, times, counts and shares as people write them: `64MiB`, `250ms`, `32`, `50%`.
//!
//! Parsing is strict: a unit is required, except for zero. `K`, `M`, `G` and `T` alone are binary,
//! as in systemd and cgroup tools; `kB`, `MB`, `GB` and `TB` are decimal. Printing is exact, and
//! what is printed parses back to the same value.

mod scale;
mod timestamp;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, de};
use thiserror::Error;

pub use timestamp::{Timestamp, TimestampError};

use scale::{SIZES, TIMES, split_digits};

/// A number of bytes. Serialized as a number, read from a string with a unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct ByteSize(u64);

impl ByteSize {
    /// `n` bytes.
    pub const fn bytes(n: u64) -> Self {
        Self(n)
    }

    /// `n` times 10⁶ bytes, saturating.
    pub const fn mb(n: u64) -> Self {
        Self(n.saturating_mul(1_000_000))
    }

    /// `n` times 2²⁰ bytes, saturating.
    pub const fn mib(n: u64) -> Self {
        Self(n.saturating_mul(1 << 20))
    }

    /// The value in bytes.
    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

/// A length of time with microsecond resolution. Serialized as a number of microseconds, read from
/// a string with a unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct TimeSpan(u64);

impl TimeSpan {
    /// `n` microseconds.
    pub const fn micros(n: u64) -> Self {
        Self(n)
    }

    /// `n` milliseconds, saturating.
    pub const fn millis(n: u64) -> Self {
        Self(n.saturating_mul(1_000))
    }

    /// `n` seconds, saturating.
    pub const fn secs(n: u64) -> Self {
        Self(n.saturating_mul(1_000_000))
    }

    /// The value in microseconds.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// The value for `std` and `tokio`.
    pub const fn as_duration(self) -> Duration {
        Duration::from_micros(self.0)
    }
}

impl From<Duration> for TimeSpan {
    /// Rounds down to microseconds, saturating.
    fn from(duration: Duration) -> Self {
        Self(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX))
    }
}

/// A number of things: threads, fds, connections, messages.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Count(u64);

impl Count {
    /// `n` things.
    pub const fn new(n: u64) -> Self {
        Self(n)
    }

    /// The number.
    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

/// A share in whole percent; of one core where it stands for CPU, so it may be above 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Percent(u32);

impl Percent {
    /// `n` percent.
    pub const fn new(n: u32) -> Self {
        Self(n)
    }

    /// The number of percent.
    pub const fn as_u32(self) -> u32 {
        self.0
    }
}

/// Why a text is no size, time, count or percentage.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum UnitError {
    /// It doesn't start with decimal digits.
    #[error("{text:?} doesn't start with a number, write it like {example}")]
    NoNumber {
        /// What was given.
        text: String,
        /// A valid value.
        example: &'static str,
    },
    /// Nothing follows the number.
    #[error("{text:?} has no unit, write it like {example}")]
    NoUnit {
        /// What was given.
        text: String,
        /// A valid value.
        example: &'static str,
    },
    /// What follows the number isn't a unit of this quantity.
    #[error("{text:?} has an unknown unit, known are: {known}")]
    UnknownUnit {
        /// What was given.
        text: String,
        /// The units of this quantity.
        known: &'static str,
    },
    /// The value has a fraction of the smallest unit, or more than three decimals.
    #[error("{text:?} is not a whole number of {smallest}")]
    Fraction {
        /// What was given.
        text: String,
        /// The smallest unit's name.
        smallest: &'static str,
    },
    /// The value doesn't fit 64 bits.
    #[error("{text:?} is too large")]
    TooLarge {
        /// What was given.
        text: String,
    },
}

impl FromStr for ByteSize {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        SIZES.parse(text).map(Self)
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        SIZES.print(self.0, f)
    }
}

impl FromStr for TimeSpan {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        TIMES.parse(text).map(Self)
    }
}

impl fmt::Display for TimeSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        TIMES.print(self.0, f)
    }
}

impl FromStr for Count {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let (whole, rest) = split_digits(text);
        match (whole.is_empty(), rest.is_empty()) {
            (true, _) => Err(UnitError::NoNumber {
                text: text.into(),
                example: "32",
            }),
            (_, false) => Err(UnitError::UnknownUnit {
                text: text.into(),
                known: "none",
            }),
            _ => whole
                .parse()
                .map(Self)
                .map_err(|_| UnitError::TooLarge { text: text.into() }),
        }
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Percent {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        const EXAMPLE: &str = "50%";
        let (whole, rest) = split_digits(text);
        match (whole, rest) {
            ("", _) => Err(UnitError::NoNumber {
                text: text.into(),
                example: EXAMPLE,
            }),
            (_, "") => Err(UnitError::NoUnit {
                text: text.into(),
                example: EXAMPLE,
            }),
            (_, "%") => whole
                .parse()
                .map(Self)
                .map_err(|_| UnitError::TooLarge { text: text.into() }),
            _ => Err(UnitError::UnknownUnit {
                text: text.into(),
                known: "%",
            }),
        }
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

macro_rules! deserialize_from_text {
    ($($type:ty),*) => {$(
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }
    )*};
}

deserialize_from_text!(ByteSize, TimeSpan, Percent);

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn sizes_as_people_write_them() {
        for (text, bytes) in [
            ("64MiB", 64 << 20),
            ("64M", 64 << 20),
            ("50MB", 50_000_000),
            ("64k", 64 << 10),
            ("64K", 64 << 10),
            ("1 GiB", 1 << 30),
            ("62.5MB", 62_500_000),
            ("0", 0),
            ("0B", 0),
        ] {
            assert_eq!(text.parse(), Ok(ByteSize::bytes(bytes)), "{text}");
        }
    }

    #[test]
    fn times_as_people_write_them() {
        for (text, micros) in [
            ("250ms", 250_000),
            ("1s", 1_000_000),
            ("7us", 7),
            ("5m", 300_000_000),
            ("5min", 300_000_000),
            ("2h", 7_200_000_000),
            ("1.5s", 1_500_000),
        ] {
            assert_eq!(text.parse(), Ok(TimeSpan::micros(micros)), "{text}");
        }
    }

    #[test]
    fn each_kind_of_nonsense_has_its_sentence() {
        for (text, error) in [
            (
                "",
                "\"\" doesn't start with a number, write it like \"64MiB\"",
            ),
            (
                "-1MB",
                "\"-1MB\" doesn't start with a number, write it like \"64MiB\"",
            ),
            ("64", "\"64\" has no unit, write it like \"64MiB\""),
            (
                "64mb",
                "\"64mb\" has an unknown unit, known are: B, kB, KiB, MB, MiB, GB, GiB, TB, TiB",
            ),
            (
                "64  MB",
                "\"64  MB\" has an unknown unit, known are: B, kB, KiB, MB, MiB, GB, GiB, TB, TiB",
            ),
            (
                "64MB ",
                "\"64MB \" has an unknown unit, known are: B, kB, KiB, MB, MiB, GB, GiB, TB, TiB",
            ),
            ("0.5B", "\"0.5B\" is not a whole number of bytes"),
            ("1.MB", "\"1.MB\" is not a whole number of bytes"),
            ("1.2345kB", "\"1.2345kB\" is not a whole number of bytes"),
            ("99999999TB", "\"99999999TB\" is too large"),
            (
                "99999999999999999999B",
                "\"99999999999999999999B\" is too large",
            ),
        ] {
            assert_eq!(text.parse::<ByteSize>().unwrap_err().to_string(), error);
        }
    }

    #[test]
    fn percent_and_count() {
        assert_eq!("50%".parse(), Ok(Percent::new(50)));
        assert!("50".parse::<Percent>().is_err());
        assert!("%".parse::<Percent>().is_err());
        assert_eq!("32".parse(), Ok(Count::new(32)));
        assert!("32x".parse::<Count>().is_err());
        assert!("".parse::<Count>().is_err());
    }

    #[test]
    fn prints_in_the_unit_meant() {
        for (size, text) in [
            (ByteSize::mb(50), "50 MB"),
            (ByteSize::bytes(62_500_000), "62.5 MB"),
            (ByteSize::mib(1024), "1 GiB"),
            (ByteSize::bytes(0), "0 B"),
            (ByteSize::bytes(1_048_577), "1048.577 kB"),
        ] {
            assert_eq!(size.to_string(), text);
        }
        assert_eq!(TimeSpan::millis(1250).to_string(), "1.25 s");
    }

    proptest! {
        #[test]
        fn printed_values_parse_back(value: u64) {
            prop_assert_eq!(ByteSize::bytes(value).to_string().parse(), Ok(ByteSize::bytes(value)));
            prop_assert_eq!(TimeSpan::micros(value).to_string().parse(), Ok(TimeSpan::micros(value)));
        }

        #[test]
        fn any_text_is_a_value_or_an_error(text in ".{0,24}|[0-9]{1,30}[.]?[0-9]{0,5} ?[kKMGTiBmush]{0,4}") {
            drop((text.parse::<ByteSize>(), text.parse::<TimeSpan>(), text.parse::<Percent>(), text.parse::<Count>()));
        }
    }
}
