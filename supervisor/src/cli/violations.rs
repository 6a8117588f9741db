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
    // Whose it is and how grave has columns of its own.
    let known = format!("{plugin}: {severity}: ");
    let message = record
        .message
        .strip_prefix(&known)
        .unwrap_or(&record.message);
    let (kind, message) = (escape(kind.as_bytes()), escape(message.as_bytes()));
    let mut row = format!("{time}  {severity:<8}  {plugin:<16}  {kind:<14}  {message}");
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::UNIX_EPOCH;

    use cordon_supervisor::limits::{Amount, LimitName};
    use cordon_supervisor::units::ByteSize;
    use cordon_supervisor::violations::{Kind, Tier, Violation};

    use super::*;

    #[test]
    fn a_row_has_the_figures() {
        let (resource, tier) = (LimitName::Heap, Tier::Declared);
        let kind = Kind::Limit { resource, tier };
        let bytes = |megabytes| Amount::Bytes(ByteSize::mb(megabytes));
        let violation = Violation::new("greet".parse().unwrap(), kind, UNIX_EPOCH)
            .measured(bytes(70), bytes(50));
        let text = row(&Record {
            time: violation.when.into(),
            plugin: violation.plugin.clone(),
            kind: resource.to_string(),
            severity: violation.severity,
            repeated: 0,
            message: violation.to_string(),
            lost: 2,
            line: String::new(),
        });
        let end = "70 MB used, 50 MB allowed (2 before it are lost)";
        assert!(text.ends_with(end) && !text.contains("greet:"), "{text}");
    }
}
