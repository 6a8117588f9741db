//! `cordon selftest`: the hostile suite on this host.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use cordon_supervisor::Supervisor;
use cordon_supervisor::selftest::{Outcome, Settings, Stop, Suite, SuiteError, Totals, Verdict};
use serde_json::json;

use super::exit::Code;
use super::print::{self, Reader};
use super::{Failure, Format, PolicyArguments, interrupted, policy, runtime};

/// Where the deeds are installed, from the folder of the executable.
const PLACES: [&str; 2] = ["deeds", "../lib/cordon/deeds"];

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The folder of hostile plugins; else `deeds` beside the executable, then
    /// `../lib/cordon/deeds` from there.
    folder: Option<PathBuf>,
    /// Only deeds with this text in their name; give it again for more of them.
    #[arg(long = "filter", value_name = "TEXT")]
    filters: Vec<String>,
    /// Try those too that need the permissive system call filter, and show the walls behind it.
    #[arg(long)]
    unfiltered: bool,
    /// Multiplies every deadline, for slow machines.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    patience: u32,
    /// How to print.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    #[command(flatten)]
    policy: PolicyArguments,
}

/// Tries every deed, and tells what became of it.
pub(super) fn selftest(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let folder = folder(arguments)?;
    let settings = Settings {
        patience: arguments.patience,
        filters: arguments.filters.clone(),
        unfiltered: arguments.unfiltered,
    };
    let suite = Suite::of(&folder, &settings)?;
    let policy = suite.policy(policy::read(&arguments.policy)?)?;
    runtime()?.block_on(async {
        let supervisor = Arc::new(arguments.policy.builder(policy).start().await?);
        tokio::select! {
            code = run(suite, supervisor, arguments.format) => code.map(ExitCode::from),
            () = interrupted() => Ok(Code::Interrupted.into()),
        }
    })
}

async fn run(suite: Suite, supervisor: Arc<Supervisor>, format: Format) -> Result<Code, Failure> {
    let width = suite
        .deeds()
        .iter()
        .map(|deed| deed.id.as_str().len())
        .max();
    let mut shown = Ok(Reader::There);
    let show = |outcome: &Outcome| {
        if format == Format::Table && shown.is_ok() {
            shown = print::text(line(outcome, width.unwrap_or_default()));
        }
    };
    let outcomes = suite.run(supervisor, show).await;
    shown?;
    let totals = Totals::of(&outcomes);
    match format {
        Format::Json => print::json(&json!({ "deeds": outcomes, "totals": totals }))?,
        Format::Table => print::text(sum(&totals))?,
    };
    Ok(code(&totals))
}

/// The folder that was named, or the one that was installed.
fn folder(arguments: &Arguments) -> Result<PathBuf, Failure> {
    if let Some(folder) = &arguments.folder {
        return Ok(folder.clone());
    }
    let program = std::env::current_exe()
        .map_err(|error| Failure::new(Code::Error, format!("where is cordon? {error}")))?;
    let beside = program.parent().unwrap_or(&program);
    let places = PLACES.map(|place| beside.join(place));
    let found = places.iter().find(|place| place.is_dir());
    found.cloned().ok_or_else(|| {
        let [first, second] = &places;
        let sentence = format!(
            "there is neither {} nor {}: name the folder of the hostile plugins",
            first.display(),
            second.display()
        );
        Failure::new(Code::NotFound, sentence)
    })
}

impl From<SuiteError> for Failure {
    fn from(error: SuiteError) -> Failure {
        let code = match &error {
            SuiteError::Unreadable { source, .. }
                if source.kind() != std::io::ErrorKind::NotFound =>
            {
                Code::Error
            }
            SuiteError::Unreadable { .. } | SuiteError::Empty { .. } => Code::NotFound,
            SuiteError::Deed(_) => Code::NotAPlugin,
            SuiteError::Policy(_) => Code::Error,
        };
        Failure::new(code, error)
    }
}

/// Verdict, deed, and by what; for what went wrong, what was seen in a line below.
fn line(outcome: &Outcome, width: usize) -> String {
    let (deed, sentence) = (&outcome.deed, &outcome.sentence);
    let expected: Vec<String> = outcome.expected.iter().map(Stop::to_string).collect();
    let shown = outcome.shown.as_ref().map(ToString::to_string);
    let (word, what) = match &outcome.verdict {
        Verdict::Stopped { by } => {
            let shown = shown.unwrap_or_default();
            return format!("stopped          {deed:<width$}  {shown} by {by}: {sentence}\n");
        }
        Verdict::NotEnforceable { missed } => {
            let missed: Vec<String> = missed.iter().map(ToString::to_string).collect();
            return format!(
                "not enforceable  {deed:<width$}  strict policy refused to load it: no {}\n",
                missed.join(", ")
            );
        }
        Verdict::GotThrough => ("GOT THROUGH", expected.join(", else ")),
        Verdict::StoppedOtherwise => ("OTHERWISE", expected.join(", else ")),
        Verdict::TwinFailed => ("TWIN FAILED", "the permitted act works".into()),
        Verdict::Failed => ("NOT TRIED", "it is tried".into()),
    };
    format!(
        "{word:<15}  {deed:<width$}  {sentence}\n    expected: {what}\n    seen: {}\n",
        outcome.detail
    )
}

fn sum(totals: &Totals) -> String {
    let Totals {
        stopped,
        got_through,
        stopped_otherwise,
        twin_failed,
        not_enforceable,
        failed,
    } = totals;
    format!(
        "{stopped} stopped, {got_through} got through, {stopped_otherwise} stopped by something \
         else, {twin_failed} twins failed, {not_enforceable} not enforceable here, {failed} not tried\n"
    )
}

fn code(totals: &Totals) -> Code {
    if totals.got_through > 0 {
        Code::GotThrough
    } else if totals.stopped_otherwise + totals.twin_failed + totals.failed > 0 {
        Code::Error
    } else if totals.stopped == 0 {
        // Policy refused every load: nothing was tried.
        Code::NoSandbox
    } else {
        Code::Ok
    }
}
