//! A host program with plugins: it loads three good ones and a hostile one under the default
//! policy, calls them, and tells what happens.
//!
//! `demo FOLDER`, where FOLDER has the four example plugins; `scripts/demo` builds and runs it.
#![forbid(unsafe_code)]

mod deeds;
mod failure;
mod host;
mod stop;
mod story;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use cordon_supervisor::lifecycle::State;
use cordon_supervisor::manifest::PluginId;
use cordon_supervisor::{LoadError, Supervisor};

use crate::deeds::Scene;
use crate::failure::Failure;
use crate::host::Host;
use crate::story::Story;

/// For what takes a text.
const TEXT: &str = "Good fences make good neighbours. ";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Some(folder) = std::env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("usage: demo FOLDER");
        return ExitCode::from(2);
    };
    // Whichever ends first, the supervisor is dropped with it, and that leaves nothing behind.
    let result = tokio::select! {
        result = demonstrate(&folder) => result,
        _ = tokio::signal::ctrl_c() => Err(Failure::Interrupted),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("demo: {failure}");
            failure.code()
        }
    }
}

async fn demonstrate(folder: &Path) -> Result<(), Failure> {
    let started = Instant::now();
    let story = Story::new();
    story.tell(
        "Cordon runs native plugins that you don't trust. Each is loaded into a process of its\n\
         own, which has no files, no network, no privileges, and bounds on all that it takes.\n\
         What it tries beyond that is refused and counted; after ten violations it is unmounted.",
    )?;
    let supervisor = Supervisor::builder().start().await?;
    let host = Host::new(&supervisor, &story, folder);

    story.title("Four plugins are loaded. Nobody has signed them.")?;
    let greet = host.load("libgreet.so", "in Rust").await?;
    let deflate = host.load("libdeflate.so", "in C, with zlib").await?;
    let wordcount = host.load("libwordcount.so", "in C++").await?;
    let vandal = host.load("libvandal.so", "in C, and hostile").await?;

    story.title("Three of them do as they are told.")?;
    let reply = host.call(&greet, "greet", b"world").await?;
    host.expect(&greet, &reply, b"Hello, world! You are number 1.")?;
    story.tell(format!("greet, given \"world\": {}", story::quote(&reply)))?;
    compress(&host, &deflate).await?;
    let reply = host.call(&wordcount, "count", TEXT.as_bytes()).await?;
    host.expect(
        &wordcount,
        &reply,
        b"fences 1\ngood 2\nmake 1\nneighbours 1\n",
    )?;
    story.tell(format!(
        "wordcount, given a proverb: {}",
        story::quote(&reply)
    ))?;

    story
        .title("The fourth tries ten bad things, a call for each. After each, greet is called.")?;
    let slowest = rampage(&host, &vandal, &greet).await?;
    story.tell(format!(
        "Each time greet answered from the same process, in {:.1} ms at most.",
        slowest.as_secs_f64() * 1e3
    ))?;
    stays_out(&host, &vandal).await?;

    story.title("In the end")?;
    story.table(&supervisor.list())?;
    for id in [&greet, &deflate, &wordcount] {
        host.blameless(id)?;
        supervisor.unload(id).await?;
    }
    drop(supervisor);
    story.tell(format!(
        "\nAll of it came out as it should, in {:.1} s.",
        started.elapsed().as_secs_f64()
    ))
}

/// Bytes in, fewer bytes out, and the same bytes again.
async fn compress(host: &Host<'_>, deflate: &PluginId) -> Result<(), Failure> {
    let text = TEXT.repeat(100).into_bytes();
    let small = host.call(deflate, "compress", &text).await?;
    let again = host.call(deflate, "expand", &small).await?;
    host.expect(deflate, &again, &text)?;
    if small.len() >= text.len() {
        return Err(Failure::unexpected(deflate, "compressed nothing"));
    }
    host.story.tell(format!(
        "deflate, given {} bytes: {} bytes, and from these the same {} again",
        text.len(),
        small.len(),
        again.len()
    ))
}

/// Ten deeds, each followed by a call of a neighbour. Gives the slowest of these calls.
async fn rampage(
    host: &Host<'_>,
    vandal: &PluginId,
    neighbour: &PluginId,
) -> Result<Duration, Failure> {
    let scene = Scene::new()?;
    let mut slowest = Duration::ZERO;
    for (number, deed) in (1..).zip(scene.deeds()?) {
        host.attempt(vandal, &deed, &scene).await?;
        host.story
            .tell(format!("{number:>2}. It {}. {}.", deed.tries, deed.stop))?;
        let started = Instant::now();
        let reply = host.call(neighbour, "greet", b"neighbour").await?;
        slowest = slowest.max(started.elapsed());
        // The plugin counts: a new process would begin at 1.
        let expected = format!("Hello, neighbour! You are number {}.", number + 1);
        host.expect(neighbour, &reply, expected.as_bytes())?;
    }
    Ok(slowest)
}

/// It is unmounted, and can't be loaded any more.
async fn stays_out(host: &Host<'_>, vandal: &PluginId) -> Result<(), Failure> {
    let status = host.status(vandal)?;
    let State::Unmounted { reason } = status.state else {
        let why = format!("is {} after its deeds, not unmounted", status.state);
        return Err(Failure::unexpected(vandal, why));
    };
    host.story.tell(format!(
        "The vandal had {} violations: it is unmounted.",
        reason.counted
    ))?;
    match host.supervisor.reload(vandal).await {
        Err(error @ LoadError::Unmounted { .. }) => {
            host.story
                .tell("Asked to load it once more, Cordon says:")?;
            host.story.tell(format!("    {error}"))
        }
        Err(error) => Err(error.into()),
        Ok(()) => Err(Failure::unexpected(vandal, "was loaded again")),
    }
}
