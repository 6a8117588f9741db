//! Audits: what a plugin takes, read from outside, its children included.

use std::time::Duration;

use cordon_supervisor::Supervisor;
use cordon_supervisor::connections::Connection;
use cordon_supervisor::limits::LimitName;
use cordon_supervisor::manifest::PluginId;
use cordon_supervisor::usage::Reading;
use cordon_supervisor::violations::{Kind, Tier};
use cordon_tests::host::{call, eventually, load, status, supervisor};
use cordon_tests::plugins::{Taker, fixture};
use cordon_tests::setting;

use super::NO_POLLS;

const MIB: u64 = 1 << 20;

#[tokio::test]
async fn files_are_counted_of_every_process() {
    let limit = "[limits]\nfds = { declared = 30, hard = 64 }\nthreads = 8\n";
    let policy = format!("{NO_POLLS}{limit}[plugin.taker.grants]\nprocesses = true\n");
    let (supervisor, taker, _plugin) = taker(&policy, "processes = true").await;
    let before = usage(&supervisor, &taker).fds;

    act(&supervisor, &taker, "fds", "4").await;
    let own = usage(&supervisor, &taker).fds;
    act(&supervisor, &taker, "child-fds", "20").await;
    let all = usage(&supervisor, &taker);

    assert_eq!(own, before + 4);
    // A child has its parent's too.
    assert!(all.fds >= 2 * own + 20, "{all:?} after {own}");
    assert_eq!(all.threads, 2);
    assert_eq!(counted(&supervisor, &taker, LimitName::Fds), Some(all.fds));
}

#[tokio::test]
async fn files_are_counted_without_a_main_thread() {
    let supervisor = supervisor(NO_POLLS).await;
    let probe = load(&supervisor, &fixture("probe")).await;
    let before = usage(&supervisor, &probe);

    // The main thread ends, and its call is never answered.
    let gone = call(&supervisor, &probe, "leave", "");
    let one_more = eventually(Duration::from_secs(20), || {
        usage(&supervisor, &probe).threads > before.threads
    });
    tokio::select! { _ = gone => panic!("it was answered"), _ = one_more => {} }

    assert_eq!(usage(&supervisor, &probe).fds, before.fds);
}

#[tokio::test]
async fn bytes_are_counted_of_every_process() {
    let host = tempfile::tempdir().unwrap();
    let grants = format!(
        "files = [{{ path = \"/out\", source = {:?}, access = \"write\" }}]\nprocesses = true",
        host.path()
    );
    let limits = "[limits]\nthreads = 8\ndisk = \"16MiB\"\n";
    let policy = format!("{NO_POLLS}{limits}[plugin.taker.grants]\n{grants}\n");
    let asks = "files = [{ path = \"/out\", access = \"write\" }]\nprocesses = true";
    let (supervisor, taker, _plugin) = taker(&policy, asks).await;
    let written = || usage(&supervisor, &taker).written.unwrap();
    let before = written();

    act(&supervisor, &taker, "write", "/out/own").await;
    let own = written();
    act(&supervisor, &taker, "child-write", "/out/child").await;

    if !on_storage(host.path()) {
        setting::skip(
            "bytes written",
            "the folder for temporary files is in memory",
        );
        return;
    }
    assert!(own >= before + MIB, "{before} then {own}");
    assert!(written() >= own + MIB, "{own} then {}", written());
}

