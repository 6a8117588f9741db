//! A process in `/proc`, by files that stay open: they are that process's, whoever gets its
//! pid afterwards. See proc_pid(5).

use std::collections::BTreeSet;
use std::ffi::CString;
use std::fs::File;
use std::io;
use std::ops::Add;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;

use rustix::fs::{AtFlags, CWD, Dir, Mode, OFlags, StatxFlags, openat, readlinkat, statx};

/// Bytes of every file read here; the longest, `net/sockstat`, has below 200.
const BUFFER: usize = 512;

/// What is read of a process again and again, without allocating.
#[derive(Debug)]
pub(super) struct Process {
    fds: OwnedFd,
    /// Nothing in a kernel that doesn't count it (CONFIG_TASK_IO_ACCOUNTING).
    io: Option<File>,
    /// Where its network is its own and granted: `sockstat` and `sockstat6`, if there is IPv6.
    sockets: Vec<File>,
}

/// What a process read from and wrote to storage.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Transferred {
    pub(super) read: u64,
    pub(super) written: u64,
}

impl Add for Transferred {
    type Output = Transferred;

    fn add(self, other: Transferred) -> Transferred {
        Transferred {
            read: self.read + other.read,
            written: self.written + other.written,
        }
    }
}

impl Process {
    /// Opens them. Only valid if the process's pidfd is alive afterwards.
    pub(super) fn open(pid: u32) -> io::Result<Process> {
        Self::open_with(pid, &[])
    }

    /// As [`open`](Self::open), to count the connections of its network namespace too.
    pub(super) fn open_with_network(pid: u32) -> io::Result<Process> {
        // A kernel may be without IPv6.
        Self::open_with(pid, &["net/sockstat", "net/sockstat6"])
    }

    fn open_with(pid: u32, sockets: &[&str]) -> io::Result<Process> {
        let folder = openat(CWD, format!("/proc/{pid}"), FOLDER, Mode::empty())?;
        let sockets: Vec<_> = sockets
            .iter()
            .map(|name| file(&folder, name))
            .collect::<Result<_, _>>()?;
        Ok(Process {
            fds: openat(&folder, "fd", FOLDER, Mode::empty())?,
            io: file(&folder, "io")?,
            sockets: sockets.into_iter().flatten().collect(),
        })
    }

    /// How many files it has open: the size of the folder (Linux 6.2). A main thread that
    /// ended has none, and the others live on with them.
    pub(super) fn open_fds(&self) -> io::Result<u64> {
        match statx(&self.fds, "", AtFlags::EMPTY_PATH, StatxFlags::SIZE)?.stx_size {
            0 => Ok(self.fd_links()?.len() as u64),
            count => Ok(count),
        }
    }

    /// What it read from and wrote to storage: the same on every host, where the group's own
    /// figures (`io.stat`) take a controller that is seldom delegated, count stacked devices
    /// twice, and on v1 miss what is written back later. Children that were reaped are part
    /// of their parent's.
    pub(super) fn transferred(&self) -> io::Result<Option<Transferred>> {
        let Some(io) = &self.io else { return Ok(None) };
        let mut buffer = [0; BUFFER];
        let text = text(io, &mut buffer)?;
        let number = |key: &str| {
            let mut lines = text.lines();
            let value = lines.find_map(|line| line.strip_prefix(key)?.strip_prefix(": "));
            value.and_then(|value| value.parse().ok()).unwrap_or(0)
        };
        // What it wrote and truncated before it reached storage counts as well: it tried.
        Ok(Some(Transferred {
            read: number("read_bytes"),
            written: number("write_bytes"),
        }))
    }

    /// Sockets of its own network namespace that are connected, or listen: TCP, UDP and raw.
    pub(super) fn connections(&self) -> io::Result<u64> {
        let mut buffer = [0; BUFFER];
        self.sockets
            .iter()
            .map(|file| Ok(in_use(text(file, &mut buffer)?)))
            .sum()
    }

