//! A thread's core scheduling cookie.

use rustix::io::Errno;

use super::{AttestError, mismatch};
use crate::hardening::Taken;
use crate::report::{Control, Enforcement, Report};
use crate::sys::prctl::core_cookie;

/// It must be there where the host has core scheduling, and not be ours.
pub(super) fn attest(tid: u32, taken: Taken, report: &mut Report) -> Result<(), AttestError> {
    let ours = match core_cookie(0) {
        Ok(cookie) => cookie,
        Err(error) => {
            let why = match Errno::from_io_error(&error) {
                Some(Errno::NODEV) => "no core has a second hyperthread",
                _ => "this kernel has no core scheduling",
            };
            report.add(Control::CoreScheduling, Enforcement::Absent, false, why);
            return Ok(());
        }
    };
    let value = match core_cookie(tid) {
        Ok(cookie) if cookie != 0 && cookie != ours => "a cookie of its own",
        Ok(0) => return Err(differs("none")),
        Ok(_) => return Err(differs("ours")),
        Err(error) => match Errno::from_io_error(&error) {
            Some(Errno::SRCH) => return Err(AttestError::Gone),
            // The supervisor may not look; the worker did while it was trusted.
            Some(Errno::PERM) if taken == Taken::Held => "a cookie, as the worker found",
            Some(Errno::PERM) => return Err(differs("not to be seen, and not taken")),
            _ => {
                let what = "core scheduling cookie";
                return Err(AttestError::Read {
                    what,
                    source: error,
                });
            }
        },
    };
    report.enforced(Control::CoreScheduling, value);
    Ok(())
}

fn differs(found: &str) -> AttestError {
    let what = "core scheduling cookie";
    mismatch(
        Control::CoreScheduling,
        what,
        found.to_owned(),
        "one of its own",
    )
}
