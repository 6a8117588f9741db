//! The thread behind a notification, read from outside through procfs while it waits.
//!
//! What memory, stack and mappings say is hostile, and its siblings may change it while it
//! is read: evidence for a person, never a ground for an answer. Every read is bounded. It
//! was this thread's only if [`Listener::is_valid`](super::Listener::is_valid) says `true`
//! afterwards, since the number of a thread that is gone can be another's.
//!
//! A read can take long where the thread mapped a file of a slow file system: this isn't for
//! a thread that others wait for.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;

use rustix::fs::{CWD, Mode, OFlags, openat, readlinkat};
use serde::{Deserialize, Serialize};

use super::describe::Lookup;
use crate::trace::Top;

/// The most bytes of the table of mappings that are looked at.
const MAX_MAPS: u64 = 1 << 20;
/// The most mappings that are kept.
const MAX_MAPPINGS: usize = 512;
/// The most bytes of an fd's target that are kept.
const MAX_TARGET: usize = 256;

/// A thread that waits for the answer to its call.
#[derive(Debug)]
pub struct Caller {
    folder: OwnedFd,
    memory: File,
}

/// A piece of a process's memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mapping {
    /// Its first address.
    pub start: u64,
    /// The first address beyond it.
    pub end: u64,
    /// As procfs writes them: `r-xp`.
    pub permissions: String,
    /// Where in the file it begins.
    pub offset: u64,
    /// The file's path in the process's root, as procfs escapes it, or what else it is; empty
    /// where it is nothing that has a name.
    pub path: String,
}

impl Mapping {
    /// Whether code can be in it.
    #[must_use]
    pub fn is_executable(&self) -> bool {
        self.permissions.as_bytes().get(2) == Some(&b'x')
    }

    /// Whether an address lies in it.
    #[must_use]
    pub fn holds(&self, address: u64) -> bool {
        (self.start..self.end).contains(&address)
    }
}

impl Caller {
    /// Opens the thread's files. They stay this thread's, also when its number is reused.
    ///
    /// # Errors
    /// `EPERM` or `EACCES` without the right to trace it; `ENOENT` or `ESRCH` once it is gone,
    /// and for a thread that this pid namespace doesn't show (0).
    pub fn open(tid: u32) -> io::Result<Caller> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = openat(CWD, format!("/proc/{tid}"), flags, Mode::empty())?;
        let memory = open(&folder, "mem")?;
        Ok(Caller { folder, memory })
    }

    /// Its stack pointer at the call.
    ///
    /// # Errors
    /// `WouldBlock` where it isn't asleep yet; what reading `/proc/TID/syscall` gives.
    pub fn stack_pointer(&self) -> io::Result<u64> {
        // Number and arguments of the call, stack pointer, instruction pointer
        // (proc_pid_syscall(5)); or the word `running`.
        self.top().map(|top| top.sp)
    }

    /// Where it is: stack pointer and instruction pointer, of a thread that is asleep or stopped.
    ///
    /// # Errors
    /// As [`stack_pointer`](Self::stack_pointer).
    pub fn top(&self) -> io::Result<Top> {
        let fields = self.syscall()?;
        let mut last = fields.split_whitespace().rev().map(hexadecimal);
        match (last.next().flatten(), last.next().flatten()) {
            (Some(ip), Some(sp)) => Ok(Top { ip, sp }),
            _ => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    /// The name that the thread gave itself; hostile bytes.
    ///
    /// # Errors
    /// What reading `/proc/TID/comm` gives.
    pub fn name(&self) -> io::Result<Vec<u8>> {
        let mut name = Vec::new();
        open(&self.folder, "comm")?
            .take(64)
            .read_to_end(&mut name)?;
        Ok(name.trim_ascii_end().to_owned())
    }

    /// Its executable mappings of files below `folder`, the first 512.
    ///
    /// # Errors
    /// What reading `/proc/TID/maps` gives.
    pub fn code_below(&self, folder: &str) -> io::Result<Vec<Mapping>> {
        self.mappings_that(|mapping| {
            let below = mapping.path.strip_prefix(folder);
            mapping.is_executable() && below.is_some_and(|rest| rest.starts_with('/'))
        })
    }

    /// What is mapped; the first 512 of those that have a name or code, or hold `address`.
    ///
    /// # Errors
    /// What reading `/proc/TID/maps` gives.
    pub fn mappings(&self, address: u64) -> io::Result<Vec<Mapping>> {
        self.mappings_that(|mapping| {
            mapping.is_executable() || !mapping.path.is_empty() || mapping.holds(address)
        })
    }

    fn mappings_that(&self, wanted: impl Fn(&Mapping) -> bool) -> io::Result<Vec<Mapping>> {
        let maps = BufReader::new(open(&self.folder, "maps")?.take(MAX_MAPS));
        let mut mappings = Vec::new();
        for line in maps.split(b'\n') {
            // The last one is cut where the table is longer.
            let Some(mapping) = parse(&String::from_utf8_lossy(&line?)) else {
                continue;
            };
            if wanted(&mapping) {
                mappings.push(mapping);
            }
            if mappings.len() == MAX_MAPPINGS {
                break;
            }
        }
        Ok(mappings)
    }

    fn syscall(&self) -> io::Result<String> {
        let mut text = String::new();
        open(&self.folder, "syscall")?
            .take(512)
            .read_to_string(&mut text)?;
        Ok(text)
    }
}

fn hexadecimal(field: &str) -> Option<u64> {
    u64::from_str_radix(field.strip_prefix("0x")?, 16).ok()
}

impl Lookup for Caller {
    fn read(&self, address: u64, buffer: &mut [u8]) -> usize {
        // Stops at the first page that isn't there.
        self.memory.read_at(buffer, address).unwrap_or(0)
    }

    fn fd(&self, fd: i32) -> Option<Vec<u8>> {
        let target = readlinkat(&self.folder, format!("fd/{fd}"), Vec::new()).ok()?;
        let mut target = target.into_bytes();
        target.truncate(MAX_TARGET);
        Some(target)
    }
}

fn open(folder: &OwnedFd, name: &str) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    Ok(openat(folder, name, flags, Mode::empty())?.into())
}

