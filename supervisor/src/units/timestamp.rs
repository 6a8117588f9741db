//! A moment as logs have it: RFC 3339, in UTC.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Serialize, Serializer};

/// Days from 0000-03-01 to 1970-01-01 in the Gregorian calendar.
const EPOCH: i64 = 719_468;
/// Days of 400 years.
const ERA: i64 = 146_097;
/// Milliseconds of a day.
const DAY: i64 = 86_400_000;
/// The beginning of year 0.
const FIRST: i64 = -62_167_219_200_000;
/// The end of year 9999.
const LAST: i64 = 253_402_300_799_999;

/// A moment in milliseconds since 1970, from year 0 to 9999. Serialized as
/// `2026-11-21T03:11:11.123Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

/// Why a text is no moment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no time, write it like 2026-11-21T03:11:11Z or 2026-11-21T04:11:11+01:00")]
pub struct TimestampError(String);

impl Timestamp {
    /// So many milliseconds since 1970; what is out of range becomes its end.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(match millis {
            ..FIRST => FIRST,
            FIRST..=LAST => millis,
            _ => LAST,
        })
    }

    /// Milliseconds since 1970.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0
    }
}

impl From<SystemTime> for Timestamp {
    /// Rounds down to milliseconds; what is out of range becomes its end.
    fn from(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Self::from_millis(i64::try_from(since.as_millis()).unwrap_or(LAST))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (day, time) = (self.0.div_euclid(DAY), self.0.rem_euclid(DAY));
        let (year, month, day) = date(day);
        let (seconds, millis) = (time / 1000, time % 1000);
        let (minutes, second) = (seconds / 60, seconds % 60);
        let (hour, minute) = (minutes / 60, minutes % 60);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z"
        )
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl FromStr for Timestamp {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Self, TimestampError> {
        parse(text.as_bytes()).ok_or_else(|| TimestampError(text.to_owned()))
    }
}

fn parse(text: &[u8]) -> Option<Timestamp> {
    let (whole, rest) = text.split_at_checked(19)?;
    let separators = [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')];
    let separated = separators.iter().all(|(at, byte)| whole[*at] == *byte);
    if !separated || !matches!(whole[10], b'T' | b't' | b' ') {
        return None;
    }
    let part = |from: usize, to: usize| digits(&whole[from..to]);
    let (year, month, day) = (part(0, 4)?, part(5, 7)?, part(8, 10)?);
    let (hour, minute, second) = (part(11, 13)?, part(14, 16)?, part(17, 19)?);
    // A leap second is the second after it.
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let days = days(year, month, day)?;
    let (fraction, zone) = match rest.strip_prefix(b".") {
        Some(rest) => rest.split_at(rest.iter().take_while(|byte| byte.is_ascii_digit()).count()),
        None => (&b"0"[..], rest),
    };
    let millis = [fraction, b"00"].concat();
    let millis = digits(millis.get(..3).filter(|_| !fraction.is_empty())?)?;
    let ahead = offset(zone)?;
    let minutes = (days * 24 + hour) * 60 + minute - ahead;
    let moment = (minutes * 60 + second) * 1000 + millis;
    Some(Timestamp(moment))
}

/// Minutes that a zone is ahead of UTC.
fn offset(zone: &[u8]) -> Option<i64> {
    match zone {
        b"Z" | b"z" => Some(0),
        [sign @ (b'+' | b'-'), hours @ .., b':', m1, m2] => {
            let (hours, minutes) = (digits(hours)?, digits(&[*m1, *m2])?);
            if zone.len() != 6 || hours > 23 || minutes > 59 {
                return None;
            }
            let ahead = hours * 60 + minutes;
            Some(if *sign == b'-' { -ahead } else { ahead })
        }
        _ => None,
    }
}

fn digits(text: &[u8]) -> Option<i64> {
    text.iter().try_fold(0_i64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| i64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

/// Days since 1970 of a date, if there is such a day. Years are counted from March, so that a
/// leap day is the last of its year.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    if !(1..=12).contains(&month) {
        return None;
    }
    let (year_of_march, month_of_march) = (year - i64::from(month < 3), (month + 9) % 12);
    let of_year = (153 * month_of_march + 2) / 5 + day - 1;
    let (era, in_era) = (year_of_march.div_euclid(400), year_of_march.rem_euclid(400));
    let days = era * ERA + in_era * 365 + in_era / 4 - in_era / 100 + of_year - EPOCH;
    (date(days) == (year, month, day)).then_some(days)
}

/// The date of a day since 1970.
fn date(days: i64) -> (i64, i64, i64) {
    let days = days + EPOCH;
    let (era, of_era) = (days.div_euclid(ERA), days.rem_euclid(ERA));
    let in_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * in_era + in_era / 4 - in_era / 100);
    let month_of_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_of_march + 2) / 5 + 1;
    let month = (month_of_march + 2) % 12 + 1;
    (era * 400 + in_era + i64::from(month < 3), month, day)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_moments() {
        for (text, millis) in [
            ("1970-01-01T00:00:00.000Z", 0),
            ("2000-02-29T23:59:59.999Z", 951_868_799_999),
            ("2026-11-21T03:11:11.123Z", 1_795_230_671_123),
            ("9999-12-31T23:59:59.999Z", 253_402_300_799_999),
        ] {
            assert_eq!(text.parse::<Timestamp>().unwrap().as_millis(), millis);
            assert_eq!(Timestamp(millis).to_string(), text);
        }
        for (text, same) in [
            ("2026-11-21T03:11:11Z", "2026-11-21T03:11:11.000Z"),
            ("2026-11-21t03:11:11.5z", "2026-11-21T03:11:11.500Z"),
            (
                "2026-11-21 03:11:11.123456+01:30",
                "2026-11-21T01:41:11.123Z",
            ),
            ("2026-12-31T23:59:60-00:01", "2027-01-01T00:01:00.000Z"),
        ] {
            assert_eq!(text.parse::<Timestamp>().unwrap().to_string(), same);
        }
    }

    #[test]
    fn what_is_no_moment() {
        for text in [
            "",
            "2026-11-21",
            "2026-11-21T03:11:11",
            "2026-02-29T00:00:00Z",
            "2100-02-29T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-11-31T00:00:00Z",
            "2026-11-21T24:00:00Z",
            "2026-11-21T03:11:11.Z",
            "2026-11-21T03:11:11+1:00",
            "2026-11-21T03:11:11+0100",
            "2026-11-21T03:11:11Zx",
            "+026-11-21T03:11:11Z",
            "2026-11-21T03:11:1ä",
        ] {
            let error = text.parse::<Timestamp>().unwrap_err();
            assert_eq!(error, TimestampError(text.to_owned()));
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_parses_back(millis in FIRST..=LAST) {
            let text = Timestamp(millis).to_string();
            prop_assert_eq!(text.parse(), Ok(Timestamp(millis)));
        }

        #[test]
        fn no_text_panics(text in "[0-9TZ:+. -]{0,40}|\\PC{0,40}") {
            drop(text.parse::<Timestamp>());
        }
    }
}
