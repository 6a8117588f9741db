//! The loopback of a network namespace, see netdevice(7).

use std::io;
use std::os::fd::AsRawFd;

use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

/// Brings the loopback of the caller's network namespace up, which gives it its addresses.
///
/// # Errors
/// `EPERM` without `CAP_NET_ADMIN` over the namespace; `ENETDOWN` where it stays down.
pub fn raise_loopback() -> io::Result<()> {
    let (family, kind) = (AddressFamily::INET, SocketType::DGRAM);
    let socket = socket_with(family, kind, SocketFlags::CLOEXEC, None)?;
    // SAFETY: an ifreq is plain data, of which all zeros are a valid value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(b"lo") {
        *to = *from as libc::c_char;
    }
    let ask = |number, request: &mut libc::ifreq| {
        // SAFETY: both requests take an ifreq, read its name, and read or write its flags;
        // `request` is one, named by a string that ends in a NUL, and outlives the call.
        match unsafe { libc::ioctl(socket.as_raw_fd(), number, std::ptr::from_mut(request)) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    };
    ask(libc::SIOCGIFFLAGS, &mut request)?;
    // SAFETY: SIOCGIFFLAGS filled in the flags.
    let flags = unsafe { request.ifr_ifru.ifru_flags };
    request.ifr_ifru.ifru_flags = flags | libc::IFF_UP as libc::c_short;
    ask(libc::SIOCSIFFLAGS, &mut request)?;
    ask(libc::SIOCGIFFLAGS, &mut request)?;
    // SAFETY: as above.
    let flags = unsafe { request.ifr_ifru.ifru_flags };
    match i32::from(flags) & libc::IFF_UP {
        0 => Err(io::Error::from_raw_os_error(libc::ENETDOWN)),
        _ => Ok(()),
    }
}
