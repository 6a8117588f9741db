//! The table of deeds.

use cordon_tests::report::Report;

/// A deed, when it is done, and what stops it.
pub(crate) struct Deed {
    pub(crate) method: &'static str,
    pub(crate) moment: Moment,
    /// The parameter; `{port}`, `{file}` and `{pid}` stand for those of the scene.
    pub(crate) data: &'static str,
    pub(crate) options: &'static [&'static str],
    pub(crate) controls: &'static [Control],
    pub(crate) success: Success,
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Moment {
    Call,
    /// Of the plugin's shared object, while the dynamic loader runs.
    Constructor,
}

/// A control by the name that `CORDON_WEAKEN` takes, and how it shows that it stopped a deed.
pub(crate) struct Control {
    pub(crate) name: &'static str,
    answer: Answer,
    violation: Option<&'static str>,
}

enum Answer {
    /// The kernel said no, and the plugin lives on.
    Errno(&'static str),
    /// The worker was killed for this system call.
    Denied(&'static str),
    /// The worker ended, as this part of the sentence about its end says.
    Death(&'static str),
}

/// How it shows that a deed got through.
pub(crate) enum Success {
    Replies,
    Prints(&'static str),
}

const FILTER: Control = refused("seccomp", "EPERM").recorded("denied-syscall");
const LANDLOCK: Control = refused("landlock", "EACCES");
/// Tracing and mounting, whatever the rules are.
const ANY_DOMAIN: Control = refused("landlock", "EPERM");
const LANDLOCK_TCP: Control = refused("landlock-tcp", "EACCES");
const LANDLOCK_SCOPES: Control = refused("landlock-scopes", "EPERM");
const ROOT: Control = refused("root", "ENOENT");
const OWN_NET: Control = refused("net", "ENETUNREACH");
const OWN_PIDS: Control = refused("pid", "ESRCH");
const OWN_NAMESPACE: Control = refused("ids", "EPERM");
const FOREIGN_ID: Control = refused("ids", "EACCES");
const NO_NESTING: Control = refused("ids", "ENOSPC");
const NO_CAPS: Control = refused("capabilities", "EPERM");
const MAX_FDS: Control = refused("rlimits", "EMFILE");
const NO_LOCKED_MEMORY: Control = refused("rlimits", "ENOMEM");
const NO_WRITTEN_CODE: Control = refused("mdwe", "EACCES");
const NO_FILES: Control = ended("rlimits", "SIGXFSZ");
const MAX_TASKS: Control = refused("pids", "EAGAIN").recorded("threads");
const MAX_MEMORY: Control = ended("memory", "ran out of the memory").recorded("oom-kill");
const DEADLINE: Control = ended("deadline", "deadline").recorded("deadline");
const MAX_CPU: Control = ended("deadline", "CPU time").recorded("cpu");

/// What the filter answers by the kill.
const fn never(syscall: &'static str) -> Control {
    Control {
        name: "seccomp",
        answer: Answer::Denied(syscall),
        violation: Some("denied-syscall"),
    }
}

const fn refused(name: &'static str, errno: &'static str) -> Control {
    Control {
        name,
        answer: Answer::Errno(errno),
        violation: None,
    }
}

const fn ended(name: &'static str, ending: &'static str) -> Control {
    Control {
        name,
        answer: Answer::Death(ending),
        violation: None,
    }
}

const fn deed(
    moment: Moment,
    method: &'static str,
    data: &'static str,
    controls: &'static [Control],
) -> Deed {
    Deed {
        method,
        moment,
        data,
        options: &[],
        controls,
        success: Success::Replies,
    }
}

const fn call(method: &'static str, data: &'static str, controls: &'static [Control]) -> Deed {
    deed(Moment::Call, method, data, controls)
}

/// In a constructor the loader's own calls go on: there the root answers where the filter will
/// once the plugin serves.
const fn early(method: &'static str, data: &'static str, controls: &'static [Control]) -> Deed {
    deed(Moment::Constructor, method, data, controls)
}

const SHELL: &str = "the vandal runs a shell";
/// So that the limit under test is met before the one on CPU time.
const MUCH_CPU: &[&str] = &["--limit", "cpu=10s", "--timeout", "20s"];
/// Nor the one on memory: a thread takes some 25 kB of the kernel's.
const MUCH_HEAP: &[&str] = &["--limit", "cpu=10s", "--limit", "heap=1GiB"];
const LITTLE_TIME: &[&str] = &["--timeout", "300ms"];
const LITTLE_CPU: &[&str] = &["--limit", "cpu=300ms", "--timeout", "20s"];
const LITTLE_TIME_TO_LOAD: &[&str] = &[
    "--policy",
    concat!(env!("CARGO_MANIFEST_DIR"), "/policies/impatient.toml"),
];

/// Every deed with every control that stops it alone. The product answers with the first.
pub(crate) const DEEDS: &[Deed] = &[
    call("open-shadow", "", &[FILTER, LANDLOCK, ROOT, FOREIGN_ID]),
    call("see-host", "", &[FILTER, ROOT]),
    call("see-host-as-fstat", "", &[ROOT]),
    call(
        "write-outside",
        "{file}",
        &[FILTER, LANDLOCK, ROOT, FOREIGN_ID],
    ),
    call("connect-host", "{port}", &[FILTER, LANDLOCK_TCP, OWN_NET]),
    call("execve", "", &[FILTER, LANDLOCK, ROOT]).printing(SHELL),
    call("kill-all", "", &[FILTER, OWN_PIDS]),
    call(
        "kill-one",
        "{pid}",
        &[FILTER, LANDLOCK_SCOPES, OWN_PIDS, OWN_NAMESPACE],
    ),
    call(
        "ptrace-parent",
        "",
        &[never("ptrace"), ANY_DOMAIN, OWN_NAMESPACE, NO_CAPS],
    ),
    call("fork-bomb", "64", &[FILTER, MAX_TASKS]),
    call("allocate", "1024", &[MAX_MEMORY]).with(MUCH_CPU),
    call("threads", "10000", &[MAX_TASKS]).with(MUCH_HEAP),
    call("fds", "200", &[FILTER, MAX_FDS]),
    call("spin", "1", &[DEADLINE]).with(LITTLE_TIME),
    call("spin", "3", &[MAX_CPU]).with(LITTLE_CPU),
    call("own-filter", "", &[never("seccomp")]),
    call("own-filter-by-prctl", "", &[never("prctl")]),
    call("own-listener", "", &[never("seccomp")]),
    call(
        "mount",
        "",
        &[never("mount"), ANY_DOMAIN, OWN_NAMESPACE, NO_CAPS],
    ),
    call("unshare", "", &[never("unshare"), NO_NESTING]),
    call("keyctl", "", &[never("add_key")]),
    call("io-uring", "", &[never("io_uring_setup"), NO_LOCKED_MEMORY]),
    call("bpf", "", &[never("bpf"), OWN_NAMESPACE, NO_CAPS]),
    call("memfd-exec", "", &[FILTER, NO_FILES]),
    call("written-exec", "", &[FILTER, NO_WRITTEN_CODE]),
    early("open-shadow", "", &[ROOT, LANDLOCK, FOREIGN_ID]),
    early("see-host", "", &[ROOT]),
    early(
        "write-outside",
        "{file}",
        &[FILTER, LANDLOCK, ROOT, FOREIGN_ID],
    ),
    early("connect-host", "{port}", &[FILTER, LANDLOCK_TCP, OWN_NET]),
    early("execve", "", &[FILTER, LANDLOCK, ROOT]).printing(SHELL),
    early("kill-all", "", &[FILTER, OWN_PIDS]),
    early(
        "ptrace-parent",
        "",
        &[never("ptrace"), ANY_DOMAIN, OWN_NAMESPACE, NO_CAPS],
    ),
    early("fork-bomb", "64", &[FILTER, MAX_TASKS]),
    early("allocate", "256", &[MAX_MEMORY]).with(MUCH_CPU),
    early("threads", "1000", &[MAX_TASKS]).with(MUCH_HEAP),
    early("fds", "200", &[FILTER, MAX_FDS]),
    early("spin", "1", &[DEADLINE]).with(LITTLE_TIME_TO_LOAD),
    early("own-filter", "", &[never("seccomp")]),
    early("own-listener", "", &[never("seccomp")]),
];

impl Deed {
    const fn with(self, options: &'static [&'static str]) -> Self {
        Self { options, ..self }
    }

    const fn printing(self, text: &'static str) -> Self {
        Self {
            success: Success::Prints(text),
            ..self
        }
    }
}

impl Control {
    const fn recorded(self, violation: &'static str) -> Self {
        Self {
            violation: Some(violation),
            ..self
        }
    }

    /// Whether the report shows that this control stopped the deed, and that it was recorded.
    pub(crate) fn stopped(&self, report: &Report) -> Result<(), String> {
        let as_expected = match self.answer {
            Answer::Errno(errno) => report.reply().starts_with(&format!("STOPPED: {errno} ")),
            Answer::Denied(syscall) => report.died(&format!("it tried {syscall}")),
            Answer::Death(ending) => report.died(ending),
        };
        if !as_expected {
            return Err(format!("not stopped as it should be: {report:#?}"));
        }
        match self.violation {
            Some(kind) if !report.violations.by_kind.contains_key(kind) => {
                Err(format!("no violation {kind}: {report:#?}"))
            }
            _ => Ok(()),
        }
    }
}
