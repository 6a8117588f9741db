//! Serving a folder: every plugin in a worker of its own, a live table, until Ctrl-C.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cordon_supervisor::config::Policy;
use cordon_supervisor::lifecycle::State;
use cordon_supervisor::plugin::Event;
use cordon_supervisor::{PluginStatus, Supervisor};
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinSet;

use super::{Arguments, interrupted, start};
use crate::cli::exit::{Code, of_load};
use crate::cli::{Failure, Format, table};

/// How often a live table is drawn.
const REFRESH: Duration = Duration::from_secs(1);

/// Loads all, shows them until the user ends it, unloads all. Exits with the highest
/// code of the loads.
pub(super) async fn serve(
    arguments: &Arguments,
    policy: Policy,
    files: Vec<PathBuf>,
) -> Result<Code, Failure> {
    let interval = policy.monitor_interval.as_duration();
    let supervisor = Arc::new(start(policy).await?);
    let log = tokio::spawn(log(Arc::clone(&supervisor)));
    // One listener throughout: a signal between two of them would be lost.
    let mut interrupted = std::pin::pin!(interrupted());
    let code = tokio::select! {
        code = load(&supervisor, files) => code,
        () = &mut interrupted => Code::Interrupted,
    };
    if code != Code::Interrupted && !supervisor.list().is_empty() {
        tokio::select! {
            () = show(&supervisor, arguments.format, interval) => {}
            () = &mut interrupted => {}
        }
    }
    log.abort();
    unload(&supervisor).await;
    Ok(code)
}

async fn load(supervisor: &Arc<Supervisor>, files: Vec<PathBuf>) -> Code {
    let mut loads = JoinSet::new();
    for file in files {
        let supervisor = Arc::clone(supervisor);
        loads.spawn(async move { supervisor.load(&file).await });
    }
    let mut worst = Code::Ok;
    while let Some(result) = loads.join_next().await {
        if let Ok(Err(error)) = result {
            eprintln!("cordon: {error}");
            worst = worst.max(of_load(&error));
        }
    }
    worst
}

async fn unload(supervisor: &Arc<Supervisor>) {
    let mut unloads = JoinSet::new();
    for status in supervisor.list() {
        let supervisor = Arc::clone(supervisor);
        // One that has no worker needs no unloading.
        unloads.spawn(async move { supervisor.unload(&status.id).await.ok() });
    }
    unloads.join_all().await;
}

async fn show(supervisor: &Supervisor, format: Format, interval: Duration) {
    let live = format == Format::Table && std::io::stdout().is_terminal();
    let pause = if live { REFRESH } else { interval };
    let mut last = String::new();
    loop {
        supervisor.audit();
        let plugins = supervisor.list();
        match format {
            Format::Json => print_line(&serde_json::json!({ "plugins": plugins }).to_string()),
            Format::Table => {
                let text = as_table(&plugins);
                if live {
                    print_raw(&redraw(&text));
                } else if text != last {
                    print_raw(&text);
                }
                last = text;
            }
        }
        tokio::time::sleep(pause).await;
    }
}

/// Draws over what stood there, line by line: clearing first would flicker.
fn redraw(table: &str) -> String {
    let lines = format!("{table}\nCtrl-C ends it.\n").replace('\n', "\x1b[K\n");
    format!("\x1b[H{lines}\x1b[J")
}

fn print_line(line: &str) {
    print_raw(&format!("{line}\n"));
}

fn print_raw(text: &str) {
    let mut out = std::io::stdout().lock();
    // A reader that went away is no reason to stop serving.
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

fn as_table(plugins: &[PluginStatus]) -> String {
    let rows: Vec<Vec<String>> = plugins.iter().map(row).collect();
    let header = [
        "PLUGIN",
        "VERSION",
        "TRUST",
        "STATE",
        "CALLS",
        "HEAP",
        "CPU",
        "THREADS",
        "FDS",
        "VIOLATIONS",
    ];
    table::render(&header, &rows)
}

fn row(plugin: &PluginStatus) -> Vec<String> {
    let usage = plugin.usage;
    let figure = |value: Option<String>| value.unwrap_or_else(|| "-".into());
    let state = match &plugin.state {
        State::Failed { reason } => format!("failed: {reason}"),
        State::Unmounted { reason } => format!("unmounted: {reason}"),
        state => state.to_string(),
    };
    vec![
        plugin.id.to_string(),
        plugin.version.clone(),
        format!("{:?}", plugin.trust).to_uppercase(),
        state,
        plugin.counters.calls.to_string(),
        figure(usage.map(|usage| table::mebibytes(usage.heap))),
        figure(usage.map(|usage| format!("{} ms", usage.cpu_us / 1000))),
        figure(usage.map(|usage| usage.threads.to_string())),
        figure(usage.map(|usage| usage.fds.to_string())),
        plugin.counted.to_string(),
    ]
}

/// What happens, on standard error: the table shows only what is.
async fn log(supervisor: Arc<Supervisor>) {
    let mut events = supervisor.subscribe();
    drop(supervisor);
    loop {
        match events.recv().await {
            Ok(Event::Violation(violation)) => tracing::warn!("{violation}"),
            Ok(Event::State { plugin, state }) => tracing::info!("{plugin} is {state}"),
            Ok(Event::Line { plugin, line }) => tracing::info!("{plugin}: {}", line.text),
            Ok(Event::Emitted { plugin, name, .. }) => {
                tracing::info!("{plugin} emitted {:?}", name);
            }
            Err(RecvError::Lagged(missed)) => tracing::warn!("{missed} events not shown"),
            Err(RecvError::Closed) => return,
        }
    }
}
