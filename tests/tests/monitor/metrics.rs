//! Metrics: as the library gives them, and as `cordon run` shows them.

use std::collections::BTreeSet;
use std::time::Duration;

use cordon_supervisor::manifest::PluginId;
use cordon_supervisor::metrics::PluginMetrics;
use cordon_supervisor::violations::Class;
use cordon_supervisor::{Call, Supervisor};
use cordon_tests::command::Cordon;
use cordon_tests::host::{call, eventually, load, supervisor};
use cordon_tests::plugins::{example, fixture};
use nix::sys::signal::Signal;
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::timeout;

use super::NO_POLLS;

const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn calls_errors_and_latencies_are_counted_over_all_workers() {
    let supervisor = supervisor(NO_POLLS).await;
    let probe = load(&supervisor, &fixture("probe")).await;
    assert_eq!(metrics(&supervisor, &probe).counters.latency, None);

    for _ in 0..20 {
        call(&supervisor, &probe, "echo", "").await.unwrap();
    }
    call(&supervisor, &probe, "rest", "0.2").await.unwrap();
    call(&supervisor, &probe, "none-such", "")
        .await
        .unwrap_err();
    let late = Call {
        method: "rest",
        payload: b"20",
        deadline: Some(Duration::from_millis(50)),
        ..Call::default()
    };
    supervisor.call(&probe, late).await.unwrap_err();
    supervisor.unload(&probe).await.unwrap();
    supervisor.reload(&probe).await.unwrap();
    call(&supervisor, &probe, "echo", "").await.unwrap();

    let metrics = metrics(&supervisor, &probe);
    // The late one is answered where the plugin sees its time pass before we do.
    let answered = metrics.counters.calls;
    assert!((23..=24).contains(&answered), "{answered}");
    assert_eq!(metrics.counters.errors, 2);
    assert_eq!(
        (metrics.counters.launches, metrics.counters.restarts),
        (2, 0)
    );
    let latency = metrics.counters.latency.unwrap();
    assert!(latency.p50_us <= latency.p90_us && latency.p90_us <= latency.p99_us);
    assert!(
        latency.p99_us >= 200_000 && latency.max_us >= 200_000,
        "{latency:?}"
    );
    assert!(metrics.uptime.is_some());
}

#[tokio::test]
async fn violations_are_counted_by_kind_and_uptime_ends_with_the_worker() {
    let supervisor = supervisor("[restart]\nwhen = \"never\"").await;
    let vandal = load(&supervisor, &example("vandal")).await;

    call(&supervisor, &vandal, "open-shadow", "").await.ok();
    call(&supervisor, &vandal, "segv", "").await.unwrap_err();

    let gone = || metrics(&supervisor, &vandal).uptime.is_none();
    assert!(eventually(PATIENCE, gone).await);
    let metrics = metrics(&supervisor, &vandal);
    assert!(metrics.by_kind[&Class::Syscall] >= 1, "{metrics:?}");
    assert_eq!(metrics.usage, None);
}

#[tokio::test]
async fn stream_has_the_metrics_after_each_sweep() {
    let supervisor = supervisor("[monitor]\ninterval = \"100ms\"").await;
    let probe = load(&supervisor, &fixture("probe")).await;
    let mut sweeps = supervisor.watch_metrics();
    let first = sweeps.borrow_and_update().when;

    let mut last = first;
    for _ in 0..3 {
        timeout(PATIENCE, sweeps.changed()).await.unwrap().unwrap();
        let sweep = sweeps.borrow_and_update();
        assert!(sweep.when > last);
        last = sweep.when;
        assert_eq!(sweep.plugins[0].id, probe);
    }

    assert!(sweeps.borrow().plugins[0].usage.is_some());
}

#[test]
fn hostile_text_breaks_neither_table_nor_json() {
    let folder = TempDir::new().unwrap();
    for name in ["forger", "probe"] {
        let file = format!("lib{name}.so");
        std::fs::copy(fixture(name), folder.path().join(file)).unwrap();
    }
    let run = |format| {
        let run = Cordon::normal().run(folder.path());
        run.options(&["--format", format]).start()
    };

    let mut json = run("json");
    let sweep: Value = serde_json::from_str(&json.line()).unwrap();
    json.end(Signal::SIGINT);
    let mut table = run("table");
    let rows: Vec<String> = (0..3).map(|_| table.line()).collect();
    let (_, rest, _) = table.end(Signal::SIGINT);

    let plugins = sweep["plugins"].as_array().unwrap();
    let ids: Vec<_> = plugins.iter().map(|plugin| &plugin["id"]).collect();
    assert_eq!(ids, ["forger", "probe"]);
    let starts: Vec<_> = rows
        .iter()
        .filter_map(|row| row.split(' ').next())
        .collect();
    assert_eq!(starts, ["PLUGIN", "forger", "probe"], "{rows:#?}");
    let harmless = |c: char| !c.is_control() && c != '\u{202e}';
    assert!(
        rows.iter().all(|row| row.chars().all(harmless)),
        "{rows:#?}"
    );
    // A table that changed may follow.
    assert!(
        !rest.lines().any(|line| line.starts_with("forged")),
        "{rest}"
    );
}

#[test]
fn readme_describes_every_field_of_a_sweep() {
    let folder = TempDir::new().unwrap();
    std::fs::copy(fixture("probe"), folder.path().join("libprobe.so")).unwrap();
    let mut run = Cordon::normal()
        .run(folder.path())
        .options(&["--format", "json"])
        .start();
    let sweep: Value = serde_json::from_str(&run.line()).unwrap();
    run.end(Signal::SIGINT);

    let readme = std::fs::read_to_string(cordon_tests::workspace().join("README.md")).unwrap();
    // Every other part of a row's first cell is a field.
    let described: BTreeSet<&str> = readme
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once(" |"))
        .flat_map(|(cell, _)| cell.split('`').step_by(2))
        .collect();
    let keys = [&sweep, &sweep["plugins"][0], &sweep["plugins"][0]["usage"]];
    let keys = keys
        .iter()
        .flat_map(|object| object.as_object().unwrap().keys());
    let missing: Vec<_> = keys
        .filter(|field| !described.contains(field.as_str()))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

fn metrics(supervisor: &Supervisor, plugin: &PluginId) -> PluginMetrics {
    let all = supervisor.metrics().plugins;
    let one = all.into_iter().find(|metrics| metrics.id == *plugin);
    one.expect("no metrics")
}
