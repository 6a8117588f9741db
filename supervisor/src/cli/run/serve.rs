//! Serving a folder: every plugin in a worker of its own, a live table, until Ctrl-C.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use cordon_supervisor::config::Policy;
use cordon_supervisor::manifest::PluginId;
use cordon_supervisor::plugin::{Event, Output};
use cordon_supervisor::violations::unix_millis;
use cordon_supervisor::{PluginStatus, Supervisor};
use serde::Serialize;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinSet;

use super::{Arguments, dashboard};
use crate::cli::exit::{Code, of_load};
use crate::cli::print::{self, Reader};
use crate::cli::{Failure, Format, interrupted};

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
    let supervisor = Arc::new(arguments.policy.start(policy, state).await?);
    let alert = arguments.alert(&supervisor)?;
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
            shown = show(&supervisor, arguments.format) => shown,
            () = &mut interrupted => Ok(()),
        };
    }
    log.abort();
    unload(&supervisor).await;
    if let Some(alert) = alert {
        alert.finish();
    }
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

/// Shows them for as long as somebody reads: after each audit, at a terminal more often.
async fn show(supervisor: &Supervisor, format: Format) -> Result<(), Failure> {
    let live = format == Format::Table && std::io::stdout().is_terminal();
    let mut sweeps = supervisor.watch_metrics();
    let mut last = String::new();
    supervisor.audit();
    loop {
        let when = sweeps.borrow_and_update().when;
        let plugins = supervisor.list();
        let reader = match format {
            Format::Json => print::json(&Sweep { when, plugins })?,
            Format::Table => {
                let text = dashboard::render(&plugins);
                let reader = if live {
                    print::text(dashboard::redraw(&text))?
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
        if live {
            tokio::time::sleep(REFRESH).await;
            supervisor.audit();
        } else if sweeps.changed().await.is_err() {
            return Ok(());
        }
    }
}

/// One line of JSON, as README.md describes it.
#[derive(Serialize)]
struct Sweep {
    #[serde(rename = "when_ms", serialize_with = "unix_millis")]
    when: SystemTime,
    plugins: Vec<PluginStatus>,
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
