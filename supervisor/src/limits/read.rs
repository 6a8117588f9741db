//! Reading limits from TOML tables and from the command line, each value checked against its range.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeSeed, Error as _, IntoDeserializer, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use thiserror::Error;

use super::{Amount, Limit, LimitName, LimitSettings, Quantity, TiersCrossed};
use crate::document::printable;
use crate::units::UnitError;

/// What policy says about one limit: one tier, both, or nothing. In TOML a value, which is the
/// declared tier, or `{ declared = …, hard = … }`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Setting<T> {
    declared: Option<T>,
    hard: Option<T>,
}

impl<T> Default for Setting<T> {
    fn default() -> Self {
        Self {
            declared: None,
            hard: None,
        }
    }
}

/// Reads `NAME=VALUE`, for example `heap=64M`, as a declared tier with the default headroom.
pub fn parse_override(text: &str) -> Result<LimitSettings, OverrideError> {
    let (name, value) = text.split_once('=').ok_or_else(|| OverrideError::NoValue {
        text: printable(text),
    })?;
    let name: LimitName = name.parse()?;
    let mut settings = LimitSettings::default();
    settings.declare(name, value)?;
    Ok(settings)
}

/// Why `NAME=VALUE` is no limit.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum OverrideError {
    /// It has no `=`.
    #[error("\"{text}\" is no limit, write it like heap=64M")]
    NoValue {
        /// What was given.
        text: String,
    },
    /// No limit is called so.
    #[error("there is no limit \"{name}\", only {}", LimitName::NAMES.join(", "))]
    UnknownName {
        /// What was given.
        name: String,
    },
    /// The value can't be read.
    #[error("limits.{name}: {source}")]
    Value {
        /// Which limit.
        name: LimitName,
        /// What is wrong with the value.
        source: UnitError,
    },
    /// The value is out of range.
    #[error("limits.{name}: {source}")]
    Range {
        /// Which limit.
        name: LimitName,
        /// What is wrong with the value.
        source: OutOfRange,
    },
}

/// A value outside the range of its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{value} is out of range, it must be from {least} to {most}")]
pub struct OutOfRange {
    /// What was given.
    pub value: Amount,
    /// The least value.
    pub least: Amount,
    /// The greatest value.
    pub most: Amount,
}

impl<T: Quantity> Setting<T> {
    /// `limit` as this setting changes it. A declared tier alone brings the default headroom.
    pub(super) fn apply(self, limit: Limit<T>, name: LimitName) -> Result<Limit<T>, TiersCrossed> {
        let base = self.declared.map_or(limit, Limit::new);
        let hard = self.hard.unwrap_or(base.hard());
        Limit::with_hard(base.declared(), hard).ok_or_else(|| TiersCrossed {
            name,
            declared: base.declared().amount(),
            hard: hard.amount(),
        })
    }

    pub(super) fn parse(name: LimitName, text: &str) -> Result<Self, OverrideError> {
        let value = text
            .parse()
            .map_err(|source| OverrideError::Value { name, source })?;
        check_range(name, value).map_err(|source| OverrideError::Range { name, source })?;
        Ok(Self {
            declared: Some(value),
            hard: None,
        })
    }
}

/// A struct read from a TOML table with a key per limit.
pub(super) trait Table: Default {
    /// Reads the value of `name`, which comes next in `map`.
    fn read<'de, A: MapAccess<'de>>(
        &mut self,
        name: LimitName,
        map: &mut A,
    ) -> Result<(), A::Error>;
}

pub(super) fn table<'de, T: Table, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    struct Keys<T>(PhantomData<T>);

    impl<'de, T: Table> Visitor<'de> for Keys<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a table of limits")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<T, A::Error> {
            let mut table = T::default();
            while let Some(name) = map.next_key()? {
                table.read(name, &mut map)?;
            }
            Ok(table)
        }
    }

    deserializer.deserialize_map(Keys(PhantomData))
}

/// Reads a value and checks it against a limit's range. A seed, so that the error is located at the
/// value.
pub(super) struct InRange<T>(pub(super) LimitName, pub(super) PhantomData<T>);

