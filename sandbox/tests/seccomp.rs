//! The real profiles in real processes: what is permitted works, one step beyond gets the
//! stated answer, and interpreter and kernel agree.
//!
//! A filter can't be taken off again, so each test runs its deeds in a process of its
//! own: this very test binary, told by a variable which deeds to do. Deeds come back as
//! numbers, since a filtered process can't be trusted to panic in good order.

#![allow(
    clippy::unwrap_used,
    reason = "what helpers of tests meet is a failed test"
)]

#[path = "seccomp/child.rs"]
mod child;
#[path = "seccomp/supervisor.rs"]
mod supervisor;

use std::os::unix::process::ExitStatusExt;

use nix::errno::Errno;
use sandbox::seccomp::{Mode, Phase, Verdict};
use supervisor::{Run, run, run_unsupervised};

const EPERM: i64 = -(libc::EPERM as i64);
const ENOSYS: i64 = -(libc::ENOSYS as i64);

/// Entered in the child process alone, where it doesn't return.
#[test]
fn child_entry() {
    if let Ok(deed) = std::env::var(child::VARIABLE) {
        child::main(&deed);
    }
}

fn assert_denied(run: &Run, call: &str) {
    let denied = run
        .calls
        .iter()
        .filter(|(_, verdict)| *verdict == Verdict::Refuse(Errno::EPERM));
    assert!(
        denied.clone().any(|(text, _)| text.starts_with(call)),
        "{call}: {:?}",
        run.calls
    );
}

#[test]
fn memory_threads_time_and_writes_are_permitted_without_a_notification() {
    let run = run("permitted", Phase::Serving);
    assert!(
        run.results.iter().all(|result| *result >= 0),
        "{:?}",
        run.results
    );
    assert_eq!(run.calls, []);
    assert_eq!(run.status.code(), Some(0));
}

#[test]
fn one_step_beyond_what_is_permitted_is_refused_and_recorded() {
    for (deed, call) in [
        ("map-writable-code", "mmap"),
        ("map-anonymous-code", "mmap"),
        ("map-huge-page", "mmap"),
        ("make-memory-code", "mprotect"),
        ("merge-pages", "madvise"),
        ("fork", "clone"),
        ("clone-user-namespace", "clone"),
        ("send-to-path", "sendto"),
        ("send-message", "sendmsg"),
        ("lock-with-priority", "futex"),
        ("raise-limit", "prlimit64"),
        ("signal-itself-otherwise", "tgkill"),
        ("signal-init", "tgkill"),
        ("push-terminal-input", "ioctl"),
        ("socket", "socket"),
        ("execve", "execve"),
        ("memfd", "memfd_create"),
        ("create-file", "openat"),
        ("dumpable", "prctl"),
    ] {
        for phase in [Phase::Loading, Phase::Serving] {
            let run = run(deed, phase);
            assert_eq!(run.results, [EPERM], "{deed}");
            assert_denied(&run, call);
        }
    }
}

#[test]
fn what_loading_needs_is_refused_once_serving() {
    for (deed, call) in [
        ("open", "openat"),
        ("stat", "newfstatat"),
        ("map-code", "mmap"),
    ] {
        let loading = run(deed, Phase::Loading);
        assert!(loading.results[0] >= 0, "{deed}: {:?}", loading.results);
        assert!(
            loading
                .calls
                .iter()
                .all(|(_, verdict)| *verdict == Verdict::Continue)
        );

        let serving = run(deed, Phase::Serving);
        assert_eq!(serving.results, [EPERM], "{deed}");
        assert_denied(&serving, call);
    }
}

#[test]
fn a_cxx_library_is_loaded_without_a_denial() {
    let run = run("dlopen", Phase::Loading);
    assert_eq!(run.results, [0], "is libstdc++ installed? {:?}", run.calls);
    assert!(run.calls.iter().any(|(text, _)| text.starts_with("openat")));
    assert!(
        run.calls
            .iter()
            .all(|(_, verdict)| *verdict == Verdict::Continue),
        "{:?}",
        run.calls
    );
}

#[test]
fn what_is_answered_by_the_kernel_is_no_denial() {
    for (deed, answer) in [
        ("clone3", ENOSYS),
        ("unknown-number", ENOSYS),
        ("x32", ENOSYS),
        ("terminal", -(libc::ENOTTY as i64)),
    ] {
        let run = run(deed, Phase::Serving);
        assert_eq!(run.results, [answer], "{deed}");
        assert_eq!(run.calls, [], "{deed}");
    }
}

#[test]
fn a_dangerous_call_is_answered_by_the_kill_after_its_record() {
    for (deed, text) in [
        ("filter", "seccomp(SECCOMP_SET_MODE_FILTER, 0x0, NULL)"),
        (
            "filter-by-prctl",
            "prctl(PR_SET_SECCOMP, 0x2, 0x0, 0x0, 0x0)",
        ),
        ("ptrace", "ptrace(PTRACE_ATTACH, 1, NULL, NULL)"),
        ("unshare", "unshare(CLONE_NEWUSER)"),
        ("io-uring", "io_uring_setup("),
        (
            "answer-notifications",
            "ioctl(0, SECCOMP_IOCTL_NOTIF_RECV, 0x0)",
        ),
    ] {
        let run = run(deed, Phase::Loading);
        let (record, verdict) = run.calls.last().unwrap();
        assert!(record.starts_with(text), "{record}");
        assert_eq!(*verdict, Verdict::Kill);
        assert_eq!(run.status.signal(), Some(libc::SIGKILL), "{deed}");
        assert!(run.results.is_empty(), "{deed} must not return");
    }
}

#[test]
fn an_i386_call_is_killed_by_the_kernel() {
    let run = run("i386", Phase::Serving);
    assert_eq!(run.status.signal(), Some(libc::SIGSYS));
    assert_eq!((run.calls, run.results), (vec![], vec![]));
}

#[test]
fn abort_looks_like_an_abort() {
    let run = run("abort", Phase::Serving);
    assert_eq!(run.status.signal(), Some(libc::SIGABRT));
    assert_eq!(run.calls, []);
}

#[test]
fn without_a_listener_the_kernel_refuses() {
    let run = run_unsupervised("socket");
    assert_eq!(run.results, [ENOSYS]);
}

#[test]
fn interpreter_and_kernel_agree_on_random_calls_under_every_mode() {
    for mode in Mode::ALL {
        for granted in ["", child::GRANTED] {
            let deed = format!("{}{mode}{granted}", child::COMPARE);
            let run = run_unsupervised(&deed);
            assert_eq!(
                run.results,
                [child::COMPARED, 0],
                "{deed}: calls compared, calls that differ"
            );
        }
    }
}

#[test]
fn init_can_wait_report_and_exit_and_nothing_else() {
    let run = run_unsupervised("init");
    assert_eq!(run.results, [-i64::from(libc::ECHILD), EPERM, EPERM, EPERM]);
    assert_eq!(run.status.code(), Some(0));
}
