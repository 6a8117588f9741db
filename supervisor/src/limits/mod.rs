//! Resource limits: what each one bounds, its default and range, and how policy and manifest
//! combine.
//!
//! A limit has two tiers: a violation is counted above *declared*; at *hard* the kernel or the
//! supervisor stops the plugin. All limits stand in the one table at the `limits!` call in this
//! file.

mod read;
mod tiers;

use std::marker::PhantomData;
use std::ops::RangeInclusive;

use serde::de::{self, MapAccess};
use serde::{Deserialize, Deserializer, Serialize};

use read::{InRange, SettingInRange, Table};
pub use read::{OutOfRange, OverrideError, Setting, parse_override};
pub use tiers::{Amount, Limit, Quantity, TiersCrossed, TooMuch};

use crate::document::printable;
use crate::units::{ByteSize, Count, Percent, TimeSpan};

macro_rules! limits {
    ($($(#[doc = $doc:literal])+
       $variant:ident $field:ident, $json:literal, $type:ty,
       $default:expr, $least:expr => $most:expr;)+) => {
        /// The name of a limit, as in manifest and policy.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(rename_all = "snake_case")]
        pub enum LimitName {
            $($(#[doc = $doc])+ $variant,)+
        }

        impl LimitName {
            /// All limits, in the order in which tables show them.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            const NAMES: &'static [&'static str] = &[$(stringify!($field)),+];

            /// The name as written in manifests.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => stringify!($field)),+ }
            }

            /// The values allowed, in smallest units.
            fn range(self) -> RangeInclusive<u64> {
                match self { $(Self::$variant => $least.raw()..=$most.raw()),+ }
            }
        }

        /// The limits of one plugin.
        #[derive(Clone, Debug, PartialEq, Eq, Serialize)]
        pub struct Limits {
            $($(#[doc = $doc])+ #[serde(rename = $json)] pub $field: Limit<$type>,)+
        }

        impl Default for Limits {
            fn default() -> Self {
                Self { $($field: $default),+ }
            }
        }

        impl Limits {
            /// The limit called `name`.
            pub fn get(&self, name: LimitName) -> Limit<Amount> {
                match name { $(LimitName::$variant => self.$field.amounts()),+ }
            }

            /// These limits for a plugin that asks for `requests`, or all that it asks too much of.
            pub fn narrowed(&self, requests: &LimitRequests) -> Result<Self, Vec<TooMuch>> {
                let mut excess = Vec::new();
                let mut limits = self.clone();
                $(if let Some(asked) = requests.$field {
                    match self.$field.narrowed(asked) {
                        Some(limit) => limits.$field = limit,
                        None => excess.push(TooMuch {
                            name: LimitName::$variant,
                            asked: asked.amount(),
                            allowed: self.$field.declared().amount(),
                        }),
                    }
                })+
                if excess.is_empty() { Ok(limits) } else { Err(excess) }
            }

            /// These limits as `settings` change them.
            pub fn with(&self, settings: &LimitSettings) -> Result<Self, TiersCrossed> {
                Ok(Self { $($field: settings.$field.apply(self.$field, LimitName::$variant)?),+ })
            }
        }

        /// What a manifest asks for; each value lies in its limit's range.
        #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
        pub struct LimitRequests {
            $($(#[doc = $doc])+
            #[serde(rename = $json, skip_serializing_if = "Option::is_none")]
            pub $field: Option<$type>,)+
        }

        impl Table for LimitRequests {
            fn read<'de, A: MapAccess<'de>>(
                &mut self,
                name: LimitName,
                map: &mut A,
            ) -> Result<(), A::Error> {
                match name {
                    $(LimitName::$variant => {
                        self.$field = Some(map.next_value_seed(InRange(name, PhantomData))?);
                    })+
                }
                Ok(())
            }
        }

        /// What policy or the command line says about limits; each value lies in its limit's range.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct LimitSettings {
            $($(#[doc = $doc])+ pub $field: Setting<$type>,)+
        }

        impl LimitSettings {
            /// Sets the declared tier of `name` from `text`. Without a hard tier of its own it
            /// brings the default headroom.
            fn declare(&mut self, name: LimitName, text: &str) -> Result<(), OverrideError> {
                match name { $(LimitName::$variant => self.$field = Setting::parse(name, text)?),+ }
                Ok(())
            }
        }

        impl Table for LimitSettings {
            fn read<'de, A: MapAccess<'de>>(
                &mut self,
                name: LimitName,
                map: &mut A,
            ) -> Result<(), A::Error> {
                match name {
                    $(LimitName::$variant => {
                        self.$field = map.next_value_seed(SettingInRange(name, PhantomData))?;
                    })+
                }
                Ok(())
            }
        }
    };
}

limits! {
    /// Anonymous and shared memory.
    Heap heap, "heap_bytes", ByteSize,
        Limit::new(ByteSize::mb(50)), ByteSize::mib(4) => ByteSize::mib(1 << 20);
    /// CPU time of one call.
    Cpu cpu, "cpu_us", TimeSpan,
        Limit::new(TimeSpan::secs(1)), TimeSpan::millis(1) => TimeSpan::secs(3600);
    /// Share of the processors, of one core. The kernel has more wait, so that a plugin may use
    /// all it is given without an overstep: by default both tiers are one core.
    CpuShare cpu_share, "cpu_share_percent", Percent,
        Limit::exact(Percent::new(100)), Percent::new(1) => Percent::new(25_600);
    /// Threads, the first one included.
    Threads threads, "threads", Count,
        Limit::new(Count::new(4)), Count::new(1) => Count::new(4096);
    /// Open file descriptors.
    Fds fds, "fds", Count,
        Limit::new(Count::new(32)), Count::new(16) => Count::new(65_536);
    /// Open sockets to elsewhere.
    Connections connections, "connections", Count,
        Limit::new(Count::new(10)), Count::new(0) => Count::new(65_536);
    /// Bytes in writable places: in `/tmp` and overlays their sum, and of each file.
    Disk disk, "disk_bytes", ByteSize,
        Limit::new(ByteSize::bytes(0)), ByteSize::bytes(0) => ByteSize::mib(1 << 20);
    /// Bytes of log records, stdout and stderr in one minute.
    Log log, "log_bytes_per_minute", ByteSize,
        Limit::new(ByteSize::mib(1)), ByteSize::bytes(0) => ByteSize::mib(1024);
    /// Host calls in one minute.
    Messages messages, "messages_per_minute", Count,
        Limit::new(Count::new(10_000)), Count::new(0) => Count::new(100_000_000);
    /// Denied system calls in one minute.
    Denials denials, "denials_per_minute", Count,
        Limit::new(Count::new(4_000)), Count::new(0) => Count::new(100_000_000);
}

impl LimitName {
    /// Whether the kernel lets a worker as a whole have no more than the hard tier: of fds, disk
    /// and connections it limits each process, place or nothing.
    #[must_use]
    pub fn is_held_by_kernel(self) -> bool {
        matches!(self, Self::Heap | Self::CpuShare | Self::Threads)
    }

    /// What happens at the hard tier, in a word or two.
    #[must_use]
    pub fn at_hard(self) -> &'static str {
        match self {
            Self::Heap => "killed by the kernel",
            Self::CpuShare => "made to wait by the kernel",
            Self::Threads => "refused by the kernel",
            Self::Fds | Self::Disk => "refused by the kernel, and the sum killed",
            Self::Log => "dropped",
            Self::Messages => "refused, and killed far beyond",
            Self::Cpu | Self::Connections | Self::Denials => "killed",
        }
    }
}

impl std::fmt::Display for LimitName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

impl std::str::FromStr for LimitName {
    type Err = OverrideError;

    fn from_str(text: &str) -> Result<Self, OverrideError> {
        let known = Self::ALL.iter().find(|known| known.as_str() == text);
        known.copied().ok_or_else(|| OverrideError::UnknownName {
            name: printable(text),
        })
    }
}

impl<'de> Deserialize<'de> for LimitName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse()
            .map_err(|_| de::Error::unknown_field(&text, Self::NAMES))
    }
}

impl<'de> Deserialize<'de> for LimitRequests {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read::table(deserializer)
    }
}

impl<'de> Deserialize<'de> for LimitSettings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        read::table(deserializer)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use crate::document;

    #[test]
    fn defaults_are_within_range_and_have_headroom() {
        let limits = Limits::default();
        for &name in LimitName::ALL {
            let limit = limits.get(name);
            let (declared, hard) = (limit.declared().raw(), limit.hard().raw());
            assert!(name.range().contains(&declared), "{name}");
            let exact = declared == 0 || name == LimitName::CpuShare;
            assert!(hard > declared || exact, "{name}");
        }
        assert_eq!(limits.heap.hard().to_string(), "62.5 MB");
        assert_eq!(limits.connections.hard(), Count::new(13));
    }

    #[test]
    fn a_request_below_policy_stands_and_brings_its_own_headroom() {
        let requests = LimitRequests {
            heap: Some(ByteSize::mb(40)),
            ..LimitRequests::default()
        };
        let limits = Limits::default().narrowed(&requests).unwrap();
        assert_eq!(
            (limits.heap.declared(), limits.heap.hard()),
            (ByteSize::mb(40), ByteSize::mb(50))
        );
        assert_eq!(limits.cpu, Limits::default().cpu);
    }

    #[test]
    fn every_request_above_policy_is_named() {
        let requests = LimitRequests {
            heap: Some(ByteSize::mb(51)),
            threads: Some(Count::new(5)),
            ..LimitRequests::default()
        };
        let excess = Limits::default().narrowed(&requests).unwrap_err();
        assert_eq!(
            excess.iter().map(|much| much.name).collect::<Vec<_>>(),
            [LimitName::Heap, LimitName::Threads]
        );
    }

    #[test]
    fn requests_out_of_range_or_unknown_are_located() {
        for (text, error) in [
            (
                "heap = \"1kB\"",
                "line 1, column 8: heap: 1 kB is out of range, it must be from 4 MiB to 1 TiB",
            ),
            (
                "threads = 0",
                "line 1, column 11: threads: 0 is out of range, it must be from 1 to 4096",
            ),
            (
                "fds = \"32\"",
                "line 1, column 7: fds: invalid type: string \"32\", expected u64",
            ),
            (
                "heap = 5",
                "line 1, column 8: heap: invalid type: integer `5`, expected a string",
            ),
        ] {
            assert_eq!(
                document::parse::<LimitRequests>(text)
                    .unwrap_err()
                    .to_string(),
                error
            );
        }
        let error = document::parse::<LimitRequests>("heapp = 1")
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("unknown field `heapp`, expected one of `heap`, `cpu`"),
            "{error}"
        );
    }

    #[test]
    fn settings_give_one_tier_or_both() {
        for (text, declared, hard) in [
            ("heap = \"64MiB\"", "64 MiB", "80 MiB"),
            ("heap = { hard = \"80MB\" }", "50 MB", "80 MB"),
            (
                "heap = { declared = \"64MB\", hard = \"64MB\" }",
                "64 MB",
                "64 MB",
            ),
        ] {
            let settings = document::parse::<LimitSettings>(text).unwrap();
            let heap = Limits::default().with(&settings).unwrap().heap;
            assert_eq!(
                (heap.declared().to_string(), heap.hard().to_string()),
                (declared.into(), hard.into())
            );
        }
        let crossed = document::parse::<LimitSettings>("threads = { hard = 2 }").unwrap();
        assert_eq!(
            Limits::default().with(&crossed).unwrap_err().to_string(),
            "limits.threads: hard 2 is below declared 4, raise hard or lower declared"
        );
    }
}
