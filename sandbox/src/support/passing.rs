//! What the kernel tells and refuses at sockets and pidfds, each newer than the baseline.

use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

use super::trial::{Act, Tried};
use super::{Facility, Offer, State};
use crate::sys::socket::{names_sender_by_pidfd, refuse_fds};

pub(super) fn offers(tried: &Tried) -> [Offer; 4] {
    [
        passed_fds(),
        peer_pidfd(),
        exit_status(tried),
        detached_clones(tried),
    ]
}

/// SO_PASSRIGHTS.
pub(super) fn passed_fds() -> Offer {
    let refuses = pair().and_then(|socket| refuse_fds(&socket));
    if matches!(refuses, Ok(true)) {
        return Offer::available(
            Facility::PassedFds,
            "the kernel refuses fds that a worker sends",
        );
    }
    Offer::lacking(
        Facility::PassedFds,
        State::Missing,
        "no SO_PASSRIGHTS",
        "fds that a worker sends are closed on receipt",
    )
    .mended_by("Linux 6.16 or newer")
}

fn peer_pidfd() -> Offer {
    let by_pidfd = pair().and_then(|socket| names_sender_by_pidfd(&socket));
    if matches!(by_pidfd, Ok(true)) {
        return Offer::available(Facility::PeerPidfd, "SO_PASSPIDFD");
    }
    Offer::lacking(
        Facility::PeerPidfd,
        State::Missing,
        "no SO_PASSPIDFD",
        "a worker's pidfd is opened by the pid that the kernel names, while the worker waits",
    )
    .mended_by("Linux 6.5 or newer")
}

fn exit_status(tried: &Tried) -> Offer {
    newer(
        tried,
        Act::ExitStatus,
        (Facility::ExitStatus, "PIDFD_INFO_EXIT"),
        "init tells how a worker ended, not the kernel",
    )
}

fn detached_clones(tried: &Tried) -> Offer {
    newer(
        tried,
        Act::DetachedClone,
        (Facility::DetachedClones, "open_tree(2) of a detached mount"),
        "a plugin's image is built for every launch, which takes longer",
    )
}

/// Something that Linux 6.15 brought.
fn newer(tried: &Tried, act: Act, (facility, name): (Facility, &str), why: &str) -> Offer {
    match tried.act(act) {
        Some(Ok(())) => Offer::available(facility, name),
        Some(Err(_)) => Offer::lacking(facility, State::Missing, format!("no {name}"), why)
            .mended_by("Linux 6.15 or newer"),
        None => Offer::lacking(facility, State::Untried, "not tried", why),
    }
}

fn pair() -> std::io::Result<std::os::fd::OwnedFd> {
    let (socket, _) = socketpair(
        AddressFamily::UNIX,
        SocketType::STREAM,
        SocketFlags::CLOEXEC,
        None,
    )?;
    Ok(socket)
}
