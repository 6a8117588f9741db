//! The host program: a supervisor whose plugins lead a hard life, until stdin ends.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cordon_supervisor::config::Policy;
use cordon_supervisor::lifecycle::State;
use cordon_supervisor::manifest::PluginId;
use cordon_supervisor::{Call, Supervisor};
use cordon_tests::traces::below;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use crate::Result;
use crate::dice::Dice;

/// So many things are done at a time.
const HANDS: u64 = 24;
/// Counts of a supervisor at rest must stay the same for so many looks.
const LOOKS: usize = 10;
const LOOK: Duration = Duration::from_millis(50);

/// Plugins come back soon after they fail; little is enough to die of.
const POLICY: &str = r#"
[monitor]
interval = "1s"
attest = "5s"
[restart]
first = "100ms"
[limits]
heap = "16MiB"
threads = 8
[call]
deadline = "5s"
grace = "100ms"
"#;

/// What can be done with a plugin, each as often as it stands here.
const DEEDS: [Deed; 16] = [
    Deed::Load,
    Deed::Load,
    Deed::Load,
    Deed::Load,
    Deed::Call("echo"),
    Deed::Call("echo"),
    Deed::Call("echo"),
    Deed::Call("crash"),
    Deed::Call("leave"),
    Deed::Call("memory"),
    Deed::Call("threads"),
    Deed::Call("denials"),
    Deed::Call("print"),
    Deed::Abandon,
    Deed::Unload,
    Deed::Kill,
];

#[derive(Debug, Clone, Copy)]
enum Deed {
    Load,
    Call(&'static str),
    /// A call that nobody waits for any more.
    Abandon,
    Unload,
    /// The worker, by SIGKILL from outside.
    Kill,
}

/// What the host prints of itself, a line each time.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Word {
    /// Every plugin was loaded once, and none is now.
    Begun(Rest),
    /// None is loaded any more.
    Ended(Rest, BTreeMap<String, u64>),
}

/// What a supervisor without workers takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rest {
    pub(crate) fds: usize,
    pub(crate) launchers_fds: usize,
    pub(crate) processes: usize,
    /// Bytes of anonymous memory.
    pub(crate) memory: u64,
    pub(crate) launchers_memory: u64,
}

pub(crate) fn run(folder: &Path, plugins: usize, seed: u64) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    runtime.block_on(live(folder, plugins, seed))
}

async fn live(folder: &Path, plugins: usize, seed: u64) -> Result<()> {
    let policy = Policy::parse(Path::new("soak"), POLICY)?;
    let builder = Supervisor::builder().policy(policy);
    let supervisor = Arc::new(builder.state_dir(folder.join("state")).start().await?);
    let files: Vec<PathBuf> = (0..plugins).map(|number| copy(folder, number)).collect();
    let ids = introduce(&supervisor, files).await?;
    say(&Word::Begun(Rest::of_this_process().await?));
    let end = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
    let done = Arc::new(Mutex::new(BTreeMap::new()));
    let mut hands = JoinSet::new();
    for hand in 0..HANDS {
        let (supervisor, ids, done) = (Arc::clone(&supervisor), ids.clone(), Arc::clone(&done));
        let mut dice = Dice::new(seed.wrapping_add(hand));
        hands.spawn(async move {
            loop {
                act(&supervisor, &ids, &mut dice, &done).await;
            }
        });
    }
    end.await??;
    hands.shutdown().await;
    for id in &ids {
        // One that isn't loaded has nothing to be unloaded.
        supervisor.unload(id).await.ok();
    }
    let done = done.lock().unwrap_or_else(PoisonError::into_inner).clone();
    say(&Word::Ended(Rest::of_this_process().await?, done));
    Ok(())
}

/// The file of a copy.
pub(crate) fn copy(folder: &Path, number: usize) -> PathBuf {
    folder.join(format!("libsoaked-{number}.so"))
}

