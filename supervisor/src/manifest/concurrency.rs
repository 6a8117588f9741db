//! How a plugin may be called, and the hooks it wants.

use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::names::HookName;
use crate::document;

/// How many calls a plugin takes at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Concurrency {
    /// One, on one thread.
    #[default]
    Serial,
    /// Many, on threads of one worker.
    Threadsafe,
    /// One in each of this many workers, from 1 to [`Concurrency::MAX_POOL`].
    Pool(u16),
}

impl Concurrency {
    /// The most workers of a pool.
    pub const MAX_POOL: u16 = 64;
}

/// A hook that a plugin wants to be called for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hook {
    /// Its name.
    pub name: HookName,
    /// Its place in the order.
    pub priority: Priority,
}

/// A place in the order of hooks, from 0 (first) to 999.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u16")]
pub struct Priority(u16);

impl Priority {
    /// The number.
    pub fn as_u16(self) -> u16 {
        self.0
    }
}

impl TryFrom<u16> for Priority {
    type Error = String;

    fn try_from(number: u16) -> Result<Self, String> {
        if number > 999 {
            return Err(format!(
                "{number} is out of range, it must be from 0 to 999"
            ));
        }
        Ok(Self(number))
    }
}

/// Reads hooks, each name once.
pub(super) fn hooks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Hook>, D::Error> {
    document::distinct(deserializer, |hook: &Hook| &hook.name)
}

impl fmt::Display for Concurrency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Serial => f.pad("serial"),
            Self::Threadsafe => f.pad("threadsafe"),
            Self::Pool(workers) => f.pad(&format!("pool of {workers}")),
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pool {
    pool: u16,
}

impl Serialize for Concurrency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match *self {
            Self::Serial | Self::Threadsafe => serializer.collect_str(self),
            Self::Pool(pool) => Pool { pool }.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Concurrency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct WordOrPool;

        impl<'de> Visitor<'de> for WordOrPool {
            type Value = Concurrency;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"serial\", \"threadsafe\" or { pool = 4 }")
            }

            fn visit_str<E: de::Error>(self, word: &str) -> Result<Concurrency, E> {
                match word {
                    "serial" => Ok(Concurrency::Serial),
                    "threadsafe" => Ok(Concurrency::Threadsafe),
                    _ => Err(E::invalid_value(de::Unexpected::Str(word), &self)),
                }
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Concurrency, A::Error> {
                let Pool { pool } = Pool::deserialize(MapAccessDeserializer::new(map))?;
                if !(1..=Concurrency::MAX_POOL).contains(&pool) {
                    let most = Concurrency::MAX_POOL;
                    return Err(de::Error::custom(format!(
                        "a pool of {pool} is out of range, it must be from 1 to {most}"
                    )));
                }
                Ok(Concurrency::Pool(pool))
            }
        }

        deserializer.deserialize_any(WordOrPool)
    }
}
