//! A host program that is to be stopped while its plugins go on.
//!
//!     suspended-host POLICY PLUGIN...
//!
//! Has each plugin begin the deed that its id names, and calls those named `answer` and
//! `overdue`, with a deadline. Prints a line of JSON when all is under way, plugins with their
//! pids, and then one every half second with what came of it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cordon_supervisor::config::Policy;
use cordon_supervisor::manifest::PluginId;
use cordon_supervisor::plugin::Output;
use cordon_supervisor::{Call, CallError, Supervisor};
use serde_json::{Value, json};

/// More than a plugin waits before its deed, and less than the host is stopped for.
const DEADLINE: Duration = Duration::from_secs(4);
const INTERVAL: Duration = Duration::from_millis(500);

type Results = Arc<Mutex<BTreeMap<String, String>>>;
type Lines = Arc<Mutex<BTreeMap<String, Vec<String>>>>;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut arguments = std::env::args_os().skip(1);
    let policy = arguments.next().unwrap_or_default();
    let policy = Policy::load(Path::new(&policy)).unwrap_or_else(|error| panic!("{error}"));
    let started = Supervisor::builder().policy(policy).start().await;
    let supervisor = Arc::new(started.unwrap_or_else(|error| panic!("{error}")));
    let lines = follow(&supervisor);
    let results = Results::default();
    let mut plugins = Vec::new();
    for file in arguments {
        let loaded = supervisor.load(Path::new(&file)).await;
        plugins.push(loaded.unwrap_or_else(|error| panic!("{error}")));
    }
    let pids: BTreeMap<_, _> = plugins
        .iter()
        .map(|plugin| {
            (
                plugin.to_string(),
                supervisor.worker(plugin).map(|w| w.pid()),
            )
        })
        .collect();
    for plugin in &plugins {
        begin(&supervisor, plugin, &results).await;
    }
    println!("{}", json!(pids));
    loop {
        tokio::time::sleep(INTERVAL).await;
        println!("{}", report(&supervisor, &plugins, &lines, &results).await);
    }
}

/// What plugins print and log from now on.
fn follow(supervisor: &Supervisor) -> Lines {
    let mut output = supervisor.subscribe_output();
    let lines = Lines::default();
    let kept = Arc::clone(&lines);
    tokio::spawn(async move {
        while let Ok(output) = output.recv().await {
            if let Output::Line { plugin, line } = output {
                let mut kept = kept.lock().unwrap_or_else(|error| panic!("{error}"));
                kept.entry(plugin.to_string()).or_default().push(line.text);
            }
        }
    });
    lines
}

async fn begin(supervisor: &Arc<Supervisor>, plugin: &PluginId, results: &Results) {
    let id = plugin.to_string();
    if !matches!(id.as_str(), "answer" | "overdue") {
        let begun = call(supervisor, plugin, &id, None).await;
        assert_eq!(begun.as_deref(), Ok("begun"), "{id}");
        return;
    }
    let (supervisor, plugin, results) =
        (Arc::clone(supervisor), plugin.clone(), Arc::clone(results));
    tokio::spawn(async move {
        let result = match call(&supervisor, &plugin, &id, Some(DEADLINE)).await {
            Ok(reply) => reply,
            Err(error) => format!("{error:?}"),
        };
        let mut results = results.lock().unwrap_or_else(|error| panic!("{error}"));
        results.insert(id, result);
    });
    // The call is in the worker's socket once that task has run.
    tokio::task::yield_now().await;
}

async fn call(
    supervisor: &Supervisor,
    plugin: &PluginId,
    method: &str,
    deadline: Option<Duration>,
) -> Result<String, CallError> {
    let call = Call {
        method,
        deadline,
        ..Call::default()
    };
    let reply = supervisor.call(plugin, call).await?;
    Ok(String::from_utf8_lossy(&reply).into_owned())
}

async fn report(
    supervisor: &Supervisor,
    plugins: &[PluginId],
    lines: &Lines,
    results: &Results,
) -> Value {
    let mut report = serde_json::Map::new();
    for plugin in plugins {
        let id = plugin.to_string();
        let beats = match id.as_str() {
            "beat" => call(supervisor, plugin, "beats", None).await.ok(),
            _ => None,
        };
        let status = supervisor.status(plugin);
        let of_plugin = json!({
            "state": status.as_ref().map(|status| status.state.clone()),
            "violations": status.map(|status| status.by_kind),
            "lines": lines.lock().unwrap_or_else(|error| panic!("{error}")).get(&id),
            "result": results.lock().unwrap_or_else(|error| panic!("{error}")).get(&id),
            "beats": beats,
        });
        report.insert(id, of_plugin);
    }
    report.into()
}
