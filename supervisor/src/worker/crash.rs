//! A worker that died, or is about to be killed, as evidence.

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sandbox::report::{Control, Enforcement};
use sandbox::trace::{Held, Report};

use super::looking::aside;
use super::{Worker, lock};
use crate::crash::{
    Backtrace, Case, Crash, CrashId, Evidence, LastCall, SCHEMA, Scene, is_crash, last_lines,
    millis_since_1970,
};
use crate::ending::Ending;

/// How long looking at a dying thread may take; init holds it for half a second.
const PATIENCE: Duration = Duration::from_millis(300);

impl Worker {
    /// Init reports: its worker has ended, or will as soon as nothing holds it. What can be seen
    /// of a thread that it holds is seen now.
    pub(super) async fn dies(&self, report: Option<Report>) -> Option<std::process::ExitStatus> {
        match report? {
            Report::Ended(status) => Some(status),
            Report::Held(held) => {
                self.look_at_dying(held).await;
                Some(held.exit_status())
            }
        }
    }

    async fn look_at_dying(&self, held: Held) {
        let process = self.pid;
        let look = move || Scene::of_held(process, &held);
        let seen = self.look_at(look).await;
        self.keep_scene(Ok(seen.unwrap_or_else(|why| Scene::of_report(&held, why))));
    }

    /// A thread that waits for the answer to its call, and won't get one.
    pub(super) async fn look_at_waiting(&self, thread: u32) {
        self.look_at_stopped(thread, Evidence::Waiting).await;
    }

    /// Its main thread, while all of it stands still.
    pub(super) async fn look_at_frozen(&self) {
        self.look_at_stopped(self.pid, Evidence::Frozen).await;
    }

    async fn look_at_stopped(&self, thread: u32, evidence: Evidence) {
        let look = move || Scene::of_stopped(thread, evidence);
        self.keep_scene(self.look_at(look).await);
    }

    /// What a look at one of its threads has found.
    async fn look_at(
        &self,
        look: impl FnOnce() -> io::Result<Scene> + Send + 'static,
    ) -> Result<Scene, String> {
        let seen = aside(PATIENCE, look).await;
        // Gone meanwhile, its numbers may be another's.
        if sandbox::sys::pidfd::pid(&self.pidfd).is_err() {
            return Err("it ended before it could be looked at".to_owned());
        }
        seen?.map_err(|error| format!("the thread can't be read: {error}"))
    }

    /// What init reported, where nobody looked while the thread was held.
    pub(super) fn report_unseen(&self, held: &Held) {
        let why = "nobody looked while it was held".to_owned();
        self.keep_scene(Ok(Scene::of_report(held, why)));
    }

    /// What was seen first counts, unless it was nothing.
    fn keep_scene(&self, seen: Result<Scene, String>) {
        let mut kept = lock(&self.scene);
        if !matches!(&*kept, Some(Ok(_))) {
            *kept = Some(seen);
        }
    }

    /// Hands the evidence of this worker's end in, if it is a crash.
    pub(super) fn hand_in_crash(&self, ending: &Ending, calls: Vec<LastCall>) {
        if !is_crash(ending) {
            return;
        }
        let (scene, evidence) = match lock(&self.scene).take() {
            Some(Ok(scene)) => (Some(scene), None),
            Some(Err(why)) => (None, Some(why)),
            None => (None, None),
        };
        let evidence = match &scene {
            Some(scene) => scene.evidence.clone(),
            None => Evidence::None(evidence.unwrap_or_else(|| self.unseen(ending))),
        };
        let when_ms = millis_since_1970();
        let manifest = &self.plugin.manifest;
        let missing = match &scene {
            Some(scene) if scene.mappings.is_empty() => "nothing of its memory was read",
            Some(_) => "the supervisor ended before it was worked out",
            None => "nothing was seen of the thread",
        };
        let crash = Crash {
            schema: SCHEMA,
            id: CrashId {
                when_ms,
                pid: self.pid,
            },
            plugin: manifest.id.clone(),
            version: manifest.version.to_string(),
            digest: self.package.sealed.digest().to_string(),
            when_ms,
            uptime_ms: millis(self.since.elapsed()),
            pid: self.pid,
            ending: serde_json::to_value(ending).unwrap_or_default(),
            how: ending.to_string(),
            signal: scene.as_ref().and_then(|scene| scene.signal.clone()),
            thread: scene.as_ref().and_then(|scene| scene.thread.clone()),
            evidence,
            registers: scene.as_ref().map(Scene::registers).unwrap_or_default(),
            backtrace: Backtrace::without_symbols(scene.as_ref().map(Scene::place), missing),
            maps: scene.as_ref().map(Scene::regions).unwrap_or_default(),
            log: last_lines(&self.plugin.record.snapshot().lines),
            calls,
        };
        self.desk.hand_in(Case {
            crash,
            scene: scene
                .filter(|scene| !scene.mappings.is_empty())
                .map(Box::new),
            package: Arc::clone(&self.package),
        });
    }

    fn unseen(&self, ending: &Ending) -> String {
        let traced = self.report.finding(Control::Tracing);
        match ending {
            Ending::OutOfMemory => {
                "the kernel killed it for its memory: SIGKILL leaves no moment to look"
            }
            Ending::Signal { number: 9 } => "SIGKILL leaves no moment to look",
            Ending::Signal { .. } | Ending::Exit { .. }
                if traced.is_none_or(|found| found.enforcement != Enforcement::Enforced) =>
            {
                "nobody may trace on this host"
            }
            Ending::Signal { .. } | Ending::Exit { .. } => "its init reported nothing",
            _ => "it was killed at once",
        }
        .to_owned()
    }

    /// The calls in flight and the last ones before, for the evidence.
    pub(super) fn last_calls(&self) -> Vec<LastCall> {
        lock(&self.mux).last_calls(Instant::now())
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