/// Loads all once, and unloads them: what is kept of a plugin that was ever loaded is no leak.
async fn introduce(supervisor: &Arc<Supervisor>, files: Vec<PathBuf>) -> Result<Vec<PluginId>> {
    let mut loads = JoinSet::new();
    for file in files {
        let supervisor = Arc::clone(supervisor);
        loads.spawn(async move {
            let id = supervisor.load(&file).await;
            if let Ok(id) = &id {
                supervisor.unload(id).await.ok();
            }
            id
        });
    }
    let mut ids = Vec::new();
    while let Some(id) = loads.join_next().await {
        match id? {
            Err(cordon_supervisor::LoadError::Unmounted { plugin, .. }) => ids.push(plugin),
            id => ids.push(id?),
        }
    }
    ids.sort();
    Ok(ids)
}

async fn act(
    supervisor: &Supervisor,
    ids: &[PluginId],
    dice: &mut Dice,
    done: &Mutex<BTreeMap<String, u64>>,
) {
    let places: Vec<usize> = (0..ids.len()).collect();
    let (Some(deed), Some(place)) = (dice.one_of(&DEEDS), dice.one_of(&places)) else {
        return;
    };
    let id = &ids[place];
    let call = |method| Call {
        method,
        ..Call::default()
    };
    let went_well = match deed {
        Deed::Load => load(supervisor, id).await,
        Deed::Call(method) => supervisor.call(id, call(method)).await.is_ok(),
        Deed::Abandon => {
            let answer = supervisor.call(id, call("answer"));
            let patience = Duration::from_millis(dice.between(1, 50));
            tokio::time::timeout(patience, answer).await.is_ok()
        }
        Deed::Unload => supervisor.unload(id).await.is_ok(),
        Deed::Kill => kill(supervisor, id),
    };
    let outcome = if went_well {
        "done"
    } else {
        "not to be done, or failed"
    };
    let key = format!("{deed:?} {outcome}");
    *done
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .entry(key)
        .or_default() += 1;
    tokio::task::yield_now().await;
}

async fn load(supervisor: &Supervisor, id: &PluginId) -> bool {
    let state = supervisor.status(id).map(|status| status.state);
    if let Some(State::Unmounted { .. }) = state {
        supervisor.enable(id).ok();
    }
    supervisor.reload(id).await.is_ok()
}

fn kill(supervisor: &Supervisor, id: &PluginId) -> bool {
    let Some(worker) = supervisor.worker(id) else {
        return false;
    };
    let pid = Pid::from_raw(worker.pid() as i32);
    let Some(Ok(pidfd)) = pid.map(|pid| pidfd_open(pid, PidfdFlags::empty())) else {
        return false;
    };
    // While the worker hasn't ended its pid is nobody else's.
    worker.ending().is_none() && pidfd_send_signal(pidfd, Signal::KILL).is_ok()
}

fn say(word: &Word) {
    // Nobody may be listening any more.
    if let Ok(line) = serde_json::to_string(word) {
        println!("{line}");
    }
}

impl Rest {
    /// Counts that stay the same for a while: the last tasks of the dead have ended.
    async fn of_this_process() -> Result<Rest> {
        let mut last = Rest::now()?;
        let mut same = 0;
        while same < LOOKS {
            tokio::time::sleep(LOOK).await;
            let now = Rest::now()?;
            let counts = |rest: &Rest| (rest.fds, rest.launchers_fds, rest.processes);
            same = if counts(&now) == counts(&last) {
                same + 1
            } else {
                0
            };
            last = now;
        }
        Ok(last)
    }

    fn now() -> Result<Rest> {
        let own = std::process::id();
        let below = below(own);
        // Not the lowest pid: they are given anew.
        let named = |pid: &u32| {
            let name = fs::read_to_string(format!("/proc/{pid}/comm"));
            name.is_ok_and(|name| name.trim() == "cordon-launcher")
        };
        let mut pids = below.iter().map(|process| process.pid);
        let launcher = pids.find(named).ok_or("there is no launcher")?;
        Ok(Rest {
            fds: fds(own)?,
            launchers_fds: fds(launcher)?,
            processes: below.len(),
            memory: anonymous(own)?,
            launchers_memory: anonymous(launcher)?,
        })
    }
}

fn fds(pid: u32) -> Result<usize> {
    Ok(fs::read_dir(format!("/proc/{pid}/fd"))?.count())
}

fn anonymous(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    let kib: u64 = line
        .ok_or("no RssAnon")?
        .trim()
        .trim_end_matches(" kB")
        .parse()?;
    Ok(kib * 1024)
}
