//! A crash's backtrace, worked out by a symboliser: debug data is hostile, so a worker of its own
//! reads it, confined as the strictest plugin, with the crashed plugin's image, and nothing of the
//! plugin ever runs there. What it answers is held against the same bounds again.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use sandbox::codec;
use sandbox::plan::Plan;
use sandbox::seccomp::{Granted, Mapping};
use sandbox::trace::{DWARF_STACK_POINTER, MAX_NAME, MAX_PLACES, Place, Question};

use super::Shared;
use super::confinement::confinement;
use crate::config::{Policy, Seccomp};
use crate::crash::{Backtrace, Desk, Frame, Scene, place};
use crate::grants::intersect;
use crate::manifest::Manifest;
use crate::output::escape_line;
use crate::package::Package;
use crate::plugin::{Cause, Plugin, Record, Speaker};
use crate::restart::Restarts;
use crate::violations::Tracker;
use crate::worker::Times;
use crate::worker::launch::{Request, ask};

/// What a symboliser is to its supervisor: a plugin that asks for nothing.
const MANIFEST: &str = "id = \"symboliser\"\nversion = \"1.0.0\"\nabi = \"1.0\"\n";
/// Time from the launch to the answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// Its memory: files of 64 MiB, and what is made of their debug data.
const MEMORY: u64 = 256 << 20;

impl Shared {
    /// The functions that a thread was in; without names where they can't be had.
    pub(super) async fn backtrace(
        self: &Arc<Self>,
        package: &Arc<Package>,
        scene: Scene,
    ) -> Backtrace {
        let top = scene.place();
        let mappings = scene.mappings.clone();
        match self.symbolised(package, scene).await {
            Ok(places) if !places.is_empty() => Backtrace {
                frames: places
                    .into_iter()
                    .map(|one| frame(one, &mappings))
                    .collect(),
                missing: String::new(),
            },
            Ok(_) => Backtrace::without_symbols(Some(top), "the symboliser found nothing"),
            Err(why) => Backtrace::without_symbols(Some(top), format!("no symbols: {why}")),
        }
    }

    async fn symbolised(
        self: &Arc<Self>,
        package: &Arc<Package>,
        scene: Scene,
    ) -> Result<Vec<Place>, String> {
        let question = codec::encode(&question(scene)).map_err(|error| error.to_string())?;
        let plugin = symboliser(package, &self.speaker)?;
        let key = package.image_key().map_err(|error| error.to_string())?;
        let lease = self
            .lease(key)
            .ok_or("every user id of this supervisor is in use")?;
        let files = package.files().map_err(|error| error.to_string())?;
        let made = self.launcher.image(key, files).await;
        made.map_err(|error| error.to_string())?;
        let mut policy = confinement(&plugin.grants);
        policy.memory = MEMORY;
        let filter = self
            .filters
            .of(plugin.id(), &Seccomp::Narrowest, Granted::of(&policy))
            .map_err(|error| error.to_string())?;
        let number = self.launches.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}.{number}", plugin.id());
        let program = filter.program.clone();
        let mut plan = Plan::resolve(&policy, name, lease.ids, key, program);
        if self.launcher.without_cgroup().is_some() {
            plan = plan.without_cgroup();
        }
        let demands = &self.policy.rules(&package.manifest.id).demands;
        let request = Request {
            demands: policy.demands(demands),
            plugin: Arc::new(plugin),
            launcher: self.launcher.clone(),
            // Its own crash is told by the one that it was to explain.
            desk: Arc::new(Desk::new().0),
            plan,
            filter,
            package: Arc::clone(package),
            times: Times {
                load: PATIENCE,
                grace: Duration::ZERO,
                attest: self.policy.attest_interval.as_duration(),
            },
            file: String::new(),
            preload: Vec::new(),
        };
        let answer = ask(request, &question).await;
        let answer = answer.map_err(|error| error.to_string())?;
        let places: Vec<Place> = codec::decode(&answer).map_err(|error| error.to_string())?;
        let fits = |place: &Place| {
            let texts = [&place.function, &place.file];
            texts
                .into_iter()
                .flatten()
                .all(|text| text.len() <= MAX_NAME)
        };
        match places.len() <= MAX_PLACES && places.iter().all(fits) {
            true => Ok(places),
            false => Err("the symboliser's answer passes its bounds".to_owned()),
        }
    }
}

/// In no registry: what it says and how it lives is told to nobody, what it violates is kept and
/// alerts, since only hostile debug data can have brought it there.
fn symboliser(package: &Package, speaker: &Speaker) -> Result<Plugin, String> {
    let manifest = Manifest::parse(Path::new("symboliser"), MANIFEST);
    let manifest = manifest.map_err(|error| error.to_string())?;
    let policy = Policy::default();
    let rules = policy.rules(&manifest.id);
    let grants = intersect(&manifest, rules).map_err(|error| error.to_string())?;
    let digest = package.sealed.digest();
    let record = Record::new(
        manifest.id.clone(),
        Tracker::new(rules.violations),
        digest,
        &grants.limits,
        Restarts::new(rules.restart),
        Speaker {
            keeper: speaker.keeper.clone(),
            alerts: speaker.alerts.clone(),
            ..Speaker::default()
        },
    );
    Plugin::begin(manifest, grants, digest, Arc::new(record), Cause::Asked)
        .map_err(|error| error.to_string())
}

fn question(scene: Scene) -> Question {
    let registers = match &scene.registers {
        Some(all) => all.dwarf().collect(),
        None => vec![(DWARF_STACK_POINTER, scene.top.sp)],
    };
    Question {
        top: scene.top,
        registers,
        stack: scene.stack,
        stack_start: scene.stack_start,
        mappings: scene.mappings,
    }
}

fn frame(found: Place, mappings: &[Mapping]) -> Frame {
    let text = |text: Option<String>| text.map(|text| escape_line(text.as_bytes()));
    Frame {
        function: text(found.function),
        file: text(found.file),
        line: found.line,
        inlined: found.inlined,
        guessed: found.guessed,
        ..place(mappings, found.address)
    }
}
