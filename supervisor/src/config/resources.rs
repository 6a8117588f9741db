//! `[resources]`: what the kernel does where workers compete, beyond their limits.

use serde::{Deserialize, Deserializer};

use super::file::within;
use crate::units::{ByteSize, Percent};

/// What policy sets of it; what it doesn't set the kernel does by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResourceRules {
    /// Memory from which the kernel reclaims and slows a worker down, of heap's hard tier.
    pub memory_high: Option<Percent>,
    /// Share of contended processors, 1 to 10000; the kernel's default is 100.
    pub cpu_weight: Option<u32>,
    /// Share of contended block devices, 1 to 10000; the kernel's default is 100.
    pub io_weight: Option<u32>,
    /// Bytes a second read from each block device behind folders granted for writing.
    pub io_read: Option<ByteSize>,
    /// Bytes a second written to each of them.
    pub io_write: Option<ByteSize>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ResourceSettings {
    #[serde(deserialize_with = "high")]
    memory_high: Option<Percent>,
    #[serde(deserialize_with = "weight")]
    cpu_weight: Option<u32>,
    #[serde(deserialize_with = "weight")]
    io_weight: Option<u32>,
    #[serde(deserialize_with = "rate")]
    io_read: Option<ByteSize>,
    #[serde(deserialize_with = "rate")]
    io_write: Option<ByteSize>,
}

impl ResourceSettings {
    pub(super) fn applied_to(&self, base: ResourceRules) -> ResourceRules {
        ResourceRules {
            memory_high: self.memory_high.or(base.memory_high),
            cpu_weight: self.cpu_weight.or(base.cpu_weight),
            io_weight: self.io_weight.or(base.io_weight),
            io_read: self.io_read.or(base.io_read),
            io_write: self.io_write.or(base.io_write),
        }
    }
}

fn high<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Percent>, D::Error> {
    let share = Percent::deserialize(deserializer)?;
    within(share, Percent::new(10)..=Percent::new(100)).map(Some)
}

fn weight<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    within(u32::deserialize(deserializer)?, 1..=10_000).map(Some)
}

fn rate<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<ByteSize>, D::Error> {
    let rate = ByteSize::deserialize(deserializer)?;
    within(rate, ByteSize::bytes(4096)..=ByteSize::mib(1 << 20)).map(Some)
}