    /// Its open sockets, by inode.
    pub(super) fn sockets(&self) -> io::Result<BTreeSet<u64>> {
        let inode = |link: &CString| {
            let link = link.to_str().ok()?.strip_prefix("socket:[")?;
            link.strip_suffix(']')?.parse().ok()
        };
        Ok(self.fd_links()?.iter().filter_map(inode).collect())
    }

    /// What its open files are: of the first thread that has any, since those that
    /// live have the same.
    fn fd_links(&self) -> io::Result<Vec<CString>> {
        let threads = openat(&self.fds, "../task", FOLDER, Mode::empty())?;
        for thread in names(&threads)? {
            let folder = format!("{}/fd", thread.to_string_lossy());
            // One that ended meanwhile has none.
            let Ok(folder) = openat(&threads, folder, FOLDER, Mode::empty()) else {
                continue;
            };
            let links: Vec<_> = names(&folder)
                .into_iter()
                .flatten()
                .filter_map(|fd| readlinkat(&folder, fd, Vec::new()).ok())
                .collect();
            if !links.is_empty() {
                return Ok(links);
            }
        }
        Ok(Vec::new())
    }
}

fn names(folder: &OwnedFd) -> io::Result<impl Iterator<Item = CString>> {
    // What is held by path alone can't be listed.
    let listed = openat(folder, ".", OFlags::DIRECTORY.union(FILE), Mode::empty())?;
    let names = Dir::new(listed)?.filter_map(|entry| Some(entry.ok()?.file_name().to_owned()));
    Ok(names.filter(|name| !name.to_bytes().starts_with(b".")))
}

/// A file that not every kernel has.
fn file(folder: &OwnedFd, name: &str) -> io::Result<Option<File>> {
    match openat(folder, name, FILE, Mode::empty()) {
        Ok(file) => Ok(Some(File::from(file))),
        Err(rustix::io::Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

/// The sum of `inuse` over the protocols of a `sockstat` file.
fn in_use(text: &str) -> u64 {
    let of_line = |line: &str| {
        let (protocol, rest) = line.split_once(": ")?;
        let counted = ["TCP", "UDP", "UDPLITE", "RAW"].contains(&protocol.trim_end_matches('6'));
        let number = rest.strip_prefix("inuse ")?.split(' ').next()?;
        number.parse::<u64>().ok().filter(|_| counted)
    };
    text.lines().filter_map(of_line).sum()
}

fn text<'buffer>(file: &File, buffer: &'buffer mut [u8]) -> io::Result<&'buffer str> {
    let length = file.read_at(buffer, 0)?;
    std::str::from_utf8(&buffer[..length]).map_err(io::Error::other)
}

const FOLDER: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
const FILE: OFlags = OFlags::RDONLY.union(OFlags::CLOEXEC);

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn sockets_in_use_are_summed_over_protocols() {
        let v4 = "sockets: used 9\nTCP: inuse 3 orphan 0 tw 7 alloc 4 mem 1\nUDP: inuse 2 mem 0\n\
                  UDPLITE: inuse 0\nRAW: inuse 1\nFRAG: inuse 5 memory 0\n";
        let v6 = "TCP6: inuse 1\nUDP6: inuse 0\nUDPLITE6: inuse 0\nRAW6: inuse 0\nFRAG6: inuse 2 memory 0\n";
        assert_eq!((in_use(v4), in_use(v6)), (6, 1));
    }

    #[test]
    fn own_files_are_read() {
        let process = Process::open(std::process::id()).unwrap();
        let one_more = File::open("/dev/null").unwrap();
        let before = process.open_fds().unwrap();
        drop(one_more);
        assert!(process.open_fds().unwrap() < before);
        process.transferred().unwrap();
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        assert!(!process.sockets().unwrap().is_empty());
        drop(socket);
    }
}