/// A line of proc_pid_maps(5).
fn parse(line: &str) -> Option<Mapping> {
    let mut fields = line.splitn(6, ' ');
    let (start, end) = fields.next()?.split_once('-')?;
    let permissions = fields.next().filter(|four| four.len() == 4)?;
    let offset = fields.next()?;
    let path = fields.nth(2)?.trim_start();
    let number = |digits| u64::from_str_radix(digits, 16).ok();
    Some(Mapping {
        start: number(start)?,
        end: number(end)?,
        permissions: permissions.to_owned(),
        offset: number(offset)?,
        path: path.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn me() -> Caller {
        Caller::open(rustix::thread::gettid().as_raw_nonzero().get() as u32).unwrap()
    }

    #[test]
    fn memory_is_read_as_far_as_it_is_mapped() {
        let text = b"seen from outside";
        let mut buffer = [0; 17];

        let read = me().read(text.as_ptr() as u64, &mut buffer);

        assert_eq!((read, &buffer), (17, text));
        for nowhere in [0, 1, u64::MAX, 1 << 63] {
            assert_eq!(me().read(nowhere, &mut buffer), 0);
        }
    }

    #[test]
    fn fds_are_what_they_link_to() {
        let file = File::open("/dev/null").unwrap();
        let fd = std::os::fd::AsRawFd::as_raw_fd(&file);

        assert_eq!(me().fd(fd).unwrap(), b"/dev/null");
        assert_eq!(me().fd(-1), None);
    }

    #[test]
    fn code_of_this_program_is_found_below_its_folder_alone() {
        let program = std::env::current_exe().unwrap();
        let folder = program.parent().unwrap().to_str().unwrap();
        let here = code_of_this_program_is_found_below_its_folder_alone as *const () as u64;

        let code = me().code_below(folder).unwrap();
        let none = me().code_below(&folder[..folder.len() - 1]).unwrap();

        assert!(
            code.iter()
                .any(|mapping| (mapping.start..mapping.end).contains(&here)),
            "{code:?}"
        );
        assert_eq!(none, []);
    }

    #[test]
    fn lines_of_mappings() {
        let line = "7f00-7f01 r-xp 00001000 00:1d 5 /plugin/plugin.so";
        let mapping = parse(line).unwrap();
        assert_eq!((mapping.start, mapping.end), (0x7f00, 0x7f01));
        assert_eq!(
            (mapping.offset, &*mapping.path),
            (0x1000, "/plugin/plugin.so")
        );
        assert!(mapping.is_executable());
        let data = parse("7f00-7f01 rw-p 00000000 00:00 0 ").unwrap();
        assert!(!data.is_executable() && data.path.is_empty());
        for other in [
            "7f00-7f01 rx 00001000 00:1d 5 /plugin/plugin.so",
            "7f00-7f01 r-xp 00001",
            "7f00-7f01",
            "",
        ] {
            assert_eq!(parse(other), None, "{other}");
        }
    }

    #[test]
    fn stack_pointer_of_a_thread_that_waits() {
        let (tell, told) = std::sync::mpsc::channel();
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || {
            let local = 0u8;
            tell.send((rustix::thread::gettid(), &raw const local as u64))
                .unwrap();
            ended.recv().ok();
        });
        let (tid, local) = told.recv().unwrap();
        let waiting = Caller::open(tid.as_raw_nonzero().get() as u32).unwrap();
        let pointer = loop {
            match waiting.stack_pointer() {
                Ok(pointer) => break pointer,
                Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
            }
        };

        assert!(
            (pointer..pointer + (64 << 10)).contains(&local),
            "{pointer:#x} {local:#x}"
        );
        end.send(()).unwrap();
        thread.join().unwrap();
    }

    #[test]
    fn thread_that_is_none_cannot_be_opened() {
        let error = Caller::open(0).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
