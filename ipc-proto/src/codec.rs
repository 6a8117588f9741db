//! How one field becomes bytes. The only module that names bincode, so that the encoding can be
//! replaced.

use std::io;

use bincode::config::{self, Configuration, Limit, LittleEndian, Varint};
use bincode::{BorrowDecode, Encode};

use crate::limits::PAYLOAD_BODY;

/// bincode claims up to 8 bytes for a length prefix before it reads one: the slack keeps a body of
/// exactly the limit decodable.
const FIELD_LIMIT: usize = PAYLOAD_BODY + 64;

const CONFIG: Configuration<LittleEndian, Varint, Limit<FIELD_LIMIT>> =
    config::standard().with_limit::<FIELD_LIMIT>();

/// Appends fields to a body, up to a limit.
pub struct Writer<'b> {
    out: &'b mut Vec<u8>,
    room: usize,
}

impl<'b> Writer<'b> {
    /// A writer that appends at most `limit` bytes to `out`.
    pub(crate) fn new(out: &'b mut Vec<u8>, limit: usize) -> Self {
        Self { out, room: limit }
    }

    /// Appends one field. What doesn't fit is not copied.
    pub(crate) fn put(&mut self, field: impl Encode) -> Result<(), WriteError> {
        bincode::encode_into_std_write(field, self, CONFIG)
            .map(drop)
            .map_err(|_| WriteError::Full)
    }

    /// Appends text of at most `limit` bytes.
    pub(crate) fn put_text(&mut self, text: &str, limit: usize) -> Result<(), WriteError> {
        within(text.len(), limit)?;
        self.put(text)
    }

    /// Appends a list of at most `limit` texts.
    pub(crate) fn put_list(&mut self, list: &[&str], limit: usize) -> Result<(), WriteError> {
        within(list.len(), limit)?;
        self.put(list)
    }

    /// Appends bytes as they are, without a length prefix.
    pub(crate) fn put_raw(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        self.room = self.room.checked_sub(bytes.len()).ok_or(WriteError::Full)?;
        self.out.extend_from_slice(bytes);
        Ok(())
    }
}

impl io::Write for Writer<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.put_raw(bytes)
            .map(|()| bytes.len())
            .map_err(|_| io::ErrorKind::FileTooLarge.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Why a body couldn't be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteError {
    /// The body passed its limit.
    Full,
    /// A field passed a limit of its own.
    Field {
        /// Bytes, or elements of a list.
        len: usize,
        /// The most allowed.
        limit: usize,
    },
}

/// Takes fields off a body, in order.
pub struct Reader<'a> {
    body: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(body: &'a [u8]) -> Self {
        Self { body, rest: body }
    }

    /// The next field. Allocates nothing for the borrowed kinds.
    pub(crate) fn get<T: BorrowDecode<'a, ()>>(&mut self) -> Result<T, ReadError> {
        let (field, read) = bincode::borrow_decode_from_slice(self.rest, CONFIG).map_err(|_| {
            ReadError::Malformed {
                offset: self.offset(),
            }
        })?;
        self.rest = &self.rest[read..];
        Ok(field)
    }

    /// The next field as text of at most `limit` bytes.
    pub(crate) fn get_text(&mut self, limit: usize) -> Result<&'a str, ReadError> {
        let text: &str = self.get()?;
        if text.len() > limit {
            return Err(ReadError::Field {
                len: text.len() as u64,
                limit,
            });
        }
        Ok(text)
    }

    /// The next field as a list of at most `limit` texts; the count is checked before the list is
    /// allocated.
    pub(crate) fn get_list(&mut self, limit: usize) -> Result<Vec<&'a str>, ReadError> {
        let len: u64 = self.get()?;
        match usize::try_from(len) {
            Ok(count) if count <= limit => (0..count).map(|_| self.get()).collect(),
            _ => Err(ReadError::Field { len, limit }),
        }
    }

    /// Everything that is left, as it is.
    pub(crate) fn get_raw(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.rest)
    }

    /// Bytes left unread.
    pub(crate) fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// The error for a value that has no meaning, read just now.
    pub(crate) fn malformed(&self) -> ReadError {
        ReadError::Malformed {
            offset: self.offset(),
        }
    }

    fn offset(&self) -> usize {
        self.body.len() - self.rest.len()
    }
}

/// Why a body couldn't be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadError {
    /// What stands at this offset of the body isn't the field expected there.
    Malformed {
        /// Bytes into the body.
        offset: usize,
    },
    /// A field passed a limit of its own.
    Field {
        /// Bytes, or elements of a list.
        len: u64,
        /// The most allowed.
        limit: usize,
    },
}

fn within(len: usize, limit: usize) -> Result<(), WriteError> {
    if len > limit {
        return Err(WriteError::Field { len, limit });
    }
    Ok(())
}
