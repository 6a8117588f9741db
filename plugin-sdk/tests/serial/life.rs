//! From the manifest to the end: creation, state, shutdown.

use plugin_sdk::abi::Status;
use plugin_sdk::testing::Snapshot;
use plugin_sdk::{Level, Plugin};

use super::plugin::Full;
use super::{failure, host};

#[test]
fn manifest_is_the_toml_of_what_is_declared() {
    let expected: toml::Table = r#"
        id = "full"
        version = "2.1.0-rc.1"
        abi = "1.0"
        author = "O'Hara \"the\\first\" é\t\u007f"
        description = "Everything"
        concurrency = { pool = 4 }
        methods = ["greet", "panics", "relay", "time.left", "large"]
        [[hooks]]
        name = "request"
        priority = 200
        [[hooks]]
        name = "response"
        priority = 0
        [requires]
        files = [{ path = "/etc/hosts", access = "read" }, { path = "/var/lib/x", access = "write" }, { path = "/work", access = "overlay" }]
        tmp = "16MiB"
        net = "isolated"
        tcp = { bind = [80, 8080], connect = [443] }
        env = ["LANG"]
        processes = false
        capabilities = ["NET_BIND_SERVICE", "NET_RAW"]
        locked_memory = "64KiB"
        nice = -5
        realtime = 10
        [limits]
        heap = "50MB"
        cpu = "1000ms"
        threads = 4
        fds = 32
        disk = "0"
        messages = 10000
        [dependencies]
        clock = ">=1, <3"
        [metadata]
        "home page" = "https://example.org"
    "#
    .parse()
    .unwrap();

    assert_eq!(Full::MANIFEST.parse::<toml::Table>().unwrap(), expected);
}

#[test]
fn init_refuses_with_its_text() {
    assert_eq!(
        host().create::<Full>(b"").err(),
        Some(failure(Status::ERROR, "no greeting"))
    );
}

#[test]
fn panic_in_init_is_caught() {
    assert_eq!(
        host().create::<Full>(b"panic").err(),
        Some(failure(Status::PANIC, "panic in init"))
    );
}

#[test]
fn state_moves_to_another_instance() {
    let host = host();
    let (old, new) = (
        host.create::<Full>(b"Hello").unwrap(),
        host.create::<Full>(b"Hello").unwrap(),
    );
    old.call("greet", b"Bob").unwrap();

    let snapshot = old.snapshot().unwrap();
    new.restore(&snapshot).unwrap();

    assert_eq!(
        snapshot,
        Snapshot {
            schema: 7,
            state: vec![1, 0, 0, 0]
        }
    );
    assert_eq!(new.health().unwrap(), "1 calls");
}

#[test]
fn unknown_schema_is_unsupported_and_logged() {
    let host = host();
    let full = host.create::<Full>(b"Hello").unwrap();

    let refused = full
        .restore(&Snapshot {
            schema: 8,
            state: Vec::new(),
        })
        .unwrap_err();

    assert_eq!(refused.status, Status::UNSUPPORTED);
    assert_eq!(
        host.logs(),
        [(Level::Error, "restore: schema 8".to_owned())]
    );
}

#[test]
fn failed_shutdown_is_logged() {
    let host = host();
    let full = host.create::<Full>(b"Hello").unwrap();

    assert_eq!(full.shutdown().unwrap_err().status, Status::ERROR);
    assert_eq!(
        host.logs(),
        [
            (Level::Warn, "ending".to_owned()),
            (Level::Error, "shutdown: not saved".to_owned())
        ]
    );
}
