//! Crashes that workers hand in, written down at once and again when their backtraces have
//! names.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::mpsc::Receiver;
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinSet;

use super::Shared;
use crate::crash::{Case, Crash, Store};
use crate::plugin::Event;
use crate::state::StateError;

/// Backtraces that are worked on at the same time.
const AT_ONCE: usize = 2;
/// Those that may wait for it; of each beyond them what is known without names is kept.
const WAITING: usize = 64;
/// How long a supervisor that ends waits for them.
const LAST: Duration = Duration::from_secs(3);

/// Attends to crashes until `closing` is notified and none is left, or the time is up.
pub(super) async fn attend(shared: Weak<Shared>, mut cases: Receiver<Case>, closing: Arc<Notify>) {
    let slots = Arc::new(Semaphore::new(AT_ONCE));
    let mut tasks = JoinSet::new();
    loop {
        tokio::select! {
            case = cases.recv() => match case {
                Some(mut case) => {
                    if tasks.len() >= WAITING {
                        case.scene = None;
                        case.crash.backtrace.missing = "too many crashed at once".to_owned();
                    }
                    let (shared, slots) = (shared.clone(), Arc::clone(&slots));
                    tasks.spawn(one(shared, case, slots));
                }
                None => break,
            },
            // What is done leaves no trace.
            Some(_) = tasks.join_next() => {}
            () = closing.notified() => cases.close(),
        }
    }
    let all = async { while tasks.join_next().await.is_some() {} };
    tokio::time::timeout(LAST, all).await.ok();
}

async fn one(shared: Weak<Shared>, case: Case, slots: Arc<Semaphore>) {
    let Case {
        mut crash,
        scene,
        package,
    } = case;
    keep(&shared, &crash).await;
    if let Some(scene) = scene
        && let Ok(_slot) = slots.acquire().await
        && let Some(shared) = shared.upgrade()
    {
        crash.backtrace = shared.backtrace(&package, *scene).await;
        drop(package);
        keep(&Arc::downgrade(&shared), &crash).await;
    }
    if let Some(shared) = shared.upgrade() {
        // Nobody has to listen.
        shared
            .speaker
            .events
            .send(Event::Crash(Arc::new(crash)))
            .ok();
    }
}

/// Where the host keeps nothing on disk the event is all there is.
async fn keep(shared: &Weak<Shared>, crash: &Crash) {
    let Some(shared) = shared.upgrade() else {
        return;
    };
    let (plugin, crash) = (crash.plugin.clone(), crash.clone());
    let kept = tokio::task::spawn_blocking(move || match &shared.state {
        Some(state) => Store::open(state)?.keep(&crash),
        None => Ok::<(), StateError>(()),
    });
    if let Ok(Err(error)) = kept.await {
        tracing::warn!("plugin {plugin}: its crash isn't kept: {error}");
    }
}
