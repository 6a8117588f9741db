//! Which of our numbers a thread has that init names by its own.

use std::io;

use crate::attest::field;

/// The most threads of a process that are looked at.
const MAX_THREADS: usize = 8192;

/// The thread of `process` that has this number in the innermost pid namespace that it is in.
///
/// # Errors
/// `NotFound` where there is none, or procfs doesn't tell.
pub fn thread_of(process: u32, number: u32) -> io::Result<u32> {
    let threads = std::fs::read_dir(format!("/proc/{process}/task"))?;
    for thread in threads.take(MAX_THREADS) {
        let thread = thread?;
        let Ok(status) = std::fs::read_to_string(thread.path().join("status")) else {
            continue;
        };
        // From the reader's pid namespace down to its own (proc_pid_status(5)).
        let innermost = field(&status, "NSpid").and_then(|all| all.split_whitespace().next_back());
        if innermost == Some(&number.to_string())
            && let Some(tid) = thread
                .file_name()
                .to_str()
                .and_then(|name| name.parse().ok())
        {
            return Ok(tid);
        }
    }
    Err(io::ErrorKind::NotFound.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_thread_is_found_by_its_number() {
        let me = rustix::thread::gettid().as_raw_nonzero().get() as u32;
        assert_eq!(thread_of(std::process::id(), me).unwrap(), me);
        let none = thread_of(std::process::id(), u32::MAX).unwrap_err();
        assert_eq!(none.kind(), io::ErrorKind::NotFound);
    }
}
