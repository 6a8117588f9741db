//! Launches while the launcher or the supervisor runs out of fds, wherever that happens.
//!
//! Alone in its file: it limits what this process may open.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A failed assumption fails the test.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use cordon_supervisor::Supervisor;
use cordon_supervisor::manifest::PluginId;
use cordon_tests::host::{call, eventually, load, supervisor};
use cordon_tests::plugins::example;
use cordon_tests::traces::{below, groups};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};

/// More fds than a launch opens in the launcher.
const MOST: u64 = 60;
/// Moments of a launch at which fds run out, and the time between two of them.
const MOMENTS: u32 = 60;
const STEP: Duration = Duration::from_micros(200);
const PATIENCE: Duration = Duration::from_secs(10);

#[tokio::test]
async fn launch_without_fds_is_refused_and_leaves_nothing() {
    let supervisor = supervisor("").await;
    let plugin = load(&supervisor, &example("deflate")).await;
    supervisor.unload(&plugin).await.unwrap();
    let launcher = below(std::process::id()).first().unwrap().pid;
    let mut refused = [0; 3];

    for left in 0..MOST {
        let limited = limit(launcher, left);
        refused[0] += u32::from(!launches(&supervisor, &plugin).await);
        restore(launcher, limited);
        nothing_is_left().await;
    }
    for (process, refused) in [launcher, std::process::id()]
        .into_iter()
        .zip(&mut refused[1..])
    {
        for moment in 0..MOMENTS {
            let limiting = std::thread::spawn(move || {
                std::thread::sleep(STEP * moment);
                limit(process, 0)
            });
            *refused += u32::from(!launches(&supervisor, &plugin).await);
            restore(process, limiting.join().unwrap());
            nothing_is_left().await;
        }
    }

    assert!(refused.iter().all(|count| *count > 0), "{refused:?}");
    supervisor.reload(&plugin).await.unwrap();
    assert!(call(&supervisor, &plugin, "compress", "").await.is_ok());
}

/// Whether the plugin came up; it is unloaded then.
async fn launches(supervisor: &Supervisor, plugin: &PluginId) -> bool {
    match supervisor.reload(plugin).await {
        Ok(_) => supervisor.unload(plugin).await.is_ok(),
        Err(error) => {
            println!("{error}");
            false
        }
    }
}

/// Leaves a process so many fds; its limit before.
fn limit(process: u32, left: u64) -> Rlimit {
    let open = fs::read_dir(format!("/proc/{process}/fd")).unwrap().count();
    // Launcher and supervisor have the same hard limit.
    let limit = Rlimit {
        current: Some(open as u64 + left),
        ..getrlimit(Resource::Nofile)
    };
    prlimit(Pid::from_raw(process as i32), Resource::Nofile, limit).unwrap()
}

fn restore(process: u32, limit: Rlimit) {
    prlimit(Pid::from_raw(process as i32), Resource::Nofile, limit).unwrap();
}

/// But the launcher and the groups that all workers' are in.
async fn nothing_is_left() {
    let own = std::process::id();
    let worker = |group: &PathBuf| {
        !group
            .parent()
            .is_some_and(|above| above.ends_with("cordon"))
    };
    let clean = || below(own).len() == 1 && !groups(own).iter().any(worker);
    assert!(eventually(PATIENCE, clean).await, "{:?}", groups(own));
}
