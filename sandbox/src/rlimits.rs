//! Resource limits of the worker process, see setrlimit(2): set by itself, and read back
//! by whoever attests it.

use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit, setrlimit};
use serde::{Deserialize, Serialize};

/// Soft and hard limits alike: a process may not raise what it may not have.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Rlimits {
    /// Open files.
    pub nofile: u64,
    /// Bytes of the largest file.
    pub fsize: u64,
    /// Bytes of the main thread's stack.
    pub stack: u64,
    /// Signals queued for the worker's user.
    pub sigpending: u64,
    /// Bytes that may be locked into memory.
    pub memlock: u64,
    /// 20 minus the lowest nice value that may be set; 0 none.
    pub nice: u64,
    /// The highest real-time priority that may be set; 0 none.
    pub rtprio: u64,
    /// What stands in for a cgroup; nothing where the worker has one.
    pub stand_in: Option<StandIn>,
}

/// Bounds of memory and tasks without a cgroup: coarser, since the kernel counts what is mapped
/// rather than what is used, and each process for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StandIn {
    /// Bytes that the worker may use at most, that its limits were made of.
    pub memory: u64,
    /// RLIMIT_DATA: bytes of private writable memory, thread stacks and the worker's own
    /// included.
    pub data: u64,
    /// RLIMIT_AS: bytes of address space. Shared memory counts here alone.
    pub address_space: u64,
    /// RLIMIT_NPROC: tasks of the worker's user. The kernel counts them for each user namespace
    /// by itself (Linux 5.14), and the worker is alone in its own; they count towards the
    /// caller's own limit as well.
    pub tasks: u64,
}

impl StandIn {
    /// Private memory of the worker's own program and libraries.
    const PROGRAM: u64 = 16 << 20;
    /// Address space for code, constants, and what allocators reserve without using it.
    const RESERVED: u64 = 256 << 20;

    /// For so many bytes of heap and so many threads of that stack; no more than the calling
    /// process could have itself.
    #[must_use]
    pub fn new(memory: u64, threads: u64, stack: u64) -> StandIn {
        let most = |resource| getrlimit(resource).maximum.unwrap_or(u64::MAX);
        let data = memory
            .saturating_add(threads.saturating_mul(stack))
            .saturating_add(Self::PROGRAM);
        let address_space = data.saturating_add(Self::RESERVED);
        StandIn {
            memory,
            data: data.min(most(Resource::Data)),
            address_space: address_space.min(most(Resource::As)),
            tasks: threads.min(most(Resource::Nproc)),
        }
    }

    fn rows(self) -> [(Resource, &'static str, &'static str, u64); 3] {
        [
            (Resource::Data, "DATA", "Max data size", self.data),
            (Resource::As, "AS", "Max address space", self.address_space),
            (Resource::Nproc, "NPROC", "Max processes", self.tasks),
        ]
    }
}

/// Microseconds that a real-time thread may run without blocking; then it is killed. A CPU
/// limit of the cgroup doesn't bound such threads (cgroup v2, "CPU").
const RTTIME: u64 = 1_000_000;

/// A resource limit as setrlimit(2) takes it and as `/proc/PID/limits` prints it.
struct Row {
    resource: Resource,
    /// In getrlimit(2), without `RLIMIT_`.
    name: &'static str,
    label: &'static str,
    value: u64,
}

/// A resource limit that isn't what it must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Its name in `/proc/PID/limits`.
    pub what: &'static str,
    /// Soft and hard limit as read.
    pub found: String,
    /// What both must be.
    pub wanted: u64,
}

/// A limit that a process can't be given.
#[derive(Debug)]
pub enum NoRoom {
    /// The caller itself may have no more than this, and may not raise it.
    Short {
        /// In getrlimit(2), without `RLIMIT_`.
        name: &'static str,
        /// What the process should have.
        granted: u64,
        /// The caller's own hard limit.
        own: u64,
    },
    /// What else the kernel answered.
    Errno(std::io::Error),
}

impl Rlimits {
    fn rows(&self) -> Vec<Row> {
        use Resource as R;
        let mut rows = vec![
            // Not 0, which a piped core_pattern ignores: 1 stops that too, see fs/coredump.c, and
            // is less than any core file. It holds for children, which an exec makes dumpable.
            (R::Core, "CORE", "Max core file size", 1),
            (R::Memlock, "MEMLOCK", "Max locked memory", self.memlock),
            (R::Msgqueue, "MSGQUEUE", "Max msgqueue size", 0),
            (R::Nice, "NICE", "Max nice priority", self.nice),
            (R::Rtprio, "RTPRIO", "Max realtime priority", self.rtprio),
            (R::Nofile, "NOFILE", "Max open files", self.nofile),
            (R::Fsize, "FSIZE", "Max file size", self.fsize),
            (R::Stack, "STACK", "Max stack size", self.stack),
            (
                R::Sigpending,
                "SIGPENDING",
                "Max pending signals",
                self.sigpending,
            ),
        ];
        if self.rtprio > 0 {
            rows.push((R::Rttime, "RTTIME", "Max realtime timeout", RTTIME));
        }
        rows.extend(self.stand_in.map(StandIn::rows).into_iter().flatten());
        let row = |(resource, name, label, value)| Row {
            resource,
            name,
            label,
            value,
        };
        rows.into_iter().map(row).collect()
    }

