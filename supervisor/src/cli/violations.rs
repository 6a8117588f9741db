//! `cordon violations`: the history on disk, from the oldest to the latest.

use std::process::ExitCode;
use std::time::SystemTime;

use cordon_supervisor::history::{Filter, Record, Records};
use cordon_supervisor::manifest::PluginId;
use cordon_supervisor::output::escape;
use cordon_supervisor::state::StateDir;
use cordon_supervisor::units::{TimeSpan, Timestamp};

use super::exit::Code;
use super::print::{self, Reader};
use super::{Failure, Format, StateArguments};

/// Printed at a time.
const BLOCK: usize = 64 * 1024;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// A plugin's id; without one, all.
    plugin: Option<PluginId>,
    /// From then on: a time ago such as 10m, or a moment such as 2026-11-21T03:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = since)]
    since: Option<Timestamp>,
    /// How to print; as JSON, the lines as they are in the file.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Runs the command.
pub(super) fn violations(
    arguments: &Arguments,
    state: &StateArguments,
) -> Result<ExitCode, Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::new(Code::Error, error);
    let folder = StateDir::find(&state.folder()?).map_err(|error| failed(&error))?;
    // Where there is no folder nothing ever happened.
    let Some(folder) = folder else {
        return Ok(Code::Ok.into());
    };
    let filter = Filter {
        plugin: arguments.plugin.clone(),
        since: arguments.since,
    };
    let mut records = Records::open(&folder, filter).map_err(|error| failed(&error))?;
    let mut block = String::new();
    for record in records.by_ref() {
        let record = record.map_err(|error| failed(&error))?;
        match arguments.format {
            Format::Json => block.push_str(&record.line),
            Format::Table => block.push_str(&row(&record)),
        }
        block.push('\n');
        if block.len() >= BLOCK && print::text(std::mem::take(&mut block))? == Reader::Gone {
            return Ok(Code::Ok.into());
        }
    }
    print::text(block)?;
    if records.unreadable() > 0 {
        print::error(&format_args!(
            "warning: {} lines of the history are no records of violations",
            records.unreadable()
        ));
    }
    Ok(Code::Ok.into())
}

/// What it says of the plugin was escaped when it was written, but a file can be changed.
fn row(record: &Record) -> String {
    let Record {
        time,
        plugin,
        kind,
        severity,
        ..
    } = record;
    let (kind, evidence) = (escape(kind.as_bytes()), escape(record.evidence.as_bytes()));
    let mut row = format!("{time}  {severity:<8}  {plugin:<16}  {kind:<14}  {evidence}");
    if record.repeated > 0 {
        row += &format!(", and {} more", record.repeated);
    }
    if record.lost > 0 {
        row += &format!(" ({} before it are lost)", record.lost);
    }
    row.trim_end().to_owned()
}

fn since(text: &str) -> Result<Timestamp, String> {
    if let Ok(ago) = text.parse::<TimeSpan>() {
        let moment = SystemTime::now().checked_sub(ago.as_duration());
        return Ok(moment.unwrap_or(SystemTime::UNIX_EPOCH).into());
    }
    text.parse()
        .map_err(|error| format!("{error}, or a time ago like 10m"))
}
