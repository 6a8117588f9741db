//! The handshake: both sides send a [`Hello`] as their first frame and check the other's.

use thiserror::Error;

/// First bytes of every [`Hello`].
pub const MAGIC: [u8; 8] = *b"CORDONIP";

/// Version of the wire that this crate speaks. Independent of the plugin ABI's.
pub const WIRE_VERSION: u16 = 2;

/// Feature bits that this crate knows.
pub const FEATURES: u64 = 0;

/// Length of an encoded [`Hello`].
pub const HELLO_LEN: usize = 18;

/// What each side says of itself before anything else.
///
/// *Invariant:* its layout (magic, `u16` version, `u64` features, little-endian, no codec) never
/// changes, or two versions could not tell each other apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hello {
    /// [`MAGIC`] when the peer is one of ours.
    pub magic: [u8; 8],
    /// Wire version that the sender speaks.
    pub version: u16,
    /// Feature bits that the sender offers. Bits that the receiver doesn't know mean nothing.
    pub features: u64,
}

impl Hello {
    /// The hello of this build.
    pub const OURS: Self = Self {
        magic: MAGIC,
        version: WIRE_VERSION,
        features: FEATURES,
    };

    /// Checks a peer's hello against this build and returns the features that both sides have.
    ///
    /// # Errors
    /// [`HandshakeError`] when the peer isn't Cordon or speaks another wire version.
    pub fn check(&self) -> Result<u64, HandshakeError> {
        if self.magic != MAGIC {
            return Err(HandshakeError::Magic { found: self.magic });
        }
        if self.version != WIRE_VERSION {
            return Err(HandshakeError::Version {
                ours: WIRE_VERSION,
                theirs: self.version,
            });
        }
        Ok(self.features & FEATURES)
    }

    pub(crate) fn to_bytes(self) -> [u8; HELLO_LEN] {
        let mut bytes = [0; HELLO_LEN];
        bytes[..8].copy_from_slice(&self.magic);
        bytes[8..10].copy_from_slice(&self.version.to_le_bytes());
        bytes[10..].copy_from_slice(&self.features.to_le_bytes());
        bytes
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        if bytes.len() != HELLO_LEN {
            return None;
        }
        let (magic, rest) = bytes.split_first_chunk()?;
        let (version, rest) = rest.split_first_chunk()?;
        let (features, _) = rest.split_first_chunk()?;
        Some(Self {
            magic: *magic,
            version: u16::from_le_bytes(*version),
            features: u64::from_le_bytes(*features),
        })
    }
}

/// Why a peer's [`Hello`] was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum HandshakeError {
    /// The first bytes are not [`MAGIC`].
    #[error("the peer is not Cordon: its hello starts with {found:02x?}")]
    Magic {
        /// What came in the magic's place.
        found: [u8; 8],
    },
    /// The peer speaks another version of the wire.
    #[error(
        "the peer speaks wire version {theirs}, this side {ours}: \
         install supervisor and cordon-worker of one release"
    )]
    Version {
        /// Version of this build.
        ours: u16,
        /// Version of the peer.
        theirs: u16,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layout_is_magic_version_features_little_endian() {
        let hello = Hello {
            magic: MAGIC,
            version: 0x0102,
            features: 0x0807_0605_0403_0201,
        };

        let bytes = hello.to_bytes();

        assert_eq!(&bytes, b"CORDONIP\x02\x01\x01\x02\x03\x04\x05\x06\x07\x08");
        assert_eq!(Hello::from_bytes(&bytes), Some(hello));
    }

    #[test]
    fn a_hello_of_another_length_is_none() {
        let bytes = Hello::OURS.to_bytes();

        assert_eq!(Hello::from_bytes(&bytes[..17]), None);
        assert_eq!(Hello::from_bytes(&[&bytes[..], &[0]].concat()), None);
    }

    #[test]
    fn unknown_features_are_ignored() {
        let hello = Hello {
            features: u64::MAX,
            ..Hello::OURS
        };

        assert_eq!(hello.check(), Ok(FEATURES));
    }

    #[test]
    fn another_version_names_both() {
        let hello = Hello {
            version: 7,
            ..Hello::OURS
        };

        let error = hello.check().unwrap_err();

        assert_eq!(error, HandshakeError::Version { ours: 2, theirs: 7 });
        assert!(error.to_string().contains("wire version 7, this side 2"));
    }

    #[test]
    fn another_magic_is_not_cordon() {
        let hello = Hello {
            magic: *b"HTTP/1.1",
            version: 7,
            ..Hello::OURS
        };

        assert_eq!(
            hello.check(),
            Err(HandshakeError::Magic {
                found: *b"HTTP/1.1"
            })
        );
    }
}
