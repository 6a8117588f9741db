//! The command line: arguments, exit codes, and one sentence per failure.

mod check;
mod crash;
mod doctor;
mod enable;
mod exit;
mod inspect;
mod limits;
mod policy;
mod print;
mod profile;
mod report;
mod run;
mod selftest;
mod table;
mod violations;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use cordon_supervisor::config::Policy;
use cordon_supervisor::paths::state_folder;
use cordon_supervisor::state::STATE_DIR;
use cordon_supervisor::{Builder, StartError, Supervisor};
use sandbox::report::Control;

pub(crate) use exit::Failure;

/// Run untrusted native plugins, each in a confined process of its own.
#[derive(Parser)]
#[command(name = "cordon", version, after_help = exit::HELP)]
struct Cordon {
    #[command(subcommand)]
    command: Command,
    /// More detail on standard error; twice for still more.
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    verbose: u8,
    #[command(flatten)]
    state: StateArguments,
}

/// Where commands find what earlier ones left.
#[derive(Debug, Args)]
struct StateArguments {
    /// The folder for state; else /var/lib/cordon for root, and $XDG_STATE_HOME/cordon or
    /// ~/.local/state/cordon for anybody else.
    #[arg(long, value_name = "DIR", env = STATE_DIR, hide_env_values = true, global = true)]
    state_dir: Option<PathBuf>,
}

impl StateArguments {
    fn folder(&self) -> Result<PathBuf, Failure> {
        let named = self.state_dir.clone().map_or_else(state_folder, Ok);
        named.map_err(|error| Failure::new(exit::Code::Error, error))
    }
}

#[derive(Subcommand)]
enum Command {
    /// Load a plugin and call it, or serve every plugin of a folder until Ctrl-C.
    Run(run::Arguments),
    /// Show what a plugin is. Runs no plugin code.
    Inspect(inspect::Arguments),
    /// Load a plugin, show how its worker is really confined, unload it.
    Report(report::Arguments),
    /// Tell whether a plugin would be loaded, and what speaks against it. Runs no plugin code.
    Check(check::Arguments),
    /// Show what a seccomp mode or profile permits, rule by rule, and why.
    Profile(profile::Arguments),
    /// Load hostile plugins, and see that each is stopped by the control that it names.
    Selftest(selftest::Arguments),
    /// Show the history of violations.
    Violations(violations::Arguments),
    /// Allow a plugin again that was unmounted for its violations.
    Enable(enable::Arguments),
    /// Show how workers died: signal, registers, backtrace, memory, last calls and lines.
    Crash(crash::Arguments),
    /// Show what this host offers, what is missing, and what mends it.
    Doctor(doctor::Arguments),
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Format {
    /// For people.
    #[default]
    Table,
    /// For programs.
    Json,
}

/// Options of every command that loads plugins.
#[derive(Debug, Args)]
struct PolicyArguments {
    /// The operator's policy, a TOML file; without it the built-in defaults hold.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// A limit for every plugin, over those of the policy, such as heap=64M.
    #[arg(long = "limit", value_name = "NAME=VALUE")]
    limits: Vec<String>,
    /// Do without a control that policy demands, such as core-scheduling; may be given again.
    #[arg(long = "allow-degraded", value_name = "CONTROL")]
    allow_degraded: Vec<Control>,
    /// The cgroup to make the workers' in, as /proc/self/cgroup names it: it must be delegated
    /// to you. Else CORDON_CGROUP_PARENT, else your own.
    #[arg(long, value_name = "GROUP")]
    cgroup_parent: Option<PathBuf>,
}

impl PolicyArguments {
    /// A supervisor under that policy, which keeps nothing on disk.
    fn builder(&self, policy: Policy) -> Builder {
        let builder = Supervisor::builder().policy(policy);
        match &self.cgroup_parent {
            Some(group) => builder.cgroup_parent(group),
            None => builder,
        }
    }

    /// Starts a supervisor under that policy, with its state in that folder.
    async fn start(&self, policy: Policy, state: PathBuf) -> Result<Supervisor, StartError> {
        self.builder(policy).state_dir(state).start().await
    }
}

/// Runs the command line.
pub(crate) fn main() -> ExitCode {
    let matches = Cordon::command().get_matches();
    let arguments = Cordon::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    // What hostile plugins do is the selftest's to tell.
    let expected = matches!(arguments.command, Command::Selftest(_));
    log(arguments.verbose, expected);
    let state = arguments.state;
    let result = match arguments.command {
        Command::Run(mut arguments) => {
            let places = matches.subcommand().map(|(_, places)| places);
            let paired = places.map_or(Ok(()), |places| arguments.pair(places));
            paired.and_then(|()| run::run(arguments, &state))
        }
        Command::Inspect(arguments) => inspect::inspect(&arguments),
        Command::Report(arguments) => report::report(&arguments, &state),
        Command::Check(arguments) => check::check(&arguments, &state),
        Command::Selftest(arguments) => selftest::selftest(&arguments),
        Command::Profile(arguments) => profile::profile(&arguments),
        Command::Violations(arguments) => violations::violations(&arguments, &state),
        Command::Enable(arguments) => enable::enable(&arguments, &state),
        Command::Crash(arguments) => crash::crash(&arguments, &state),
        Command::Doctor(arguments) => doctor::doctor(&arguments),
    };
    match result {
        Ok(code) => code,
        Err(failure) => {
            print::error(&failure.sentence);
            failure.code.into()
        }
    }
}

fn log(verbose: u8, warnings_expected: bool) {
    let level = match verbose {
        0 if warnings_expected => tracing::Level::ERROR,
        0 => tracing::Level::WARN,
        1 => tracing::Level::INFO,
        _ => tracing::Level::DEBUG,
    };
    tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        // It would tell by `eprintln!`, which panics where standard error is closed.
        .log_internal_errors(false)
        .init();
}

/// What commands that load plugins run on.
fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(exit::Code::Error, error))
}

/// Resolves when the user or the system asks for the end.
async fn interrupted() {
    use tokio::signal::unix::{SignalKind, signal};
    let wait = |kind| async move {
        match signal(kind) {
            Ok(mut signal) => drop(signal.recv().await),
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        () = wait(SignalKind::interrupt()) => {}
        () = wait(SignalKind::terminate()) => {}
        () = wait(SignalKind::hangup()) => {}
    }
}
