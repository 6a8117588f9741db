//! Measures Cordon. Each figure stands beside its floor, what the bare kernel takes for
//! the least that could do the same; both are measured in one run, in turns, since times
//! move from run to run and ratios don't.
#![forbid(unsafe_code)]

mod blocking;
mod call;
mod events;
mod fleet;
mod floors;
mod launch;
mod noisy;
mod peers;
mod pinning;
mod report;
mod stages;
mod statistics;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, ValueEnum};

use report::{Format, Section};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

#[derive(Debug, Parser)]
#[command(name = "scripts/bench", about = "Measures Cordon against floors")]
struct Arguments {
    /// Which benchmark; without one, all.
    benchmark: Option<Benchmark>,
    /// A table, or one JSON object a line.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// How often floor and ours take turns; else as each benchmark needs.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    runs: Option<u16>,
    /// Folder of the plugins and programs that scripts/bench builds.
    #[arg(long, hide = true)]
    built: PathBuf,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Benchmark {
    /// From the request for a worker to its first reply.
    Launch,
    /// Round trips, one call in flight.
    Call,
    /// Calls of one plugin while another rages.
    Noisy,
    /// A thousand plugins: what they take, and what watching and calling them takes.
    Fleet,
    /// From what the kernel tells of a plugin to what is recorded.
    Events,
}

impl Benchmark {
    fn run(self, built: &Built, runs: Option<u16>) -> Result<Vec<Section>> {
        let runs = |usual: u16| usize::from(runs.unwrap_or(usual));
        match self {
            Benchmark::Launch => launch::run(built, runs(100)),
            Benchmark::Call => call::run(built, runs(20)),
            Benchmark::Noisy => noisy::run(built, runs(20)),
            Benchmark::Fleet => fleet::run(built, runs(20)),
            Benchmark::Events => events::run(built, runs(200)),
        }
    }
}

/// What scripts/bench builds besides this program.
struct Built(PathBuf);

impl Built {
    fn plugin(&self, id: &str) -> PathBuf {
        self.0.join(format!("lib{id}.so"))
    }

    /// The static program that ends at once.
    fn exit(&self) -> PathBuf {
        self.0.join("exit")
    }

    /// The dynamic program that maps a plugin and waits.
    fn idle(&self) -> PathBuf {
        self.0.join("idle")
    }
}

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let result = match (words.next().as_deref(), words.next()) {
        (Some(floors::PONG), Some(size)) => floors::pong(&size),
        _ => measure(&Arguments::parse()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure(arguments: &Arguments) -> Result<()> {
    let built = Built(arguments.built.clone());
    eprintln!("bench: {}", host());
    let chosen = arguments.benchmark.as_ref().map(std::slice::from_ref);
    for benchmark in chosen.unwrap_or(Benchmark::value_variants()) {
        for section in benchmark.run(&built, arguments.runs)? {
            if let Format::Json = arguments.format {
                eprintln!("bench: {}", section.about());
            }
            print!("{}", section.render(arguments.format));
        }
    }
    Ok(())
}

/// What the times depend on. The load tells whether somebody else was at work.
fn host() -> String {
    let read = |path: &str| std::fs::read_to_string(Path::new(path)).unwrap_or_default();
    let (kernel, load) = (read("/proc/sys/kernel/osrelease"), read("/proc/loadavg"));
    let load = load.split(' ').next().unwrap_or_default();
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    format!("kernel {}, {cpus} cores, load {load}", kernel.trim())
}
