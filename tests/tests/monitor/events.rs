//! Events: recorded as the kernel tells them, without a poll.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use cordon_supervisor::ending::Ending;
use cordon_supervisor::lifecycle::{Failure, State};
use cordon_supervisor::limits::LimitName;
use cordon_supervisor::manifest::PluginId;
use cordon_supervisor::notice::{Notice, Resource};
use cordon_supervisor::plugin::Event;
use cordon_supervisor::violations::{Kind, Tier, Violation};
use cordon_supervisor::{CallError, Supervisor};
use cordon_tests::host::{call, eventually, load, status, supervisor};
use cordon_tests::plugins::{Taker, example, fixture};
use tokio::sync::broadcast::Receiver;
use tokio::time::timeout;

use super::NO_POLLS;

/// For what takes milliseconds on a machine that has nothing else to do.
const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn heap_above_declared_is_recorded_at_once_with_its_figure() {
    let limit = "[limits]\nheap = { declared = \"16MiB\", hard = \"256MiB\" }\ncpu = \"600s\"";
    let supervisor = supervisor(&format!("{NO_POLLS}{limit}")).await;
    let probe = load(&supervisor, &fixture("probe")).await;

    call(&supervisor, &probe, "heap", "8").await.unwrap();
    let below = status(&supervisor, &probe).counted;
    call(&supervisor, &probe, "heap", "64").await.unwrap();

    assert_eq!(below, 0);
    let counted = || status(&supervisor, &probe).counted == 1;
    assert!(eventually(PATIENCE, counted).await);
    let violation = last(&supervisor, &probe);
    let heap = Kind::Limit {
        resource: LimitName::Heap,
        tier: Tier::Declared,
    };
    assert_eq!(violation.kind, heap);
    assert!(violation.used.unwrap().raw() > 16 << 20, "{violation}");
}

#[tokio::test]
async fn kill_for_memory_is_recorded_once_with_its_figure() {
    // Not whole pages, of which what is charged consists.
    let limit = "[limits]\ncpu = \"600s\"\n\
                 heap = { declared = \"33555000B\", hard = \"33555000B\" }";
    let supervisor = supervisor(&format!("{NO_POLLS}{limit}")).await;
    let probe = load(&supervisor, &fixture("probe")).await;

    let error = call(&supervisor, &probe, "heap", "512").await.unwrap_err();

    let CallError::Ended { ending, .. } = error else {
        panic!("{error}")
    };
    assert_eq!(ending, Ending::OutOfMemory);
    let status = status(&supervisor, &probe);
    assert_eq!(status.by_kind["oom-kill"], 1);
    let violation = last(&supervisor, &probe);
    assert_eq!(violation.kind, Kind::OomKill);
    assert_eq!(violation.limit.unwrap().raw(), 33_555_000);
    let used = violation.used.expect("no figure").raw();
    let page = rustix::param::page_size() as u64;
    assert!(used.is_multiple_of(page), "{violation}");
    assert!((24 << 20..33_555_000).contains(&used), "{violation}");
}

#[tokio::test]
async fn refused_thread_is_recorded_while_the_call_goes_on() {
    let limit = "[limits]\nthreads = { declared = 2, hard = 4 }";
    let supervisor = supervisor(&format!("{NO_POLLS}{limit}")).await;
    let plugin = Taker::asking("");
    let taker = load(&supervisor, &plugin.file).await;

    // Longer than anybody waits here.
    let bomb = call(&supervisor, &taker, "bomb", "600");
    let seen = eventually(PATIENCE, || status(&supervisor, &taker).counted > 0);
    let seen = tokio::select! { seen = seen => seen, _ = bomb => false };

    assert!(seen);
    let pid = supervisor.worker(&taker).unwrap().pid();
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let violation = last(&supervisor, &taker);
    match violation.used {
        Some(used) => assert_eq!(used.raw(), threads.count() as u64, "{violation}"),
        None => cordon_tests::setting::skip("the figure", "this kernel has no pids.peak"),
    }
    assert_eq!(violation.limit.unwrap().raw(), 4);
    assert_eq!(violation.calls.len(), 1, "{violation}");
}

