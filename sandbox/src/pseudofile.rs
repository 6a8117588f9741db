//! Files that the kernel writes as they are read: of procfs and cgroupfs. Their size is 0
//! until then, so nobody asks for it.

use std::io;
use std::os::fd::AsFd;

/// Above every such file of a worker, that of its mounts with many grants included.
const MAX: usize = 4 << 20;

/// The whole text, from where `file` stands. A process chooses the bytes of its own name:
/// what isn't UTF-8 is replaced.
///
/// # Errors
/// The kernel's errno; `EFBIG` beyond 4 MiB.
pub(crate) fn read(file: impl AsFd) -> io::Result<String> {
    let mut bytes = vec![0; 4096];
    let mut length = 0;
    loop {
        match rustix::io::read(&file, &mut bytes[length..]) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(rustix::io::Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        if length == bytes.len() {
            if length >= MAX {
                return Err(io::Error::from_raw_os_error(libc::EFBIG));
            }
            bytes.resize(2 * length, 0);
        }
    }
    bytes.truncate(length);
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    #[test]
    fn file_of_any_length_is_read_whole() {
        for length in [0, 1, 4095, 4096, 4097, 100_000] {
            let file = tempfile::NamedTempFile::new().unwrap();
            let text = "x".repeat(length);
            std::fs::write(file.path(), &text).unwrap();
            assert_eq!(read(File::open(file.path()).unwrap()).unwrap(), text);
        }
    }

    #[test]
    fn endless_file_is_an_error() {
        let error = read(File::open("/dev/zero").unwrap()).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EFBIG));
    }
}