impl<'de, T: Quantity> DeserializeSeed<'de> for InRange<T> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        let value = T::deserialize(deserializer)?;
        check_range(self.0, value).map_err(D::Error::custom)?;
        Ok(value)
    }
}

/// As [`InRange`], for both tiers of a setting.
pub(super) struct SettingInRange<T>(pub(super) LimitName, pub(super) PhantomData<T>);

impl<'de, T: Quantity> DeserializeSeed<'de> for SettingInRange<T> {
    type Value = Setting<T>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Setting<T>, D::Error> {
        let setting = Setting::deserialize(deserializer)?;
        for value in [setting.declared, setting.hard].into_iter().flatten() {
            check_range(self.0, value).map_err(D::Error::custom)?;
        }
        Ok(setting)
    }
}

fn check_range<T: Quantity>(name: LimitName, value: T) -> Result<(), OutOfRange> {
    let range = name.range();
    if range.contains(&value.raw()) {
        return Ok(());
    }
    let amount = |raw: &u64| T::from_raw(*raw).amount();
    Err(OutOfRange {
        value: value.amount(),
        least: amount(range.start()),
        most: amount(range.end()),
    })
}

impl<'de, T: Quantity> Deserialize<'de> for Setting<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ValueOrTiers<T>(PhantomData<T>);

        #[derive(Deserialize)]
        #[serde(deny_unknown_fields, bound = "T: Quantity")]
        struct Tiers<T> {
            declared: Option<T>,
            hard: Option<T>,
        }

        impl<'de, T: Quantity> Visitor<'de> for ValueOrTiers<T> {
            type Value = Setting<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value or { declared = …, hard = … }")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Setting<T>, E> {
                T::deserialize(text.into_deserializer()).map(|value| Setting {
                    declared: Some(value),
                    hard: None,
                })
            }

            fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<Setting<T>, E> {
                T::deserialize(number.into_deserializer()).map(|value| Setting {
                    declared: Some(value),
                    hard: None,
                })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Setting<T>, A::Error> {
                let tiers = Tiers::deserialize(MapAccessDeserializer::new(map))?;
                if tiers.declared.is_none() && tiers.hard.is_none() {
                    return Err(A::Error::custom("neither declared nor hard is given"));
                }
                Ok(Setting {
                    declared: tiers.declared,
                    hard: tiers.hard,
                })
            }
        }

        deserializer.deserialize_any(ValueOrTiers(PhantomData))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::super::Limits;
    use super::*;

    #[test]
    fn overrides_as_people_write_them() {
        let limits = Limits::default()
            .with(&parse_override("heap=64M").unwrap())
            .unwrap();
        assert_eq!(limits.heap.hard().to_string(), "80 MiB");
        let limits = Limits::default()
            .with(&parse_override("threads=8").unwrap())
            .unwrap();
        assert_eq!(limits.threads.hard().as_u64(), 10);
    }

    #[test]
    fn a_wrong_override_has_one_clear_sentence() {
        for (text, error) in [
            ("heap", "\"heap\" is no limit, write it like heap=64M"),
            (
                "ram=64M",
                "there is no limit \"ram\", only heap, cpu, cpu_share, threads, fds, connections, disk, log, messages, denials",
            ),
            (
                "heap=64",
                "limits.heap: \"64\" has no unit, write it like \"64MiB\"",
            ),
            (
                "heap=1B",
                "limits.heap: 1 B is out of range, it must be from 4 MiB to 1 TiB",
            ),
        ] {
            assert_eq!(parse_override(text).unwrap_err().to_string(), error);
        }
    }

    #[test]
    fn a_later_declared_tier_hides_an_earlier_hard_one() {
        let below = crate::document::parse::<LimitSettings>("heap = { hard = \"55MB\" }").unwrap();
        let limits = Limits::default()
            .with(&below)
            .unwrap()
            .with(&parse_override("heap=64M").unwrap())
            .unwrap();
        assert_eq!(limits.heap.hard().to_string(), "80 MiB");
    }
}