#[tokio::test]
async fn connections_are_those_of_its_own_network() {
    let limit = "[limits]\nconnections = { declared = 2, hard = 8 }\n";
    let ports = "tcp = { bind = [7001], connect = [7001] }";
    let policy = format!("{NO_POLLS}{limit}[plugin.taker.grants]\n{ports}\n");
    let (supervisor, taker, _plugin) = taker(&policy, ports).await;
    let before = usage(&supervisor, &taker).connections;

    act(&supervisor, &taker, "serve", "7001").await;

    // A listener, and both ends of a connection.
    let after = usage(&supervisor, &taker).connections;
    assert_eq!((before, after), (Some(0), Some(3)));
    let listed = supervisor.connections().remove(&taker).unwrap();
    assert_eq!(listed.len(), 3, "{listed:?}");
    let listens = |one: &&Connection| one.local.port() == 7001 && one.remote.port() == 0;
    assert_eq!(listed.iter().filter(listens).count(), 1, "{listed:?}");
    assert_eq!(
        counted(&supervisor, &taker, LimitName::Connections),
        Some(3)
    );
}

#[tokio::test]
async fn connections_in_the_hosts_network_are_its_own_alone() {
    let theirs = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free_port();
    let asks = format!("net = \"full\"\ntcp = {{ bind = [{port}], connect = [{port}] }}");
    let policy = format!("{NO_POLLS}[plugin.taker.grants]\n{asks}\n");
    let (supervisor, taker, _plugin) = taker(&policy, &asks).await;
    let before = usage(&supervisor, &taker).connections;

    act(&supervisor, &taker, "serve", &port.to_string()).await;

    // Nobody accepted the other end.
    let after = usage(&supervisor, &taker).connections;
    assert_eq!((before, after), (Some(0), Some(2)));
    let listed = supervisor.connections().remove(&taker).unwrap();
    assert_eq!(listed.len(), 2, "{listed:?}");
    assert!(
        listed
            .iter()
            .all(|one| [one.local.port(), one.remote.port()].contains(&port))
    );
    drop(theirs);
}

#[tokio::test]
async fn plugin_without_a_network_has_no_connections_to_count() {
    let supervisor = supervisor(NO_POLLS).await;
    let probe = load(&supervisor, &fixture("probe")).await;

    assert_eq!(usage(&supervisor, &probe).connections, None);
    assert!(supervisor.connections().is_empty());
}

#[tokio::test]
async fn each_plugin_has_its_turn_within_the_interval() {
    let policy = "[monitor]\ninterval = \"400ms\"\n[limits]\nthreads = { declared = 2, hard = 8 }";
    let supervisor = supervisor(policy).await;
    let mut plugins = Vec::new();
    for name in ["probe", "hoarder", "denier"] {
        plugins.push(load(&supervisor, &fixture(name)).await);
    }

    let read = || {
        plugins
            .iter()
            .all(|plugin| status(&supervisor, plugin).usage.is_some())
    };
    assert!(eventually(Duration::from_secs(20), read).await);
}

/// The plugin, loaded; its folder is removed with what comes third.
async fn taker(policy: &str, asks: &str) -> (Supervisor, PluginId, Taker) {
    let plugin = Taker::asking(asks);
    let supervisor = supervisor(policy).await;
    let taker = load(&supervisor, &plugin.file).await;
    (supervisor, taker, plugin)
}

async fn act(supervisor: &Supervisor, plugin: &PluginId, method: &str, argument: &str) {
    let reply = call(supervisor, plugin, method, argument).await;
    assert_eq!(reply.as_deref(), Ok("ok"), "{method}");
}

fn usage(supervisor: &Supervisor, plugin: &PluginId) -> Reading {
    supervisor.audit();
    status(supervisor, plugin).usage.expect("no usage")
}

/// What the last violation of a declared limit says was used.
fn counted(supervisor: &Supervisor, plugin: &PluginId, resource: LimitName) -> Option<u64> {
    let tier = Tier::Declared;
    let violations = status(supervisor, plugin).violations;
    let wanted = Kind::Limit { resource, tier };
    let last = violations
        .iter()
        .rfind(|violation| violation.kind == wanted);
    Some(last?.used?.raw())
}

/// A port that nobody has just now.
fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

fn on_storage(folder: &std::path::Path) -> bool {
    let kind = nix::sys::statfs::statfs(folder).unwrap().filesystem_type();
    kind != nix::sys::statfs::TMPFS_MAGIC
}
