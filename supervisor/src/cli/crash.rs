//! `cordon crash`: what is known of workers that died.

use std::fmt::Write;
use std::process::ExitCode;

use cordon_supervisor::crash::{
    Backtrace, Crash, CrashId, Evidence, Frame, LastCall, Outcome, Store,
};
use cordon_supervisor::manifest::PluginId;
use cordon_supervisor::output::escape;
use cordon_supervisor::state::StateDir;
use cordon_supervisor::units::Timestamp;

use super::exit::Code;
use super::{Failure, Format, StateArguments, print, table};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// List crashes, the oldest first; of each plugin the last 16 are kept.
    List {
        /// Of this plugin alone.
        plugin: Option<PluginId>,
        /// How to print.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Show all that is known of a crash.
    Show {
        /// Its id, as `cordon crash list` shows it.
        id: CrashId,
        /// How to print.
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
}

/// Runs the command.
pub(super) fn crash(arguments: &Arguments, state: &StateArguments) -> Result<ExitCode, Failure> {
    let failed = |error| Failure::new(Code::Error, error);
    // Where there is no folder nothing ever crashed.
    let store = match StateDir::find(&state.folder()?).map_err(failed)? {
        Some(state) => Store::existing(&state).map_err(failed)?,
        None => None,
    };
    match &arguments.action {
        Action::List { plugin, format } => {
            let listed_by = |store: &Store| store.list(plugin.as_ref());
            let crashes = store.as_ref().map_or(Ok(Vec::new()), listed_by);
            let crashes = crashes.map_err(failed)?;
            match format {
                Format::Json => {
                    for crash in &crashes {
                        print::json(crash)?;
                    }
                }
                Format::Table => {
                    let crashes: Vec<_> = crashes.into_iter().map(escaped).collect();
                    print::text(listed(&crashes))?;
                }
            }
        }
        Action::Show { id, format } => {
            let found = store.map_or(Ok(None), |store| store.find(*id));
            let found = found.map_err(failed)?;
            let missing = || Failure::new(Code::NotFound, format!("there is no crash {id}"));
            let crash = found.ok_or_else(missing)?;
            match format {
                Format::Json => print::json(&crash)?,
                Format::Table => print::text(shown(&escaped(crash)))?,
            };
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What it says of the plugin was escaped when it was written, but a file can be changed.
fn escaped(mut crash: Crash) -> Crash {
    let mut texts = vec![&mut crash.version, &mut crash.digest, &mut crash.how];
    texts.push(&mut crash.backtrace.missing);
    if let Evidence::Registers(why) | Evidence::None(why) = &mut crash.evidence {
        texts.push(why);
    }
    texts.extend(crash.signal.iter_mut().map(|signal| &mut signal.name));
    texts.extend(crash.thread.iter_mut().map(|thread| &mut thread.name));
    for frame in &mut crash.backtrace.frames {
        texts.push(&mut frame.library);
        texts.extend(frame.function.iter_mut().chain(&mut frame.file));
    }
    texts.extend(
        crash
            .registers
            .iter_mut()
            .map(|register| &mut register.name),
    );
    for region in &mut crash.maps {
        texts.extend([&mut region.permissions, &mut region.path]);
    }
    texts.extend(crash.log.iter_mut().map(|line| &mut line.text));
    texts.extend(crash.calls.iter_mut().map(|call| &mut call.method));
    for text in texts {
        *text = escape(text.as_bytes());
    }
    crash
}

fn listed(crashes: &[Crash]) -> String {
    let row = |crash: &Crash| {
        let innermost = crash.backtrace.frames.iter().find(|f| f.function.is_some());
        let function = innermost.and_then(|frame| frame.function.clone());
        vec![
            crash.id.to_string(),
            when(crash),
            crash.plugin.to_string(),
            seconds(crash.uptime_ms),
            function.unwrap_or_default(),
            crash.how.clone(),
        ]
    };
    let rows: Vec<_> = crashes.iter().map(row).collect();
    table::render(&["id", "when", "plugin", "lived", "in", "how"], &rows)
}

fn shown(crash: &Crash) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        // A String takes all that is written to it.
        let _ = writeln!(text, "{name:<10} {value}");
    };
    line("crash", crash.id.to_string());
    line("when", when(crash));
    line("plugin", format!("{} {}", crash.plugin, crash.version));
    line("digest", crash.digest.clone());
    line("how", crash.how.clone());
    line("lived", seconds(crash.uptime_ms));
    if let Some(signal) = &crash.signal {
        let address = signal.address.map(|address| format!(", address {address}"));
        let (name, code) = (&signal.name, signal.code);
        line(
            "signal",
            format!("{name}, code {code}{}", address.unwrap_or_default()),
        );
    }
    if let Some(thread) = &crash.thread {
        line("thread", format!("{} {:?}", thread.tid, thread.name));
    }
    line("evidence", crash.evidence.to_string());
    text += &backtrace(&crash.backtrace);
    section(&mut text, "registers", registers(crash));
    section(&mut text, "calls", calls(&crash.calls));
    let log = crash.log.iter().map(|line| format!("  {}\n", line.text));
    section(&mut text, "log", log.collect());
    section(&mut text, "memory", memory(crash));
    text
}

/// Nothing of what there is nothing of.
fn section(text: &mut String, name: &str, body: String) {
    if !body.is_empty() {
        *text += &format!("\n{name}\n{body}");
    }
}

fn backtrace(backtrace: &Backtrace) -> String {
    let mut text = "\nbacktrace\n".to_owned();
    for (number, frame) in backtrace.frames.iter().enumerate() {
        text += &format!("  {number:>2} {}\n", place(frame));
    }
    if !backtrace.missing.is_empty() {
        text += &format!("     ({})\n", backtrace.missing);
    }
    text
}

fn place(frame: &Frame) -> String {
    let mut text = match frame.inlined {
        true => "inlined".to_owned(),
        false => frame.address.to_string(),
    };
    text = format!("{text:<18} {}", frame.function.as_deref().unwrap_or("?"));
    match frame.library.as_str() {
        "" => text += " in no file",
        library => text += &format!(" in {library}+{}", frame.offset),
    }
    if let Some(file) = &frame.file {
        let line = frame.line.map(|line| format!(":{line}"));
        text += &format!(" at {file}{}", line.unwrap_or_default());
    }
    if frame.guessed {
        text += " (guessed)";
    }
    text
}

fn registers(crash: &Crash) -> String {
    let one = |register: &cordon_supervisor::crash::Register| {
        format!("{:>8} {:#018x}", register.name, register.value.0)
    };
    let all: Vec<String> = crash.registers.iter().map(one).collect();
    all.chunks(3).map(|three| three.join(" ") + "\n").collect()
}

fn calls(calls: &[LastCall]) -> String {
    let outcome = |outcome: Outcome| match outcome {
        Outcome::Answered(0) => "ok".to_owned(),
        Outcome::Answered(status) => format!("status {status}"),
        Outcome::InFlight => "in flight".to_owned(),
        Outcome::Overdue => "overdue".to_owned(),
    };
    let row = |call: &LastCall| {
        vec![
            format!("  {}", call.call),
            call.method.clone(),
            format!("{} us", call.took_us),
            outcome(call.outcome),
        ]
    };
    if calls.is_empty() {
        return String::new();
    }
    let rows: Vec<_> = calls.iter().map(row).collect();
    table::render(&["  call", "method", "took", "outcome"], &rows)
}

fn memory(crash: &Crash) -> String {
    let region = |region: &cordon_supervisor::crash::Region| {
        let (start, end) = (region.start.0, region.end.0);
        let (permissions, offset) = (&region.permissions, region.offset.0);
        format!(
            "  {start:012x}-{end:012x} {permissions} {offset:08x} {}\n",
            region.path
        )
    };
    crash.maps.iter().map(region).collect()
}

fn when(crash: &Crash) -> String {
    let millis = i64::try_from(crash.when_ms).unwrap_or(i64::MAX);
    Timestamp::from_millis(millis).to_string()
}

fn seconds(millis: u64) -> String {
    format!("{}.{:03} s", millis / 1000, millis % 1000)
}
