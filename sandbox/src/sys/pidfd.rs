//! What a pidfd tells of its process after the process is gone.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use rustix::process::{Signal, WaitId, WaitIdOptions, pidfd_send_signal, waitid};

/// `struct pidfd_info`, version 1 (72 bytes, Linux 6.16); older kernels, which know version
/// 0 (64 bytes, Linux 6.13), leave the rest as it is.
#[repr(C)]
#[derive(Default)]
struct PidfdInfo {
    mask: u64,
    cgroupid: u64,
    pid: u32,
    tgid: u32,
    ppid: u32,
    ruid: u32,
    rgid: u32,
    euid: u32,
    egid: u32,
    suid: u32,
    sgid: u32,
    fsuid: u32,
    fsgid: u32,
    exit_code: i32,
    coredump_mask: u32,
    spare: u32,
}

const PIDFD_INFO_PID: u64 = 1 << 0;
const PIDFD_INFO_EXIT: u64 = 1 << 3;
const PIDFD_INFO_COREDUMP: u64 = 1 << 4;
/// In `coredump_mask`: undumpable, with a core pattern of any kind.
const PIDFD_COREDUMP_SKIP: u32 = 1 << 1;
/// `_IOWR(0xff, 11, struct pidfd_info)`.
const PIDFD_GET_INFO: libc::c_ulong =
    (3 << 30) | ((size_of::<PidfdInfo>() as libc::c_ulong) << 16) | (0xff << 8) | 11;

/// Kills a child and reaps it.
pub(crate) fn kill_and_reap(child: BorrowedFd<'_>) {
    // A child that is dead already is reaped all the same.
    let _ = pidfd_send_signal(child, Signal::KILL);
    let _ = waitid(WaitId::PidFd(child), WaitIdOptions::EXITED);
}

/// How the process ended, whoever reaped it: `None` while it isn't reaped yet, and on
/// Linux 6.13 and 6.14, which know the request and keep no exit status.
///
/// # Errors
/// `ENOTTY`, or `EINVAL`, on kernels before 6.13.
pub fn exit_status(pidfd: impl AsFd) -> io::Result<Option<ExitStatus>> {
    match info(pidfd, PIDFD_INFO_EXIT) {
        Ok(info) if info.mask & PIDFD_INFO_EXIT != 0 => {
            Ok(Some(ExitStatus::from_raw(info.exit_code)))
        }
        Ok(_) => Ok(None),
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether the process is undumpable (PR_SET_DUMPABLE(2const)); `None` where the kernel
/// doesn't tell, before Linux 6.16 and of a process whose main thread has ended.
///
/// # Errors
/// `ESRCH` once the process is gone.
pub fn undumpable(pidfd: impl AsFd) -> io::Result<Option<bool>> {
    match info(pidfd, PIDFD_INFO_COREDUMP) {
        // Of memory that is there exactly one bit says how it may be dumped.
        Ok(info) if info.mask & PIDFD_INFO_COREDUMP != 0 && info.coredump_mask != 0 => {
            Ok(Some(info.coredump_mask & PIDFD_COREDUMP_SKIP != 0))
        }
        Ok(_) => Ok(None),
        Err(error) if is_unknown(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

fn info(pidfd: impl AsFd, mask: u64) -> io::Result<PidfdInfo> {
    let mut info = PidfdInfo {
        mask,
        ..PidfdInfo::default()
    };
    // SAFETY: the request encodes the size of `info`, which the kernel fills at most.
    let result = unsafe { libc::ioctl(pidfd.as_fd().as_raw_fd(), PIDFD_GET_INFO, &raw mut info) };
    if result == 0 {
        Ok(info)
    } else {
        Err(io::Error::last_os_error())
    }
}

/// The pid behind a pidfd as this process's `/proc` counts it; valid only for as
/// long as the process lives.
///
/// # Errors
/// What reading `/proc/self/fdinfo` gives, or `ESRCH` once the process is gone.
pub fn pid(pidfd: impl AsFd) -> io::Result<u32> {
    let gone = || io::Error::from_raw_os_error(libc::ESRCH);
    match info(&pidfd, PIDFD_INFO_PID) {
        Ok(info) => Some(info.pid).filter(|pid| *pid != 0).ok_or_else(gone),
        Err(error) if is_unknown(&error) => pid_of_fdinfo(pidfd)?.ok_or_else(gone),
        Err(error) => Err(error),
    }
}

/// As all kernels tell it.
fn pid_of_fdinfo(pidfd: impl AsFd) -> io::Result<Option<u32>> {
    let path = format!("/proc/self/fdinfo/{}", pidfd.as_fd().as_raw_fd());
    let text = std::fs::read_to_string(path)?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pid:"));
    let pid = line.and_then(|value| value.trim().parse::<u32>().ok());
    Ok(pid.filter(|pid| *pid != 0))
}

/// Linux 6.11 and 6.12 know other requests, and look at the argument first.
fn is_unknown(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOTTY | libc::EINVAL))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::{Pid, PidfdFlags, pidfd_open};

    #[test]
    fn exit_status_outlives_the_process() {
        let mut child = std::process::Command::new("/bin/sh")
            .args(["-c", "exit 7"])
            .spawn()
            .unwrap();
        let pidfd = pidfd_open(
            Pid::from_raw(child.id() as i32).unwrap(),
            PidfdFlags::empty(),
        )
        .unwrap();
        assert_eq!(pid(&pidfd).unwrap(), child.id());
        assert_eq!(pid_of_fdinfo(&pidfd).unwrap(), Some(child.id()));
        child.wait().unwrap();
        assert_eq!(pid(&pidfd).unwrap_err().raw_os_error(), Some(libc::ESRCH));
        assert_eq!(pid_of_fdinfo(&pidfd).unwrap(), None);
        match exit_status(&pidfd) {
            Ok(status) => assert_eq!(status.unwrap().code(), Some(7)),
            Err(error) => {
                let unknown = [Some(libc::ENOTTY), Some(libc::EINVAL)];
                assert!(unknown.contains(&error.raw_os_error()), "{error}");
            }
        }
    }

    #[test]
    fn dumpable_process_is_not_called_undumpable() {
        let mut child = std::process::Command::new("/bin/sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let id = Pid::from_raw(child.id() as i32).unwrap();
        let pidfd = pidfd_open(id, PidfdFlags::empty()).unwrap();
        let told = undumpable(&pidfd);
        child.kill().unwrap();
        child.wait().unwrap();
        // What the launch tests show of a worker: Some(true).
        assert_ne!(told.unwrap(), Some(true));
    }
}
