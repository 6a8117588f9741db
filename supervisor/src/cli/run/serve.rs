//! Serving a folder: every plugin in a worker of its own, a live table, until Ctrl-C.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cordon_supervisor::config::Policy;
use cordon_supervisor::lifecycle::State;
use cordon_supervisor::manifest::PluginId;
use cordon_supervisor::plugin::{Event, Output};
use cordon_supervisor::{PluginStatus, Supervisor};
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinSet;

use super::Arguments;
use crate::cli::exit::{Code, of_load};
use crate::cli::print::{self, Reader};
use crate::cli::{Failure, Format, interrupted, table};

/// How often a live table is drawn.
const REFRESH: Duration = Duration::from_secs(1);
/// How often it says that events weren't shown.
const LAG_NOTICE: Duration = Duration::from_secs(10);

/// Loads all, shows them until the user ends it or nobody reads any more, unloads all.
/// Exits with the highest code of the loads.
pub(super) async fn serve(
    arguments: &Arguments,
    policy: Policy,
    state: PathBuf,
    files: Vec<PathBuf>,
) -> Result<Code, Failure> {
    let interval = policy.monitor_interval.as_duration();
    let supervisor = Arc::new(arguments.policy.start(policy, state).await?);
    let log = tokio::spawn(log(Arc::clone(&supervisor)));
    // One listener throughout: a signal between two of them would be lost.
    let mut interrupted = std::pin::pin!(interrupted());
    let code = tokio::select! {
        code = load(&supervisor, files, arguments.format) => code,
        () = &mut interrupted => Code::Interrupted,
    };
    let mut shown = Ok(());
    if code != Code::Interrupted && !supervisor.list().is_empty() {
        shown = tokio::select! {
            shown = show(&supervisor, arguments.format, interval) => shown,
            () = &mut interrupted => Ok(()),
        };
    }
    log.abort();
    unload(&supervisor).await;
    shown.map(|()| code)
}

async fn load(supervisor: &Arc<Supervisor>, files: Vec<PathBuf>, format: Format) -> Code {
    let mut loads = JoinSet::new();
    for file in files {
        let supervisor = Arc::clone(supervisor);
        loads.spawn(async move { supervisor.load(&file).await });
    }
    let mut worst = Code::Ok;
    while let Some(result) = loads.join_next().await {
        match result {
            Ok(Ok(id)) if format == Format::Table => {
                supervisor.status(&id).iter().for_each(print::conceded);
            }
            Ok(Err(error)) => {
                print::error(&error);
                worst = worst.max(of_load(&error));
            }
            Ok(Ok(_)) | Err(_) => {}
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

/// Shows them for as long as somebody reads.
async fn show(supervisor: &Supervisor, format: Format, interval: Duration) -> Result<(), Failure> {
    let live = format == Format::Table && std::io::stdout().is_terminal();
    let pause = if live { REFRESH } else { interval };
    let mut last = String::new();
    loop {
        supervisor.audit();
        let plugins = supervisor.list();
        let reader = match format {
            Format::Json => print::json(&BTreeMap::from([("plugins", plugins)]))?,
            Format::Table => {
                let text = as_table(&plugins);
                let reader = if live {
                    print::text(redraw(&text))?
                } else if text != last {
                    print::text(&text)?
                } else {
                    Reader::There
                };
                last = text;
                reader
            }
        };
        if reader == Reader::Gone {
            return Ok(());
        }
        tokio::time::sleep(pause).await;
    }
}

/// Draws over what stood there, line by line: clearing first would flicker.
fn redraw(table: &str) -> String {
    let lines = format!("{table}\nCtrl-C ends it.\n").replace('\n', "\x1b[K\n");
    format!("\x1b[H{lines}\x1b[J")
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
    let state = match (&plugin.state, plugin.restart_in) {
        (State::Failed { reason }, Some(pause)) => {
            let seconds = pause.as_millis().div_ceil(1000);
            format!("failed: {reason}; restart in {seconds} s")
        }
        (State::Failed { reason }, None) => format!("failed: {reason}"),
        (State::Unmounted { reason }, _) => format!("unmounted: {reason}"),
        (state, _) => state.to_string(),
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
    let (mut events, mut output) = (supervisor.subscribe(), supervisor.subscribe_output());
    let policy = supervisor.policy().clone();
    let logged = |plugin: &PluginId| policy.rules(plugin).violations.log_violations;
    drop(supervisor);
    let mut missed = Missed::default();
    loop {
        let lag = tokio::select! {
            biased;
            event = events.recv() => match event {
                Ok(Event::Violation(violation)) => {
                    if logged(&violation.plugin) {
                        tracing::warn!("{violation}");
                    }
                    continue;
                }
                Ok(Event::Crash(crash)) => {
                    tracing::info!("{} crashed, see `cordon crash show {}`", crash.plugin, crash.id);
                    continue;
                }
                Ok(Event::State { plugin, state }) => {
                    tracing::info!("{plugin} is {state}");
                    continue;
                }
                Ok(Event::Notice { plugin, notice }) => {
                    tracing::info!("{plugin}: {notice}");
                    continue;
                }
                Err(lag) => lag,
            },
            said = output.recv() => match said {
                Ok(Output::Line { plugin, line }) => {
                    tracing::info!("{plugin}: {}", line.text);
                    continue;
                }
                Ok(Output::Emitted { plugin, name, .. }) => {
                    tracing::info!("{plugin} emitted {name:?}");
                    continue;
                }
                Err(lag) => lag,
            },
        };
        match lag {
            RecvError::Lagged(count) => missed.add(count),
            RecvError::Closed => return,
        }
    }
}

/// Events that came faster than they could be shown.
#[derive(Default)]
struct Missed {
    count: u64,
    told: Option<Instant>,
}

impl Missed {
    /// Says so, but not so often that it adds to the flood.
    fn add(&mut self, count: u64) {
        self.count += count;
        if self.told.is_none_or(|told| told.elapsed() >= LAG_NOTICE) {
            tracing::warn!("{} events not shown", self.count);
            *self = Missed {
                count: 0,
                told: Some(Instant::now()),
            };
        }
    }
}
