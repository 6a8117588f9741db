//! Numbers with a unit, exact to three decimals.

use std::fmt;

use super::UnitError;

/// The units of one quantity, largest first. A unit's first name is the one printed.
pub(super) struct Scale {
    units: &'static [(&'static [&'static str], u64)],
    /// The units, for a message.
    known: &'static str,
    smallest: &'static str,
    example: &'static str,
}

pub(super) const SIZES: Scale = Scale {
    units: &[
        (&["TiB", "T"], 1 << 40),
        (&["TB"], 1_000_000_000_000),
        (&["GiB", "G"], 1 << 30),
        (&["GB"], 1_000_000_000),
        (&["MiB", "M"], 1 << 20),
        (&["MB"], 1_000_000),
        (&["KiB", "K", "k"], 1 << 10),
        (&["kB"], 1_000),
        (&["B"], 1),
    ],
    known: "B, kB, KiB, MB, MiB, GB, GiB, TB, TiB",
    smallest: "bytes",
    example: "\"64MiB\"",
};

pub(super) const TIMES: Scale = Scale {
    units: &[
        (&["h"], 3_600_000_000),
        (&["min", "m"], 60_000_000),
        (&["s"], 1_000_000),
        (&["ms"], 1_000),
        (&["us"], 1),
    ],
    known: "us, ms, s, min, m, h",
    smallest: "microseconds",
    example: "\"250ms\"",
};

/// Decimals accepted and printed, as a factor.
const DECIMALS: u128 = 1_000;

impl Scale {
    pub(super) fn parse(&self, text: &str) -> Result<u64, UnitError> {
        let (whole, rest) = split_digits(text);
        if whole.is_empty() {
            return Err(UnitError::NoNumber {
                text: text.into(),
                example: self.example,
            });
        }
        let (decimals, unit) = match rest.strip_prefix('.') {
            Some(rest) => split_digits(rest),
            None => ("", rest),
        };
        if rest.starts_with('.') && !(1..=3).contains(&decimals.len()) {
            return Err(UnitError::Fraction {
                text: text.into(),
                smallest: self.smallest,
            });
        }
        if unit.is_empty() && decimals.is_empty() && whole.bytes().all(|digit| digit == b'0') {
            return Ok(0);
        }
        let too_large = || UnitError::TooLarge { text: text.into() };
        let whole: u64 = whole.parse().map_err(|_| too_large())?;
        let decimals: u128 = format!("{decimals:0<3}").parse().map_err(|_| too_large())?;
        let scaled = (u128::from(whole) * DECIMALS + decimals) * u128::from(self.unit(text, unit)?);
        if !scaled.is_multiple_of(DECIMALS) {
            return Err(UnitError::Fraction {
                text: text.into(),
                smallest: self.smallest,
            });
        }
        u64::try_from(scaled / DECIMALS).map_err(|_| too_large())
    }

    /// The size of the unit called `name`, which one space may precede.
    fn unit(&self, text: &str, name: &str) -> Result<u64, UnitError> {
        let name = name.strip_prefix(' ').unwrap_or(name);
        if name.is_empty() {
            return Err(UnitError::NoUnit {
                text: text.into(),
                example: self.example,
            });
        }
        self.units
            .iter()
            .find(|(names, _)| names.contains(&name))
            .map(|&(_, size)| size)
            .ok_or_else(|| UnitError::UnknownUnit {
                text: text.into(),
                known: self.known,
            })
    }

    /// Prints in the largest unit that shows the value exactly, with at most three decimals.
    pub(super) fn print(&self, value: u64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let thousandths = u128::from(value) * DECIMALS;
        let exact =
            |&&(_, size): &&(_, u64)| value >= size && thousandths.is_multiple_of(u128::from(size));
        let Some((names, size)) = self.units.iter().find(exact) else {
            return f.pad(&format!("0 {}", self.units[self.units.len() - 1].0[0]));
        };
        let shown = thousandths / u128::from(*size);
        let mut number = format!("{}.{:03}", shown / DECIMALS, shown % DECIMALS);
        number.truncate(number.trim_end_matches('0').trim_end_matches('.').len());
        f.pad(&format!("{number} {}", names[0]))
    }
}

pub(super) fn split_digits(text: &str) -> (&str, &str) {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    text.split_at(end)
}