    /// Raises what `process`, a child that still has the caller's limits, lacks to set them
    /// itself: only privilege can.
    ///
    /// # Errors
    /// The first that can't be had.
    pub fn make_room(&self, process: Pid) -> Result<(), NoRoom> {
        for row in self.rows() {
            let own = getrlimit(row.resource).maximum;
            let Some(own) = own.filter(|own| *own < row.value) else {
                continue;
            };
            match prlimit(Some(process), row.resource, both(row.value)) {
                Ok(_) => {}
                Err(rustix::io::Errno::PERM) => {
                    return Err(NoRoom::Short {
                        name: row.name,
                        granted: row.value,
                        own,
                    });
                }
                Err(errno) => return Err(NoRoom::Errno(errno.into())),
            }
        }
        Ok(())
    }

    /// Sets them for the calling process and reads each one back.
    ///
    /// # Errors
    /// The kernel's errno; `EPERM` too where a value didn't take.
    pub fn apply(&self) -> std::io::Result<()> {
        for Row {
            resource, value, ..
        } in self.rows()
        {
            let wanted = both(value);
            setrlimit(resource, wanted)?;
            if getrlimit(resource) != wanted {
                return Err(rustix::io::Errno::PERM.into());
            }
        }
        Ok(())
    }

    /// Holds them against the text of a process's `/proc/PID/limits`, see
    /// proc_pid_limits(5).
    ///
    /// # Errors
    /// The first that differs.
    pub fn check(&self, limits: &str) -> Result<(), Difference> {
        for Row { label, value, .. } in self.rows() {
            let line = limits.lines().find_map(|line| line.strip_prefix(label));
            let mut fields = line.unwrap_or_default().split_ascii_whitespace();
            let (soft, hard) = (
                fields.next().unwrap_or("missing"),
                fields.next().unwrap_or("missing"),
            );
            let wanted = match value {
                u64::MAX => "unlimited".to_owned(),
                value => value.to_string(),
            };
            if soft != wanted || hard != wanted {
                return Err(Difference {
                    what: label,
                    found: format!("{soft} (hard {hard})"),
                    wanted: value,
                });
            }
        }
        Ok(())
    }
}

fn both(value: u64) -> Rlimit {
    Rlimit {
        current: Some(value),
        maximum: Some(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: &str = "\
Limit                     Soft Limit           Hard Limit           Units     
Max file size             0                    0                    bytes     
Max stack size            8388608              8388608              bytes     
Max core file size        1                    1                    bytes     
Max open files            40                   40                   files     
Max locked memory         0                    0                    bytes     
Max pending signals       64                   64                   signals   
Max msgqueue size         0                    0                    bytes     
Max nice priority         0                    0                    
Max realtime priority     0                    0                    
";

    fn rlimits() -> Rlimits {
        Rlimits {
            nofile: 40,
            fsize: 0,
            stack: 8 << 20,
            sigpending: 64,
            memlock: 0,
            nice: 0,
            rtprio: 0,
            stand_in: None,
        }
    }

    #[test]
    fn limits_as_planned_pass() {
        rlimits().check(LIMITS).unwrap();
    }

    #[test]
    fn soft_or_hard_limit_that_differs_or_is_missing_is_named() {
        let differences = [
            (
                "Max open files            40 ",
                "Max open files            41 ",
            ),
            ("8388608              bytes", "unlimited            bytes"),
            ("Max msgqueue size", "Max other size   "),
        ];
        let labels = ["Max open files", "Max stack size", "Max msgqueue size"];
        for ((from, to), label) in differences.into_iter().zip(labels) {
            let difference = rlimits().check(&LIMITS.replace(from, to)).unwrap_err();
            assert_eq!(difference.what, label);
        }
    }

    #[test]
    fn stand_in_has_room_for_stacks_and_is_checked_like_the_others() {
        let stand_in = StandIn::new(64 << 20, 4, 8 << 20);
        assert_eq!(stand_in.data, (64 + 4 * 8 + 16) << 20);
        assert_eq!(stand_in.tasks, 4);
        let limits = Rlimits {
            stand_in: Some(stand_in),
            ..rlimits()
        };
        assert_eq!(limits.check(LIMITS).unwrap_err().what, "Max data size");
    }

    #[test]
    fn granted_limits_are_held_to_their_own_values() {
        let granted = Rlimits {
            memlock: 65536,
            ..rlimits()
        };
        assert_eq!(granted.check(LIMITS).unwrap_err().what, "Max locked memory");
        let row = "Max locked memory         65536                65536                bytes";
        let raised = LIMITS.replace(&LIMITS.lines().nth(5).unwrap()[..row.len()], row);
        granted.check(&raised).unwrap();
    }

    #[test]
    fn kernel_prints_every_limit_under_its_name() {
        let own = std::fs::read_to_string("/proc/self/limits").unwrap();
        let limits = Rlimits {
            stand_in: Some(StandIn::new(1 << 20, 1, 8 << 20)),
            rtprio: 1,
            ..rlimits()
        };
        for row in limits.rows() {
            let line = own.lines().find(|line| line.starts_with(row.label));
            assert!(line.is_some(), "{}", row.label);
        }
    }
}
