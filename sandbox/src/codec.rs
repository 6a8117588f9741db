//! How plans, requests and answers travel between our own processes.
//!
//! Both ends are trusted code of one version, but the launcher must survive a
//! captured supervisor: decoding is bounded, and trailing bytes are an error.

use serde::{Serialize, de::DeserializeOwned};

/// The largest message, well below what a SEQPACKET socket carries by default.
pub const MAX_MESSAGE: usize = 128 * 1024;

/// A message that can't be encoded or decoded.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// Longer than [`MAX_MESSAGE`].
    #[error("message of {0} bytes, at most {MAX_MESSAGE} are allowed")]
    TooLong(usize),
    /// Not what this version writes.
    #[error("malformed message: {0}")]
    Malformed(String),
}

fn config() -> impl bincode::config::Config {
    bincode::config::standard().with_limit::<MAX_MESSAGE>()
}

/// Encodes one message.
///
/// # Errors
/// [`CodecError::TooLong`].
pub fn encode(message: &impl Serialize) -> Result<Vec<u8>, CodecError> {
    let bytes = bincode::serde::encode_to_vec(message, config())
        .map_err(|error| CodecError::Malformed(error.to_string()))?;
    if bytes.len() > MAX_MESSAGE {
        return Err(CodecError::TooLong(bytes.len()));
    }
    Ok(bytes)
}

/// Decodes one message that fills `bytes` exactly.
///
/// # Errors
/// [`CodecError`], for any bytes that `encode` doesn't produce.
pub fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CodecError> {
    let (message, used) = bincode::serde::decode_from_slice(bytes, config())
        .map_err(|error| CodecError::Malformed(error.to_string()))?;
    if used != bytes.len() {
        return Err(CodecError::Malformed(format!(
            "{} trailing bytes",
            bytes.len() - used
        )));
    }
    Ok(message)
}
