//! Unix sockets: fds sent, and fds and the sender's pidfd received with bounds.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};

const SO_PASSPIDFD: libc::c_int = 76;
const SO_PASSRIGHTS: libc::c_int = 83;
const SCM_PIDFD: libc::c_int = 4;

/// The most fds that one message can carry (`SCM_MAX_FD`).
pub const MAX_FDS: usize = 253;
// Room for the fds, a pidfd, and credentials, each with its header.
const CONTROL_BYTES: usize = 2048;

/// One message, or one piece of a stream.
#[derive(Debug)]
pub struct Received {
    /// Bytes written to the caller's buffer; 0 is the end of the stream.
    pub bytes: usize,
    /// Received fds, all close-on-exec; those over the caller's bound are closed.
    pub fds: Vec<OwnedFd>,
    /// How many fds came, those closed included.
    pub fds_sent: usize,
    /// The sending process, where [`pass_sender`] asked for it.
    pub sender: Option<Sender>,
    /// Whether a message was longer than the buffer, or fds of it are missing: at this
    /// process's open-file limit the kernel drops those that it can't install.
    pub truncated: bool,
}

/// Who sent a message, as the kernel tells it.
#[derive(Debug)]
pub enum Sender {
    /// By pidfd (Linux 6.5).
    Pidfd(OwnedFd),
    /// By pid in the receiver's pid namespace. Safe to turn into a pidfd only as long as
    /// the sender is known to wait.
    Pid(u32),
}

#[repr(C, align(8))]
struct Control([u8; CONTROL_BYTES]);

/// Receives into `buffer`, keeping at most `max_fds` fds.
///
/// # Errors
/// The kernel's errno, see recvmsg(2).
pub fn receive(socket: impl AsFd, buffer: &mut [u8], max_fds: usize) -> io::Result<Received> {
    let mut control = Control([0; CONTROL_BYTES]);
    let mut iov = libc::iovec {
        iov_base: buffer.as_mut_ptr().cast(),
        iov_len: buffer.len(),
    };
    // SAFETY: msghdr is plain data for which all zeroes is a valid value.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_iov = &raw mut iov;
    header.msg_iovlen = 1;
    header.msg_control = control.0.as_mut_ptr().cast();
    header.msg_controllen = CONTROL_BYTES;
    // SAFETY: header names a buffer and a control buffer that are valid for the
    // lengths given and outlive the call.
    let bytes = unsafe {
        libc::recvmsg(
            socket.as_fd().as_raw_fd(),
            &raw mut header,
            libc::MSG_CMSG_CLOEXEC,
        )
    };
    if bytes < 0 {
        return Err(io::Error::last_os_error());
    }
    let mut received = Received {
        bytes: bytes as usize,
        fds: Vec::new(),
        fds_sent: 0,
        sender: None,
        truncated: header.msg_flags & (libc::MSG_TRUNC | libc::MSG_CTRUNC) != 0,
    };
    collect(&header, max_fds, &mut received);
    Ok(received)
}

/// Sends one SEQPACKET message with fds.
///
/// # Errors
/// `E2BIG` above [`MAX_FDS`], `WouldBlock` on a full non-blocking socket, else the kernel's
/// errno, see sendmsg(2).
pub fn send(socket: BorrowedFd<'_>, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_FDS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(io::Error::from_raw_os_error(libc::E2BIG));
    }
    let flags = SendFlags::NOSIGNAL;
    Ok(sendmsg(socket, &[IoSlice::new(bytes)], &mut control, flags).map(drop)?)
}

