//! Loads, calls, crashes, unloads and kills plugins at random, kills their supervisor with
//! SIGKILL now and then and starts it again; then counts what is left of it all.
//!
//!     soak --plugin FILE [--minutes N | --seconds N] [--plugins N] [--seed N]
//!
//! Prints a table and exits with 1 unless everything is back to the start. `scripts/soak` builds
//! what it takes. What is counted of the whole host (namespaces, dying groups) counts as back as
//! soon as it once is: others may use Cordon there.

mod dice;
mod host;
mod round;
mod tally;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Parser;

use dice::Dice;
use round::{Round, Stage};
use tally::Tally;

#[derive(Debug, Parser)]
struct Arguments {
    /// The plugin `later`, without a manifest.
    #[arg(long)]
    plugin: PathBuf,
    #[arg(long, default_value_t = 10)]
    minutes: u64,
    /// In place of minutes.
    #[arg(long)]
    seconds: Option<u64>,
    /// How many copies of the plugin there are.
    #[arg(long, default_value_t = 200)]
    plugins: usize,
    /// What chance begins with; the time decides else.
    #[arg(long)]
    seed: Option<u64>,
    /// Be the supervisor, of the copies in this folder.
    #[arg(long, hide = true)]
    host: Option<PathBuf>,
}

/// The least and the most seconds between the start of a supervisor and its end.
const LIVES: (u64, u64) = (3, 30);
/// Of so many ends one is in peace.
const PEACEFUL: u64 = 3;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let seed = arguments.seed.unwrap_or_else(dice::seed);
    let result = match &arguments.host {
        Some(folder) => host::run(folder, arguments.plugins, seed).map(|()| true),
        None => soak(&arguments, seed),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("soak: {error}");
            ExitCode::FAILURE
        }
    }
}

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Whether everything is back to the start.
fn soak(arguments: &Arguments, seed: u64) -> Result<bool> {
    let length = arguments.seconds.unwrap_or(60 * arguments.minutes);
    println!(
        "soak: {} plugins, {length} s, --seed {seed}",
        arguments.plugins
    );
    // Orphans of a killed supervisor become ours: whoever is left is found below us.
    nix::sys::prctl::set_child_subreaper(true)?;
    let stage = Stage::new(&arguments.plugin, arguments.plugins)?;
    let mut dice = Dice::new(seed);
    // What the first supervisor of a host makes for all later ones is no leak.
    let mut tally = Tally::default();
    Round::start(&stage, seed)?.end_in_peace(&mut tally)?;
    let before = tally::Host::at_rest(&stage)?;
    let mut tally = Tally::default();
    let end = Instant::now() + Duration::from_secs(length);
    while Instant::now() < end {
        let round = Round::start(&stage, dice.next())?;
        let life = Duration::from_secs(dice.between(LIVES.0, LIVES.1));
        let left = end.saturating_duration_since(Instant::now());
        std::thread::sleep(life.min(left));
        // The last one tells what it had open, and how much it grew.
        match left <= life || dice.next().is_multiple_of(PEACEFUL) {
            true => round.end_in_peace(&mut tally)?,
            false => round.kill(&mut tally)?,
        }
    }
    tally.compare(&before, &stage)?;
    print!("{tally}");
    Ok(tally.is_clean())
}
