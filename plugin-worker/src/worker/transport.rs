//! Reading with and without waiting.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};

use rustix::net::RecvFlags;

/// A source that can also be asked what is already there.
pub(super) trait Source: Read {
    /// Reads what has come; [`io::ErrorKind::WouldBlock`] if nothing has.
    fn read_ready(&mut self, buffer: &mut [u8]) -> io::Result<usize>;
}

/// Both halves of the supervisor's socket.
#[derive(Debug, Clone, Copy)]
pub(super) struct Socket<'fd>(BorrowedFd<'fd>);

impl<'fd> Socket<'fd> {
    pub(super) fn new(fd: &'fd impl AsFd) -> Self {
        Self(fd.as_fd())
    }
}

impl Read for Socket<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::io::read(self.0, buffer)?)
    }
}

impl Source for Socket<'_> {
    fn read_ready(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (count, _) = rustix::net::recv(self.0, buffer, RecvFlags::DONTWAIT)?;
        Ok(count)
    }
}

impl Write for Socket<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::io::write(self.0, bytes)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_read_that_does_not_wait_tells_nothing_bytes_and_the_end_apart() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut socket = Socket::new(&ours);
        let mut buffer = [0; 8];

        let nothing = socket.read_ready(&mut buffer).unwrap_err();
        theirs.write_all(b"abc").unwrap();
        let bytes = socket.read_ready(&mut buffer).unwrap();
        drop(theirs);
        let end = socket.read_ready(&mut buffer).unwrap();

        assert_eq!(nothing.kind(), io::ErrorKind::WouldBlock);
        assert_eq!((bytes, end), (3, 0));
        assert_eq!(socket.read(&mut buffer).unwrap(), 0);
    }
}
