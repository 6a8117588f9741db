//! Socket addresses in the caller's memory.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::names::FAMILIES;
use super::{Lookup, code, quoted};

/// `struct sockaddr_storage` is the longest that the kernel reads.
const MAX_ADDRESS: usize = 128;

/// The address at `address`, `length` bytes long; `None` where it can't be read.
pub(super) fn describe(address: u64, length: u32, lookup: &impl Lookup) -> Option<String> {
    let mut buffer = [0; MAX_ADDRESS];
    let wanted = (length as usize).min(MAX_ADDRESS);
    if address == 0 || lookup.read(address, &mut buffer[..wanted]) < wanted {
        return None;
    }
    let (family, data) = buffer[..wanted].split_first_chunk::<2>()?;
    let family = i32::from(u16::from_ne_bytes(*family));
    let text = match family {
        libc::AF_UNIX => unix(data),
        libc::AF_INET => inet(data)?,
        libc::AF_INET6 => inet6(data)?,
        libc::AF_NETLINK => format!("netlink port {}", native(data, 2)?),
        libc::AF_PACKET => format!("interface {}", native(data, 2)?),
        libc::AF_VSOCK => format!("vsock {}:{}", native(data, 6)?, native(data, 2)?),
        family => code(family as u64, FAMILIES),
    };
    Some(format!("{{{text}}}"))
}

/// A path up to its end, or an abstract name as it is, see unix(7).
fn unix(data: &[u8]) -> String {
    match data {
        [] => "unix, unnamed".into(),
        [0, name @ ..] => format!("unix @{}", quoted(name)),
        path => {
            let end = path.iter().position(|byte| *byte == 0);
            format!("unix {}", quoted(&path[..end.unwrap_or(path.len())]))
        }
    }
}

fn inet(data: &[u8]) -> Option<String> {
    let (port, data) = data.split_first_chunk::<2>()?;
    let (address, _) = data.split_first_chunk::<4>()?;
    let (port, address) = (u16::from_be_bytes(*port), Ipv4Addr::from(*address));
    Some(format!("{address}:{port}"))
}

/// Port, flow label, address.
fn inet6(data: &[u8]) -> Option<String> {
    let (port, data) = data.split_first_chunk::<2>()?;
    let (address, _) = data.get(4..)?.split_first_chunk::<16>()?;
    let (port, address) = (u16::from_be_bytes(*port), Ipv6Addr::from(*address));
    Some(format!("[{address}]:{port}"))
}

/// The 32-bit number at `at`, in the processor's order.
fn native(data: &[u8], at: usize) -> Option<u32> {
    let (number, _) = data.get(at..)?.split_first_chunk::<4>()?;
    Some(u32::from_ne_bytes(*number))
}
