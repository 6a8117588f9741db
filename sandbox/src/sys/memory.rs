//! Memory that is to be had, or not: mapped, and given back.

use std::io;

use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap_anonymous, mprotect, munmap};

const PAGE: usize = 4096;

/// Gives free heap back to the kernel, which keeps every page that was ever written otherwise:
/// see malloc_trim(3). Elsewhere than in glibc there is no such call.
pub fn trim_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it takes the allocator's own locks, and touches what is free alone.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Asks for memory that is writable and executable at once.
///
/// # Errors
/// `EACCES` under memory-deny-write-execute.
pub fn map_writable_code() -> io::Result<()> {
    let all = ProtFlags::READ | ProtFlags::WRITE | ProtFlags::EXEC;
    with_page(all, |_| Ok(()))
}

/// Asks for writable memory, and that it become executable.
///
/// # Errors
/// As [`map_writable_code`].
pub fn make_written_executable() -> io::Result<()> {
    with_page(ProtFlags::READ | ProtFlags::WRITE, |page| {
        // SAFETY: the page is the one that `with_page` mapped; nothing else lies in it.
        unsafe { mprotect(page, PAGE, MprotectFlags::READ | MprotectFlags::EXEC) }
    })
}

fn with_page(
    protection: ProtFlags,
    work: impl FnOnce(*mut std::ffi::c_void) -> rustix::io::Result<()>,
) -> io::Result<()> {
    // SAFETY: without an address the kernel chooses one where nothing is mapped.
    let page =
        unsafe { mmap_anonymous(std::ptr::null_mut(), PAGE, protection, MapFlags::PRIVATE) }?;
    let result = work(page);
    // SAFETY: mapped above and never given out.
    unsafe { munmap(page, PAGE) }?;
    Ok(result?)
}
