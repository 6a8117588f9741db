//! Both ends of a sink: writing to one that was received, and offering one that fills a buffer.

use std::marker::PhantomData;
use std::mem::size_of;

use super::{Bytes, Sink, Status, table};

/// A sink that was received, for the time of the call.
#[derive(Debug)]
pub struct Reply<'a> {
    raw: *mut Sink,
    write: unsafe extern "C" fn(*mut Sink, Bytes) -> Status,
    lifetime: PhantomData<&'a mut Sink>,
}

impl Reply<'_> {
    /// Takes a sink from the other side; `None` if it is malformed.
    ///
    /// # Safety
    /// `raw` is null or a sink as the header describes it, used by nobody else during the lifetime
    /// of the result.
    #[must_use]
    pub unsafe fn new(raw: *mut Sink) -> Option<Self> {
        // SAFETY: null, or a table that begins with its true size, by the caller's promise.
        let sink = unsafe { table::read(raw.cast_const()) }?;
        Some(Self {
            raw,
            write: sink.write?,
            lifetime: PhantomData,
        })
    }

    /// Appends a copy of the bytes.
    ///
    /// # Errors
    /// [`Status::TOO_LARGE`] beyond the host's limit; then nothing was appended.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Status> {
        // SAFETY: `raw` is the pointer that was received, alive and ours alone by the promise of
        // `new`; the bytes live until `write` returns, which is all it may use them for.
        match unsafe { (self.write)(self.raw, Bytes::new(bytes)) } {
            Status::OK => Ok(()),
            refused => Err(refused),
        }
    }
}

/// Offers a sink to `fill`, that appends to `buffer` until it holds `limit` bytes.
///
/// The sink is dead once `fill` has returned.
pub fn collect(
    buffer: &mut Vec<u8>,
    limit: usize,
    fill: impl FnOnce(*mut Sink) -> Status,
) -> Status {
    let mut collector = Collector { buffer, limit };
    let mut sink = Sink {
        size: size_of::<Sink>(),
        opaque: (&raw mut collector).cast(),
        write: Some(append),
    };
    fill(&raw mut sink)
}

struct Collector<'a> {
    buffer: &'a mut Vec<u8>,
    limit: usize,
}

unsafe extern "C" fn append(sink: *mut Sink, bytes: Bytes) -> Status {
    // SAFETY: the header demands the sink that was given, within the call: the local of `collect`.
    let Some(sink) = (unsafe { sink.as_ref() }) else {
        return Status::INVALID;
    };
    // SAFETY: `collect` stored its local Collector there, which lives as long as the sink; sinks are
    // used by one thread and `write` does not call back, so this is the only reference.
    let Some(collector) = (unsafe { sink.opaque.cast::<Collector<'_>>().as_mut() }) else {
        return Status::INVALID;
    };
    // SAFETY: the header demands readable bytes for the time of the write.
    let Some(bytes) = (unsafe { bytes.as_slice() }) else {
        return Status::INVALID;
    };
    let room = collector.limit.saturating_sub(collector.buffer.len());
    if bytes.len() > room || collector.buffer.try_reserve(bytes.len()).is_err() {
        return Status::TOO_LARGE;
    }
    collector.buffer.extend_from_slice(bytes);
    Status::OK
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_append_until_the_limit_and_then_nothing() {
        let mut buffer = b"a".to_vec();

        let status = collect(&mut buffer, 4, |sink| {
            // SAFETY: the sink that `collect` offers, used here alone.
            let mut reply = unsafe { Reply::new(sink) }.unwrap();
            assert_eq!(reply.write(b"bcd"), Ok(()));
            assert_eq!(reply.write(b"e"), Err(Status::TOO_LARGE));
            Status::OK
        });

        assert_eq!(
            (status, buffer.as_slice()),
            (Status::OK, b"abcd".as_slice())
        );
    }

    #[test]
    fn null_with_a_length_is_refused() {
        let mut buffer = Vec::new();

        let status = collect(&mut buffer, 4, |sink| {
            // SAFETY: the sink is the one offered; a null pointer with a length is what `append`
            // must refuse without reading.
            unsafe {
                append(
                    sink,
                    Bytes {
                        data: std::ptr::null(),
                        len: 1,
                    },
                )
            }
        });

        assert_eq!(status, Status::INVALID);
    }
}