fn collect(header: &libc::msghdr, max_fds: usize, received: &mut Received) {
    // SAFETY: header was filled by recvmsg; the CMSG macros stay within
    // msg_controllen, as cmsg(3) defines them.
    let mut cmsg = unsafe { libc::CMSG_FIRSTHDR(header) };
    while !cmsg.is_null() {
        // SAFETY: a non-null result of CMSG_FIRSTHDR/NXTHDR is a header that lies whole
        // in the control buffer, which is aligned for it.
        let (level, kind, length) =
            unsafe { ((*cmsg).cmsg_level, (*cmsg).cmsg_type, (*cmsg).cmsg_len) };
        // SAFETY: CMSG_LEN only computes.
        let payload = length.saturating_sub(unsafe { libc::CMSG_LEN(0) } as usize);
        // SAFETY: CMSG_DATA points just behind the header, at the payload.
        let data = unsafe { libc::CMSG_DATA(cmsg) };
        match (level, kind) {
            (libc::SOL_SOCKET, SCM_PIDFD) => {
                received.sender = fds(data, payload).next().map(Sender::Pidfd);
            }
            (libc::SOL_SOCKET, libc::SCM_RIGHTS) => {
                for fd in fds(data, payload) {
                    received.fds_sent += 1;
                    if received.fds.len() < max_fds {
                        received.fds.push(fd);
                    }
                }
            }
            (libc::SOL_SOCKET, libc::SCM_CREDENTIALS) if payload >= size_of::<libc::ucred>() => {
                // SAFETY: the kernel stored a ucred; alignment isn't promised.
                let credentials = unsafe { data.cast::<libc::ucred>().read_unaligned() };
                received.sender = u32::try_from(credentials.pid).ok().map(Sender::Pid);
            }
            _ => {}
        }
        // SAFETY: both arguments are as recvmsg and the macros left them.
        cmsg = unsafe { libc::CMSG_NXTHDR(header, cmsg) };
    }
}

/// Takes over the fds that recvmsg installed, listed in `payload` bytes at `data`.
fn fds(data: *const u8, payload: usize) -> impl Iterator<Item = OwnedFd> {
    (0..payload / size_of::<libc::c_int>()).filter_map(move |index| {
        // SAFETY: index is within the payload; the kernel promises no alignment.
        let raw = unsafe { data.cast::<libc::c_int>().add(index).read_unaligned() };
        // Instead of a pidfd the kernel may store an errno, negative.
        // SAFETY: recvmsg installed this fd for us, and it stands in the buffer once.
        (raw >= 0).then(|| unsafe { OwnedFd::from_raw_fd(raw) })
    })
}

/// Asks the kernel to say with each message who sent it: by pidfd, and before Linux 6.5
/// by pid.
///
/// # Errors
/// The kernel's errno, see unix(7).
pub fn pass_sender(socket: impl AsFd, on: bool) -> io::Result<()> {
    match offered(set_option(&socket, SO_PASSPIDFD, on))? {
        true => Ok(()),
        false => set_option(socket, libc::SO_PASSCRED, on),
    }
}

/// Has the kernel say by pidfd who sent each message; `false` where it can't, before Linux 6.5.
///
/// # Errors
/// The kernel's errno, see unix(7).
pub fn names_sender_by_pidfd(socket: impl AsFd) -> io::Result<bool> {
    offered(set_option(socket, SO_PASSPIDFD, true))
}

/// Has the kernel refuse fds that are sent to this socket; `false` where it can't, before
/// Linux 6.16.
///
/// # Errors
/// The kernel's errno, see setsockopt(2).
pub fn refuse_fds(socket: impl AsFd) -> io::Result<bool> {
    offered(set_option(socket, SO_PASSRIGHTS, false))
}

/// Whether the kernel knows the option that was set.
fn offered(set: io::Result<()>) -> io::Result<bool> {
    match set {
        Ok(()) => Ok(true),
        Err(error) if error.raw_os_error() == Some(libc::ENOPROTOOPT) => Ok(false),
        Err(error) => Err(error),
    }
}

fn set_option(socket: impl AsFd, option: libc::c_int, on: bool) -> io::Result<()> {
    let value = libc::c_int::from(on);
    // SAFETY: the value is a valid int for the length given.
    let result = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            option,
            (&raw const value).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if result == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}
