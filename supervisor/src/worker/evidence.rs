//! What can be seen of a denied call while its thread waits for the answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sandbox::mounts::PLUGIN_FOLDER;
use sandbox::seccomp::{
    Allowance, Caller, Grant, Listener, Lookup, Mapping, Notification, Phase, Registers,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::looking::aside;
use crate::package::Package;
use crate::violations::{Answer, Denial, Frame, Violation};

/// Denials of one worker that are looked at in one second; the others are counted.
const PER_SECOND: u32 = 32;
/// Denials of one worker that are looked at at the same time.
const AT_ONCE: usize = 4;
/// How long looking may take. A thread can have mapped a file of a file system that doesn't
/// answer, and pass its address.
const PATIENCE: Duration = Duration::from_millis(200);
/// The bytes of the stack that are searched for a return address.
const STACK: usize = 64 << 10;
/// How often a thread that isn't asleep yet is asked for its stack, and the pause between.
const ASKED: u32 = 20;
const PAUSE: Duration = Duration::from_micros(50);

/// What was seen of a call.
pub(super) struct Evidence {
    args: Vec<String>,
    frame: Frame,
    allowance: Option<Allowance>,
}

/// How much looking one worker is worth. Charged before anything is looked at.
#[derive(Debug)]
pub(super) struct Attention {
    since: Instant,
    taken: u32,
    slots: Arc<Semaphore>,
}

impl Attention {
    pub(super) fn new(now: Instant) -> Attention {
        Attention {
            since: now,
            taken: 0,
            slots: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    /// The permission to look at one more call.
    pub(super) fn take(&mut self, now: Instant) -> Option<OwnedSemaphorePermit> {
        if now.duration_since(self.since) >= Duration::from_secs(1) {
            (self.since, self.taken) = (now, 0);
        }
        if self.taken == PER_SECOND {
            return None;
        }
        let permit = Arc::clone(&self.slots).try_acquire_owned().ok()?;
        self.taken += 1;
        Some(permit)
    }
}

impl Evidence {
    /// What the notification itself says.
    fn of_registers(call: &Notification, why: &str) -> Evidence {
        Evidence {
            args: call.arguments(&Registers),
            frame: Frame::unknown(why),
            allowance: None,
        }
    }

    /// Looks at the call from a thread of its own, which is left alone when it takes too long.
    pub(super) async fn gather(
        call: Notification,
        answer: Answer,
        listener: Arc<Listener>,
        package: Arc<Package>,
        permit: OwnedSemaphorePermit,
    ) -> Evidence {
        let look = move || {
            let evidence = Evidence::seen(&call, &listener, &package);
            drop(permit);
            evidence
        };
        let seen = aside(PATIENCE, look).await;
        let seen = seen.unwrap_or_else(|why| Self::of_registers(&call, why));
        if answer == Answer::Killed {
            // Nothing ever allows it, and nobody is to wait for that to be found.
            return seen;
        }
        // Reads profiles at its first use.
        let allowance = tokio::task::spawn_blocking(move || call.allowance()).await;
        Evidence {
            allowance: allowance.ok().flatten(),
            ..seen
        }
    }

    /// Adds it to the violation of the call.
    pub(super) fn add_to(
        self,
        violation: Violation,
        call: &Notification,
        phase: Phase,
        answer: Answer,
    ) -> Violation {
        let violation = violation.denial(Denial {
            args: self.args,
            thread: call.tid,
            phase,
            answer,
            frame: self.frame,
            ip: call.ip,
        });
        match self.allowance {
            Some(allowance) => violation.allowed_by(rule(allowance)),
            None => violation,
        }
    }

    fn seen(call: &Notification, listener: &Listener, package: &Package) -> Evidence {
        let caller = match Caller::open(call.tid) {
            Ok(caller) => caller,
            Err(error) => return Self::of_registers(call, &format!("can't look: {error}")),
        };
        let evidence = Evidence {
            args: call.arguments(&caller),
            frame: frame(call, &caller, package).unwrap_or_else(Frame::unknown),
            allowance: None,
        };
        // Else all of it may be another thread's.
        match listener.is_valid(call.id) {
            Ok(true) => evidence,
            _ => Self::of_registers(call, "its thread ended meanwhile"),
        }
    }
}

/// The innermost place in the package's code: the call instruction itself, else the first
/// word on the stack that can be a return address.
fn frame(call: &Notification, caller: &Caller, package: &Package) -> Result<Frame, String> {
    let failed = |what: &'static str| move |error| format!("no {what}: {error}");
    let code = caller
        .code_below(PLUGIN_FOLDER)
        .map_err(failed("mappings"))?;
    if let Some((path, offset)) = locate(&code, call.ip)
        && let Some(frame) = package.frame(path, offset)
    {
        return Ok(frame);
    }
    let pointer = stack_pointer(caller).map_err(failed("stack"))?;
    let mut stack = vec![0; STACK];
    let read = caller.read(pointer, &mut stack);
    let words = stack[..read].chunks_exact(size_of::<u64>());
    let returns = words.filter_map(|word| {
        let address = u64::from_ne_bytes(word.try_into().ok()?);
        let (path, offset) = locate(&code, address)?;
        package.follows_call(path, offset).then_some((path, offset))
    });
    for (path, offset) in returns {
        if let Some(frame) = package.frame(path, offset) {
            return Ok(frame);
        }
    }
    Err(format!(
        "no return address of its own among {} KiB of stack",
        read >> 10
    ))
}

/// The part of a policy that allows it.
fn rule(allowance: Allowance) -> String {
    let grant = match allowance {
        Allowance::Mode(mode) => return format!("seccomp.mode = \"{mode}\""),
        Allowance::Grant(grant) => grant,
    };
    let field = match grant {
        Grant::Files => "files",
        Grant::FilesWrite => "files, to be written",
        Grant::Tcp => "tcp",
        Grant::Listen => "tcp.bind",
        Grant::Udp => "tcp, in a network of its own",
        Grant::RawSockets => "capabilities, NET_RAW",
        Grant::HostNetwork => "net = \"full\"",
        Grant::Processes => "processes",
        Grant::Jit => "jit",
        Grant::Memlock => "locked_memory",
        Grant::Priority => "nice",
    };
    format!("grants.{field}")
}

/// It has told us of its call just before it goes to sleep.
fn stack_pointer(caller: &Caller) -> std::io::Result<u64> {
    for _ in 1..ASKED {
        match caller.stack_pointer() {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                std::thread::sleep(PAUSE);
            }
            answer => return answer,
        }
    }
    caller.stack_pointer()
}

/// The file that an address lies in, and where.
fn locate(code: &[Mapping], address: u64) -> Option<(&str, u64)> {
    let mapping = code.iter().find(|mapping| mapping.holds(address))?;
    let offset = mapping.offset.checked_add(address - mapping.start)?;
    Some((&mapping.path, offset))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attention_is_bounded_per_second_and_at_once() {
        let start = Instant::now();
        let mut attention = Attention::new(start);

        let held: Vec<_> = std::iter::from_fn(|| attention.take(start)).collect();
        assert_eq!(held.len(), AT_ONCE);
        drop(held);
        let more = std::iter::from_fn(|| attention.take(start).map(drop)).count();
        assert_eq!(AT_ONCE + more, PER_SECOND as usize);
        assert!(attention.take(start + Duration::from_secs(1)).is_some());
    }

    #[test]
    fn addresses_are_located_by_mapping() {
        let mapping = |start, end, offset| Mapping {
            start,
            end,
            permissions: "r-xp".into(),
            offset,
            path: "/plugin/plugin.so".into(),
        };
        let code = [
            mapping(0x1000, 0x2000, 0x400),
            mapping(0x5000, 0x6000, u64::MAX),
        ];
        assert_eq!(locate(&code, 0x1fff), Some(("/plugin/plugin.so", 0x13ff)));
        for nowhere in [0xfff, 0x2000, 0x5001] {
            assert_eq!(locate(&code, nowhere), None);
        }
    }
}