#[tokio::test]
async fn exit_is_told_before_the_state_that_it_leads_to() {
    let supervisor = supervisor(NO_POLLS).await;
    let vandal = load(&supervisor, &example("vandal")).await;
    let mut events = supervisor.subscribe();

    call(&supervisor, &vandal, "segv", "").await.unwrap_err();

    let first = next(&mut events).await;
    let exited =
        matches!(&first, Event::Notice { plugin, notice: Notice::Exited } if *plugin == vandal);
    assert!(exited, "{first:?}");
    let second = next(&mut events).await;
    let ending = Ending::Signal {
        number: libc::SIGSEGV,
    };
    let reason = Failure::Ended { ending };
    let failed = matches!(&second, Event::State { state: State::Failed { reason: why }, .. } if *why == reason);
    assert!(failed, "{second:?}");
}

#[tokio::test]
async fn group_that_somebody_freezes_is_told() {
    let supervisor = supervisor(NO_POLLS).await;
    let probe = load(&supervisor, &fixture("probe")).await;
    let Some(group) = unified_group(supervisor.worker(&probe).unwrap().pid()) else {
        cordon_tests::setting::skip("frozen groups", "there is no unified hierarchy");
        return;
    };
    let mut events = supervisor.subscribe();
    let frozen = async |wanted: bool, events: &mut Receiver<Event>| {
        let switch = if wanted { "1" } else { "0" };
        std::fs::write(group.join("cgroup.freeze"), switch).unwrap();
        let event = next(events).await;
        assert!(
            matches!(event, Event::Notice { notice: Notice::Frozen(told), .. } if told == wanted),
            "{event:?}"
        );
    };

    frozen(true, &mut events).await;
    frozen(false, &mut events).await;
}

#[tokio::test]
async fn stalls_are_told_with_how_long_they_were() {
    if std::fs::read_to_string("/proc/pressure/cpu").is_err() {
        cordon_tests::setting::skip("stalls", "this kernel doesn't measure them");
        return;
    }
    let limits = "[limits]\nthreads = 8\ncpu = \"600s\"\n";
    let supervisor = supervisor(&format!("{NO_POLLS}{limits}")).await;
    let plugin = Taker::asking("");
    let taker = load(&supervisor, &plugin.file).await;
    let mut events = supervisor.subscribe();

    // Three threads for one core, for longer than anybody waits here.
    let contend = call(&supervisor, &taker, "contend", "600");
    let stalled = async {
        loop {
            if let Event::Notice { notice, .. } = next(&mut events).await {
                return notice;
            }
        }
    };
    let notice = tokio::select! { notice = stalled => notice, _ = contend => panic!("done") };

    let Notice::Stalled {
        resource,
        stalled,
        within,
    } = notice
    else {
        panic!("{notice}")
    };
    assert_eq!(resource, Resource::Cpu);
    assert!(stalled >= within / 2, "{notice}");
}

/// The folder of a process's group on the unified hierarchy.
fn unified_group(pid: u32) -> Option<PathBuf> {
    let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let group = groups.lines().find_map(|line| line.strip_prefix("0::/"))?;
    let mounts = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified"].map(Path::new);
    let unified = mounts
        .into_iter()
        .find(|mount| mount.join("cgroup.controllers").exists())?;
    Some(unified.join(group))
}

async fn next(events: &mut Receiver<Event>) -> Event {
    timeout(PATIENCE, events.recv())
        .await
        .expect("no event")
        .unwrap()
}

fn last(supervisor: &Supervisor, plugin: &PluginId) -> Arc<Violation> {
    let violations = status(supervisor, plugin).violations;
    violations.last().expect("no violation").clone()
}
