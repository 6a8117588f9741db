//! The version of the plugin ABI (`cordon_plugin.h`).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize, Serializer};
use thiserror::Error;

use crate::document::printable;

/// A version of the plugin ABI. Plugin and host agree if their majors are equal: tables only grow
/// at their end, and each side uses no more of them than both have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct AbiVersion {
    /// Changes when a plugin must be rebuilt.
    pub major: u16,
    /// Changes when something was added.
    pub minor: u16,
}

/// The ABI that this host speaks.
pub const HOST_ABI: AbiVersion = AbiVersion { major: 1, minor: 0 };

/// A plugin and a host that can't work together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("built for plugin ABI {plugin}, this host speaks {host}: {}", if plugin.major > host.major { "update Cordon" } else { "rebuild the plugin" })]
pub struct AbiMismatch {
    /// The plugin's version.
    pub plugin: AbiVersion,
    /// The host's version.
    pub host: AbiVersion,
}

/// A text that is no ABI version.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("\"{text}\" is no ABI version, write it like \"{HOST_ABI}\"")]
pub struct AbiVersionError {
    text: String,
}

impl AbiVersion {
    /// Checks that `host` can run a plugin built for this version.
    pub fn check(self, host: Self) -> Result<(), AbiMismatch> {
        if self.major == host.major {
            Ok(())
        } else {
            Err(AbiMismatch { plugin: self, host })
        }
    }

    /// From the form of the C header: major in the high half, minor in the low one.
    pub const fn from_packed(packed: u32) -> Self {
        Self {
            major: (packed >> 16) as u16,
            minor: packed as u16,
        }
    }
}

impl FromStr for AbiVersion {
    type Err = AbiVersionError;

    fn from_str(text: &str) -> Result<Self, AbiVersionError> {
        let number = |part: &str| {
            part.bytes()
                .all(|c| c.is_ascii_digit())
                .then(|| part.parse().ok())
                .flatten()
        };
        text.split_once('.')
            .and_then(|(major, minor)| {
                Some(Self {
                    major: number(major)?,
                    minor: number(minor)?,
                })
            })
            .ok_or_else(|| AbiVersionError {
                text: printable(text),
            })
    }
}

impl TryFrom<String> for AbiVersion {
    type Error = AbiVersionError;

    fn try_from(text: String) -> Result<Self, AbiVersionError> {
        text.parse()
    }
}

impl fmt::Display for AbiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl Serialize for AbiVersion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;

    #[test]
    fn versions_parse_strictly() {
        assert_eq!("1.7".parse(), Ok(AbiVersion { major: 1, minor: 7 }));
        for bad in ["", "1", "1.", ".1", "1.0.0", "+1.0", "1.x", "1.70000"] {
            assert!(bad.parse::<AbiVersion>().is_err(), "{bad}");
        }
        assert_eq!(
            AbiVersion::from_packed(0x0002_0003),
            AbiVersion { major: 2, minor: 3 }
        );
    }

    #[test]
    fn another_major_is_refused_naming_both() {
        let plugin = AbiVersion { major: 2, minor: 0 };
        assert_eq!(
            plugin.check(HOST_ABI).unwrap_err().to_string(),
            "built for plugin ABI 2.0, this host speaks 1.0: update Cordon"
        );
        assert_eq!(AbiVersion { major: 1, minor: 9 }.check(HOST_ABI), Ok(()));
    }
}
