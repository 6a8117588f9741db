//! The table of plugins that a folder run shows.

use std::time::Duration;

use cordon_supervisor::PluginStatus;
use cordon_supervisor::lifecycle::State;
use cordon_supervisor::output::escape;

use crate::cli::table;

const HEADER: [&str; 18] = [
    "PLUGIN",
    "VERSION",
    "TRUST",
    "STATE",
    "UP",
    "RESTARTS",
    "CALLS",
    "ERRORS",
    "P50",
    "P90",
    "P99",
    "HEAP",
    "CPU",
    "THREADS",
    "FDS",
    "CONNS",
    "READ/WRITTEN",
    "VIOLATIONS",
];

pub(super) fn render(plugins: &[PluginStatus]) -> String {
    let rows: Vec<Vec<String>> = plugins.iter().map(row).collect();
    table::render(&HEADER, &rows)
}

/// Draws over what stood there, line by line: clearing first would flicker. A line that is too
/// long is cut by the terminal (DECAWM off), since one that wraps would push the others down.
pub(super) fn redraw(table: &str) -> String {
    let lines = format!("{table}\nCtrl-C ends it.\n").replace('\n', "\x1b[K\n");
    format!("\x1b[?7l\x1b[H{lines}\x1b[J\x1b[?7h")
}

fn row(plugin: &PluginStatus) -> Vec<String> {
    let (counters, usage) = (&plugin.counters, plugin.usage);
    let figure = |value: Option<String>| value.unwrap_or_else(|| "-".into());
    let took = |part: fn(&cordon_supervisor::metrics::Latency) -> u64| {
        figure(
            counters
                .latency
                .as_ref()
                .map(|latency| micros(part(latency))),
        )
    };
    let transferred = usage.and_then(|usage| usage.read.zip(usage.written));
    vec![
        plugin.id.to_string(),
        plugin.version.clone(),
        format!("{:?}", plugin.trust).to_uppercase(),
        // A reason may quote the plugin.
        escape(state(plugin).as_bytes()),
        figure(plugin.uptime.map(span)),
        counters.restarts.to_string(),
        counters.calls.to_string(),
        counters.errors.to_string(),
        took(|latency| latency.p50_us),
        took(|latency| latency.p90_us),
        took(|latency| latency.p99_us),
        figure(usage.map(|usage| table::mebibytes(usage.heap))),
        figure(usage.map(|usage| format!("{} ms", usage.cpu_us / 1000))),
        figure(usage.map(|usage| usage.threads.to_string())),
        figure(usage.map(|usage| usage.fds.to_string())),
        figure(
            usage
                .and_then(|usage| usage.connections)
                .map(|count| count.to_string()),
        ),
        figure(transferred.map(|(read, written)| {
            format!("{}/{}", table::mebibytes(read), table::mebibytes(written))
        })),
        violations(plugin),
    ]
}

fn state(plugin: &PluginStatus) -> String {
    match (&plugin.state, plugin.restart_in) {
        (State::Failed { reason }, Some(pause)) => {
            let seconds = pause.as_millis().div_ceil(1000);
            format!("failed: {reason}; restart in {seconds} s")
        }
        (State::Failed { reason }, None) => format!("failed: {reason}"),
        (State::Unmounted { reason }, _) => format!("unmounted: {reason}"),
        (state, _) => state.to_string(),
    }
}

/// Those that count, and all by kind.
fn violations(plugin: &PluginStatus) -> String {
    let kinds = plugin
        .by_kind
        .iter()
        .map(|(kind, times)| format!("{kind} {times}"));
    let kinds: Vec<String> = kinds.collect();
    match kinds.is_empty() {
        true => plugin.counted.to_string(),
        false => format!("{} ({})", plugin.counted, kinds.join(", ")),
    }
}

fn micros(micros: u64) -> String {
    match micros {
        0..10_000 => format!("{micros} us"),
        10_000..10_000_000 => format!("{} ms", micros / 1000),
        _ => format!("{} s", micros / 1_000_000),
    }
}

fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86_400 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_given_in_the_unit_that_suits_them() {
        assert_eq!(
            [micros(31), micros(12_345), micros(61_000_000)],
            ["31 us", "12 ms", "61 s"]
        );
        let hours = [30, 119, 7200, 200_000].map(|seconds| span(Duration::from_secs(seconds)));
        assert_eq!(hours, ["30 s", "1 min", "2 h", "2 d"]);
    }

    #[test]
    fn redrawn_lines_are_cleared_to_their_ends_and_dont_wrap() {
        let text = redraw("a\nb\n");
        assert!(
            text.starts_with("\x1b[?7l\x1b[Ha\x1b[K\nb\x1b[K\n"),
            "{text:?}"
        );
        assert!(text.ends_with("\x1b[J\x1b[?7h"), "{text:?}");
    }
}
