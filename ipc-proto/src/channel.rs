//! Blocking halves of a connection over any `Read` and `Write`.

use std::io::{self, Read, Write};
use std::time::Duration;

use thiserror::Error;

use crate::decoder::Decoder;
use crate::frame::{DecodeError, EncodeError, Frame, encode};
use crate::limits::RETAINED_BUFFER;
use crate::message::{Direction, Message};

/// Receives frames of one direction.
#[derive(Debug)]
pub struct Receiver<R, D> {
    source: R,
    decoder: Decoder<D>,
}

impl<R, D: Direction> Receiver<R, D> {
    /// A receiver that reads from `source`.
    pub fn new(source: R) -> Self {
        Self {
            source,
            decoder: Decoder::new(),
        }
    }

    /// A frame that has already come, without reading.
    ///
    /// # Errors
    /// [`DecodeError`] when the peer broke the protocol.
    pub fn buffered(&mut self) -> Result<Option<Frame<'_, D>>, DecodeError> {
        self.decoder.next_frame()
    }

    /// Reads once with `read`, and returns what it returned: the number of bytes, 0 at the end.
    /// Take all [`buffered`](Self::buffered) frames first.
    ///
    /// # Errors
    /// What `read` returned, and [`RecvError::Truncated`] at an end within a frame.
    pub fn fill_with(
        &mut self,
        read: impl FnOnce(&mut R, &mut [u8]) -> io::Result<usize>,
    ) -> Result<usize, RecvError> {
        let count = read(&mut self.source, self.decoder.spare())?;
        self.decoder.filled(count);
        match (count, self.decoder.buffered()) {
            (0, missing) if missing > 0 => Err(RecvError::Truncated),
            _ => Ok(count),
        }
    }
}

impl<R: Read, D: Direction> Receiver<R, D> {
    /// Waits for the next frame; `None` when the peer closed between two frames.
    ///
    /// # Errors
    /// [`RecvError`].
    pub fn recv(&mut self) -> Result<Option<Frame<'_, D>>, RecvError> {
        while !self.decoder.has_frame()? {
            if self.fill()? == 0 {
                return Ok(None);
            }
        }
        Ok(self.decoder.next_frame()?)
    }

    /// Waits for bytes and returns how many came, 0 at the end. An interrupted read is repeated.
    ///
    /// # Errors
    /// [`RecvError`].
    pub fn fill(&mut self) -> Result<usize, RecvError> {
        loop {
            match self.fill_with(Read::read) {
                Err(RecvError::Io(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                outcome => return outcome,
            }
        }
    }
}

/// Why nothing more can be received.
#[derive(Debug, Error)]
pub enum RecvError {
    /// The read failed.
    #[error("cannot read from the peer: {0}")]
    Io(#[from] io::Error),
    /// The peer broke the protocol.
    #[error("the peer broke the protocol: {0}")]
    Decode(#[from] DecodeError),
    /// The peer closed within a frame.
    #[error("the peer closed the connection within a frame")]
    Truncated,
}

/// Sends messages, several with one write if wanted.
#[derive(Debug)]
pub struct Sender<W> {
    sink: W,
    out: Vec<u8>,
}

impl<W: Write> Sender<W> {
    /// A sender that writes to `sink`.
    pub fn new(sink: W) -> Self {
        Self {
            sink,
            out: Vec::new(),
        }
    }

    /// Encodes a message behind those already queued. Parameters as of [`encode`].
    ///
    /// # Errors
    /// [`EncodeError`]; the queue is then unchanged.
    pub fn queue<M: Message>(
        &mut self,
        message: &M,
        call: u64,
        deadline: Option<Duration>,
    ) -> Result<(), EncodeError> {
        encode(message, call, deadline, &mut self.out)
    }

    /// Bytes queued and not yet written.
    pub fn queued(&self) -> usize {
        self.out.len()
    }

    /// Writes what is queued.
    ///
    /// # Errors
    /// The write's; the connection is then useless, since part of a frame may be out.
    pub fn flush(&mut self) -> io::Result<()> {
        if self.out.is_empty() {
            return Ok(());
        }
        self.sink.write_all(&self.out)?;
        self.sink.flush()?;
        self.out.clear();
        self.out.shrink_to(RETAINED_BUFFER);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Downstream, ToWorker};

    /// Gives its bytes in pieces of one length, then ends.
    struct Pieces<'a>(&'a [u8], usize);

    impl Read for Pieces<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let count = self.1.min(self.0.len()).min(buffer.len());
            buffer[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    fn two_frames() -> Vec<u8> {
        let mut wire = Vec::new();
        let mut sender = Sender::new(&mut wire);
        sender.queue(&ToWorker::Health, 1, None).unwrap();
        sender
            .queue(&ToWorker::Create { config: b"x" }, 2, None)
            .unwrap();
        assert_eq!(sender.queued(), 24 + 26);
        sender.flush().unwrap();
        assert_eq!(sender.queued(), 0);
        wire
    }

    #[test]
    fn what_one_half_sends_the_other_receives_then_sees_the_end() {
        let wire = two_frames();
        let mut receiver = Receiver::<_, Downstream>::new(Pieces(&wire, 7));

        assert_eq!(receiver.recv().unwrap().unwrap().message, ToWorker::Health);
        assert_eq!(receiver.recv().unwrap().unwrap().call, 2);
        assert!(receiver.recv().unwrap().is_none());
    }

    #[test]
    fn an_end_within_a_frame_is_truncated() {
        let wire = two_frames();
        let mut receiver = Receiver::<_, Downstream>::new(Pieces(&wire[..30], 100));

        assert!(receiver.recv().unwrap().is_some());
        assert!(matches!(receiver.recv(), Err(RecvError::Truncated)));
    }

    #[test]
    fn a_broken_frame_is_the_peers_fault() {
        let mut receiver = Receiver::<_, Downstream>::new(Pieces(&[0xff; 64], 64));

        assert!(matches!(receiver.recv(), Err(RecvError::Decode(_))));
    }
}
