//! Each limit three times: below declared it works and nothing is recorded, between the tiers it
//! works and is recorded, at hard the plugin is stopped.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cordon_supervisor::ending::Ending;
use cordon_supervisor::limits::{Amount, LimitName};
use cordon_supervisor::manifest::PluginId;
use cordon_supervisor::violations::{Kind, Tier, Violation};
use cordon_supervisor::{CallError, PluginStatus, Supervisor};
use cordon_tests::host::{call, eventually, load, status, supervisor};
use cordon_tests::plugins::{Taker, example, fixture};
use tempfile::TempDir;

use Tier::{Declared, Hard};

const PATIENCE: Duration = Duration::from_secs(30);

/// A plugin under limits, and nothing but the test's own audits.
struct Held {
    supervisor: Supervisor,
    plugin: PluginId,
    limit: LimitName,
}

impl Held {
    async fn to(limit: LimitName, policy: &str, plugin: &Path) -> Self {
        let policy = format!("[monitor]\ninterval = \"24h\"\n[limits]\n{policy}");
        let supervisor = supervisor(&policy).await;
        let plugin = load(&supervisor, plugin).await;
        Self {
            supervisor,
            plugin,
            limit,
        }
    }

    async fn call(&self, method: &str, payload: &str) -> Result<String, CallError> {
        call(&self.supervisor, &self.plugin, method, payload).await
    }

    fn status(&self) -> PluginStatus {
        status(&self.supervisor, &self.plugin)
    }

    /// The tiers passed so far, in order, each with figures that say so.
    fn passed(&self) -> Vec<Tier> {
        self.supervisor.audit();
        let violations = self.status().violations;
        let tier = |violation: &Arc<Violation>| match violation.kind {
            Kind::Limit { resource, tier } if resource == self.limit => {
                let figures = [violation.used, violation.limit].map(Option::unwrap);
                let [used, limit] = figures.map(Amount::raw);
                // What is refused at hard was never used.
                let least = limit + u64::from(tier == Declared);
                assert!(used >= least, "{violation}");
                Some(tier)
            }
            _ => None,
        };
        violations.iter().filter_map(tier).collect()
    }

    /// As [`passed`](Self::passed), of what is recorded a moment after.
    async fn comes_to(&self, tiers: &[Tier]) -> bool {
        eventually(PATIENCE, || self.passed() == tiers).await
    }
}

fn ending(result: Result<String, CallError>) -> Ending {
    match result {
        Err(CallError::Ended { ending, .. }) => ending,
        other => panic!("it lives: {other:?}"),
    }
}

#[tokio::test]
async fn heap() {
    let limit = "heap = { declared = \"16MiB\", hard = \"40MiB\" }";
    let held = Held::to(LimitName::Heap, limit, &fixture("probe")).await;

    held.call("heap", "8").await.unwrap();
    assert_eq!(held.passed(), []);
    held.call("heap", "20").await.unwrap();
    assert_eq!(held.passed(), [Declared]);
    let above = held.call("heap", "80").await;

    assert_eq!(ending(above), Ending::OutOfMemory);
    assert_eq!(held.status().by_kind["oom-kill"], 1);
}

#[tokio::test]
async fn cpu_time_of_a_call() {
    let limit = "cpu = { declared = \"1s\", hard = \"3s\" }";
    let held = Held::to(LimitName::Cpu, limit, &fixture("probe")).await;

    held.call("spin", "0.02").await.unwrap();
    assert_eq!(held.passed(), []);
    held.call("spin", "1.5").await.unwrap();
    assert!(held.comes_to(&[Declared]).await);
    let above = held.call("spin", "100").await;

    assert!(matches!(ending(above), Ending::Cpu { .. }));
    assert_eq!(
        held.passed(),
        [Declared, Declared, Hard],
        "{:#?}",
        held.status().violations
    );
}

#[tokio::test]
async fn share_of_the_processors() {
    let limits = "cpu = \"1h\"\ncpu_share = { declared = \"2%\", hard = \"50%\" }";
    let held = Held::to(LimitName::CpuShare, limits, &fixture("probe")).await;
    // Beyond the span over which the share is reckoned.
    let span = Duration::from_millis(1100);
    held.supervisor.audit();

    tokio::time::sleep(span).await;
    assert_eq!(held.passed(), []);
    held.call("spin", "0.3").await.unwrap();
    tokio::time::sleep(span).await;
    assert_eq!(held.passed(), [Declared]);
    tokio::time::sleep(span).await;
    assert_eq!(held.passed(), [Declared]);
    let started = Instant::now();
    held.call("spin", "1").await.unwrap();

    // At half a core, less the quota of its first period.
    assert!(started.elapsed() > Duration::from_millis(1700));
    assert_eq!(held.passed(), [Declared, Declared]);
}

#[tokio::test]
async fn threads() {
    let limit = "threads = { declared = 2, hard = 4 }";
    let held = Held::to(LimitName::Threads, limit, &fixture("probe")).await;

    held.call("threads", "1").await.unwrap();
    assert_eq!(held.passed(), []);
    held.call("threads", "1").await.unwrap();
    assert_eq!(held.passed(), [Declared]);
    let above = held.call("threads", "5").await;

    assert!(above.unwrap_err().to_string().contains("no thread"));
    assert!(held.comes_to(&[Declared, Hard]).await);
}

#[tokio::test]
async fn file_descriptors() {
    let of_18 = async |tiers: &str| {
        let limit = format!("fds = {tiers}");
        Held::to(LimitName::Fds, &limit, &fixture("hoarder"))
            .await
            .passed()
    };
    assert_eq!(of_18("{ declared = 18, hard = 20 }").await, []);
    assert_eq!(of_18("{ declared = 17, hard = 20 }").await, [Declared]);

    let above = supervisor("[limits]\nfds = { declared = 16, hard = 17 }").await;
    let error = above.load(&fixture("hoarder")).await.unwrap_err();
    assert!(error.to_string().contains("no more files"), "{error}");
}

