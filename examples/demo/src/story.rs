//! What the reader sees.

use std::io::{self, IsTerminal, Write};

use cordon_supervisor::PluginStatus;
use cordon_supervisor::lifecycle::State;
use cordon_supervisor::output::escape;

use crate::failure::Failure;

/// Columns of the table.
const COLUMNS: usize = 5;

/// Tells on standard output; titles are bold on a terminal.
pub(crate) struct Story {
    bold: bool,
}

impl Story {
    pub(crate) fn new() -> Story {
        Story {
            bold: io::stdout().is_terminal(),
        }
    }

    pub(crate) fn title(&self, text: &str) -> Result<(), Failure> {
        if self.bold {
            self.tell(format!("\n\x1b[1m{text}\x1b[0m"))
        } else {
            self.tell(format!("\n{text}"))
        }
    }

    pub(crate) fn tell(&self, text: impl AsRef<str>) -> Result<(), Failure> {
        Ok(writeln!(io::stdout(), "{}", text.as_ref())?)
    }

    /// How each plugin is, in columns as wide as their widest cell.
    pub(crate) fn table(&self, plugins: &[PluginStatus]) -> Result<(), Failure> {
        let header = [
            "PLUGIN",
            "STATE",
            "CALLS ANSWERED",
            "VIOLATIONS",
            "WHY UNMOUNTED",
        ];
        let mut rows = vec![header.map(str::to_owned)];
        rows.extend(plugins.iter().map(row));
        let widths: [usize; COLUMNS] = std::array::from_fn(|column| {
            let lengths = rows.iter().map(|row| row[column].chars().count());
            lengths.max().unwrap_or_default()
        });
        for row in rows {
            let cells = row.iter().zip(widths);
            let cells: Vec<_> = cells
                .map(|(cell, width)| format!("{cell:width$}"))
                .collect();
            self.tell(cells.join("  ").trim_end())?;
        }
        Ok(())
    }
}

/// Bytes of a plugin on one line, harmless to a terminal.
pub(crate) fn quote(reply: &[u8]) -> String {
    let lines = reply.split(|byte| *byte == b'\n').map(escape);
    let lines: Vec<_> = lines.filter(|line| !line.is_empty()).collect();
    format!("\"{}\"", lines.join(", "))
}

fn row(plugin: &PluginStatus) -> [String; COLUMNS] {
    let kinds = plugin.by_kind.iter();
    let kinds: Vec<_> = kinds
        .map(|(kind, count)| format!("{count} {kind}"))
        .collect();
    let reason = match &plugin.state {
        State::Unmounted { reason } => reason.to_string(),
        _ => "-".into(),
    };
    [
        plugin.id.to_string(),
        plugin.state.to_string(),
        plugin.counters.calls.to_string(),
        if kinds.is_empty() {
            "none".into()
        } else {
            kinds.join(", ")
        },
        reason,
    ]
}
