//! Each way to die, with its evidence.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cordon_supervisor::Supervisor;
use cordon_supervisor::crash::{Address, Crash, Evidence, Outcome};
use cordon_supervisor::ending::Ending;
use cordon_supervisor::plugin::Event;
use cordon_tests::host::{call, load, supervisor};
use cordon_tests::plugins::{example, fixture};

const PATIENCE: Duration = Duration::from_secs(20);

/// Dies by a method, and gives what is known of it.
pub(crate) async fn crash(supervisor: &Supervisor, plugin: &str, method: &str) -> Arc<Crash> {
    let file = match plugin {
        "vandal" => example(plugin),
        _ => fixture(plugin),
    };
    crash_of(supervisor, &file, method).await
}

/// As [`crash`], of a plugin by its file.
pub(crate) async fn crash_of(supervisor: &Supervisor, file: &Path, method: &str) -> Arc<Crash> {
    let mut events = supervisor.subscribe();
    let plugin = load(supervisor, file).await;
    let died = call(supervisor, &plugin, method, "").await;
    assert!(died.is_err(), "{method}");
    let crash = async {
        loop {
            match events.recv().await {
                Ok(Event::Crash(crash)) => return crash,
                Ok(_) => {}
                Err(error) => panic!("{error}"),
            }
        }
    };
    let crash = tokio::time::timeout(PATIENCE, crash).await;
    crash.unwrap_or_else(|_| panic!("{method}: nothing is told"))
}

#[tokio::test]
async fn fault_is_told_with_signal_address_registers_and_mappings() {
    let supervisor = supervisor("").await;

    let crash = crash(&supervisor, "crasher", "segfault").await;

    assert_eq!(crash.how, Ending::Signal { number: 11 }.to_string());
    assert_eq!(crash.ending["kind"], "signal");
    assert_eq!(crash.evidence, Evidence::Held);
    let signal = crash.signal.as_ref().expect("a signal");
    assert_eq!((signal.number, &*signal.name), (11, "SIGSEGV"));
    assert_eq!(signal.address, Some(Address(0xdead0)));
    let top = crash.backtrace.frames.first().expect("a frame");
    assert_eq!(top.library, "plugin.so");
    let ip = |name: &str| ["rip", "pc"].contains(&name);
    let ip = crash.registers.iter().find(|register| ip(&register.name));
    assert_eq!(ip.map(|register| register.value), Some(top.address));
    let stack = crash.maps.iter().any(|region| region.path == "[stack]");
    assert!(stack, "{:?}", crash.maps);
    let last = crash.calls.last().expect("a call");
    assert_eq!(
        (&*last.method, last.outcome),
        ("segfault", Outcome::InFlight)
    );
}

#[tokio::test]
async fn abort_and_exit_are_told_with_the_thread_that_did_it() {
    let supervisor = supervisor("").await;
    for (method, ending) in [
        ("abort", Ending::Signal { number: 6 }),
        ("exit0", Ending::Exit { code: 0 }),
        ("overflow", Ending::Signal { number: 11 }),
    ] {
        let crash = crash(&supervisor, "crasher", method).await;
        assert_eq!(crash.how, ending.to_string(), "{method}");
        assert_eq!(crash.evidence, Evidence::Held, "{method}");
        assert_eq!(
            crash.thread.as_ref().map(|thread| thread.tid),
            Some(crash.pid),
            "{method}"
        );
        assert!(!crash.registers.is_empty(), "{method}");
        supervisor.unload(&crash.plugin).await.ok();
    }
}

#[tokio::test]
async fn second_thread_is_told_by_its_name() {
    let supervisor = supervisor("").await;

    let crash = crash(&supervisor, "crasher", "thread").await;

    let thread = crash.thread.as_ref().expect("a thread");
    assert_eq!(thread.name, "second");
    assert_ne!(thread.tid, crash.pid);
    assert_eq!(
        crash.signal.as_ref().and_then(|s| s.address),
        Some(Address(0xdead0))
    );
}

#[tokio::test]
async fn denied_dangerous_call_is_told_from_where_it_was_made() {
    let supervisor = supervisor("").await;

    let crash = crash(&supervisor, "crasher", "denied").await;

    let syscall = "ptrace".to_owned();
    assert_eq!(crash.how, Ending::Denied { syscall }.to_string());
    assert_eq!(crash.evidence, Evidence::Waiting);
    let names: Vec<_> = crash.registers.iter().map(|r| &*r.name).collect();
    assert_eq!(names, ["ip", "sp"]);
    // The call instruction is libc's.
    assert!(
        crash.backtrace.frames[0].library.starts_with("libc"),
        "{crash:?}"
    );
}

/// Hybrid hosts and v2 freeze by the unified tree; a v1 freezer's processes can be read too.
#[tokio::test]
async fn isolated_worker_is_looked_at_while_it_is_frozen() {
    let supervisor = supervisor("").await;

    let crash = crash(&supervisor, "vandal", "forge").await;

    assert_eq!(crash.ending["kind"], "protocol", "{crash:?}");
    assert_eq!(crash.evidence, Evidence::Frozen, "{crash:?}");
    assert!(!crash.maps.is_empty());
}

#[tokio::test]
async fn of_a_kill_nothing_can_be_seen_and_it_says_so() {
    let supervisor = supervisor("").await;

    let crash = crash(&supervisor, "vandal", "allocate").await;

    assert_eq!(crash.how, Ending::OutOfMemory.to_string());
    let Evidence::None(why) = &crash.evidence else {
        panic!("{crash:?}")
    };
    assert!(why.contains("SIGKILL leaves no moment"), "{why}");
    assert!(crash.registers.is_empty() && crash.maps.is_empty());
    assert!(!crash.calls.is_empty());
}