#[tokio::test]
async fn disk_of_one_place() {
    let taker = Taker::asking("tmp = \"4MiB\"");
    let limit = "heap = \"64MiB\"\ndisk = \"4MiB\"";
    let held = Held::to(LimitName::Disk, limit, &taker.file).await;
    let write = async |file: &str| held.call("write", file).await.unwrap();

    for file in ["/tmp/a", "/tmp/b", "/tmp/c", "/tmp/d"] {
        assert_eq!(write(file).await, "ok");
    }
    assert_eq!(held.passed(), []);
    assert_eq!(write("/tmp/e").await, "ok");
    assert_eq!(held.passed(), [Declared]);
    let above = write("/tmp/f").await;

    assert_eq!(above, "ENOSPC");
    assert_eq!(held.status().usage.unwrap().disk, 5 << 20);
}

/// Each place has a cap of its own; their sum is looked at by the audit.
#[tokio::test]
async fn disk_of_several_places() {
    let files = "tmp = \"4MiB\"\nfiles = [{ path = \"/layer\", access = \"overlay\" }]";
    let taker = Taker::asking(files);
    let layer = TempDir::with_prefix("cordon-layer-").unwrap();
    let source = layer.path().display();
    let grant = format!(
        "[grants]\nfiles = [{{ path = \"/layer\", source = \"{source}\", access = \"overlay\", \
         bytes = \"64MiB\", inodes = 16 }}]"
    );
    let limit =
        format!("heap = \"64MiB\"\ndisk = {{ declared = \"4MiB\", hard = \"8MiB\" }}\n{grant}");
    let held = Held::to(LimitName::Disk, &limit, &taker.file).await;
    let write = async |file: &str| held.call("write", file).await.unwrap();

    for file in ["/tmp/a", "/tmp/b", "/layer/a", "/layer/b"] {
        assert_eq!(write(file).await, "ok");
    }
    // Of an overlay some pages are its own.
    assert!(held.passed().len() <= 1);
    for file in ["/tmp/c", "/layer/c"] {
        assert_eq!(write(file).await, "ok");
    }
    assert_eq!(held.passed(), [Declared]);
    for file in ["/tmp/d", "/layer/d", "/layer/e"] {
        assert_eq!(write(file).await, "ok");
    }
    let worker = held.supervisor.worker(&held.plugin).unwrap();

    assert_eq!(held.passed(), [Declared, Hard]);
    let ending = worker.ended().await;
    assert!(
        matches!(
            ending,
            Ending::Limit {
                resource: LimitName::Disk,
                ..
            }
        ),
        "{ending}"
    );
}

#[tokio::test]
async fn connections() {
    let ports = "tcp = { bind = [7001, 7002, 7003], connect = [7001, 7002, 7003] }";
    let taker = Taker::asking(ports);
    let limit = format!("connections = {{ declared = 3, hard = 6 }}\n[grants]\n{ports}");
    let held = Held::to(LimitName::Connections, &limit, &taker.file).await;
    let worker = held.supervisor.worker(&held.plugin).unwrap();
    // A listener, and both ends of a connection.
    let three_more = async |port: &str| held.call("serve", port).await.unwrap();

    assert_eq!(three_more("7001").await, "ok");
    assert_eq!(held.passed(), []);
    assert_eq!(three_more("7002").await, "ok");
    assert_eq!(held.passed(), [Declared]);
    assert_eq!(three_more("7003").await, "ok");

    assert_eq!(held.passed(), [Declared, Hard]);
    let ending = worker.ended().await;
    assert!(matches!(ending, Ending::Limit { .. }), "{ending}");
}

#[tokio::test]
async fn bytes_of_log() {
    let limit = "log = { declared = \"64B\", hard = \"80B\" }";
    let held = Held::to(LimitName::Log, limit, &fixture("probe")).await;

    held.call("log", "one").await.unwrap();
    assert_eq!(held.passed(), []);
    held.call("log", "two").await.unwrap();
    assert_eq!(held.passed(), [Declared]);
    held.call("log", "three").await.unwrap();

    assert_eq!(held.passed(), [Declared, Hard]);
    let lines = held.status().lines;
    let lines: Vec<_> = lines.iter().map(|line| line.text.as_str()).collect();
    assert_eq!(lines, ["one", "two"]);
}

#[tokio::test]
async fn messages() {
    let limit = "messages = { declared = 2, hard = 3 }";
    let held = Held::to(LimitName::Messages, limit, &fixture("probe")).await;
    let set = async || held.call("set", "key=value").await.is_ok();

    assert!(set().await && set().await);
    assert_eq!(held.passed(), []);
    assert!(set().await);
    assert_eq!(held.passed(), [Declared]);
    assert!(!set().await);

    assert_eq!(held.passed(), [Declared, Hard]);
}

#[tokio::test]
async fn denials() {
    let limit = "denials = { declared = 2, hard = 3 }";
    let held = Held::to(LimitName::Denials, limit, &example("vandal")).await;
    let denied = async || held.call("connect-host", "127.0.0.1:9").await;

    for _ in 0..2 {
        assert!(denied().await.unwrap().starts_with("STOPPED"));
    }
    assert_eq!(held.passed(), []);
    assert!(denied().await.unwrap().starts_with("STOPPED"));
    assert_eq!(held.passed(), [Declared]);
    let above = denied().await;

    assert_eq!(ending(above), Ending::DenialFlood { used: 4 });
    assert_eq!(held.passed(), [Declared, Hard]);
}
