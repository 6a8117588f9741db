//! One deed, tried: the permitted act first, then the deed, each judged by what was seen.

use std::path::Path;
use std::time::{Duration, Instant};

use sandbox::report::{Control, Report};
use tokio::time::timeout;

use super::deed::Deed;
use super::scene::Scene;
use super::shown::Shown;
use super::suite::LOAD_DEADLINE;
use super::verdict::{Outcome, Seen, Verdict, expected, judge, twin_worked};
use crate::manifest::PluginId;
use crate::output::escape;
use crate::supervisor::{Call, CallError, LoadError, Supervisor};
use crate::worker::LaunchError;

/// Time for an act that names none.
const TIME: Duration = Duration::from_secs(10);
/// How long the record of a violation, or the end of a late worker, may take.
const SETTLE: Duration = Duration::from_secs(2);
/// How often it is looked at meanwhile.
const LOOK: Duration = Duration::from_millis(2);

/// Tries the deed and judges it; `patience` stretches every time.
pub(super) async fn attempt(supervisor: &Supervisor, deed: &Deed, patience: u32) -> Outcome {
    let started = Instant::now();
    let attempt = Attempt {
        supervisor,
        deed,
        patience,
    };
    let (verdict, shown, detail) = match Scene::of(&deed.id) {
        Ok(scene) => attempt.run(&scene).await,
        Err(error) => (Verdict::Failed, None, format!("no scene for it: {error}")),
    };
    Outcome {
        deed: deed.id.to_string(),
        sentence: deed.sentence.clone(),
        expected: deed.stops.clone(),
        verdict,
        shown,
        detail,
        took: started.elapsed(),
    }
}

struct Attempt<'a> {
    supervisor: &'a Supervisor,
    deed: &'a Deed,
    patience: u32,
}

type Judged = (Verdict, Option<Shown>, String);

impl Attempt<'_> {
    async fn run(&self, scene: &Scene) -> Judged {
        let data = match scene.fill(&self.deed.data) {
            Ok(data) => data,
            Err(error) => return (Verdict::Failed, None, format!("no scene for it: {error}")),
        };
        let (twin, deed) = (&self.deed.twin_id, &self.deed.id);
        let (permitted, report) = match self.load(&self.deed.twin).await {
            Ok(()) => {
                let report = self.supervisor.status(twin).and_then(|now| now.report);
                (self.call(twin, "permitted", &data).await, report)
            }
            Err(act) => (act, None),
        };
        if let Some(refused) = permitted.refused() {
            return refused;
        }
        let permitted = self.seen(permitted, twin, scene);
        let mut judged = if twin_worked(&permitted) {
            if twin != deed {
                self.supervisor.unload(twin).await.ok();
            }
            self.deed(&data, scene, report.as_ref()).await
        } else {
            let detail = told("the permitted act", &permitted);
            (Verdict::TwinFailed, Some(permitted.shown), detail)
        };
        for id in [twin, deed] {
            // One that never came up, or ended, is no more there to be unloaded.
            let unload = timeout(SETTLE * self.patience, self.supervisor.unload(id));
            if unload.await.is_err() {
                judged.0 = Verdict::GotThrough;
                judged.2 += "; its worker outlives the unload";
            }
        }
        judged
    }

    /// The deed itself, in the worker that is there or in one of its own.
    async fn deed(&self, data: &str, scene: &Scene, report: Option<&Report>) -> Judged {
        let id = &self.deed.id;
        let loaded = match self.deed.twin_id == *id {
            true => Ok(()),
            false => self.load(&self.deed.file).await,
        };
        let act = match loaded {
            Ok(()) => self.call(id, "deed", data).await,
            Err(act) => act,
        };
        if let Some(refused) = act.refused() {
            return refused;
        }
        if let Some(worker) = self.supervisor.worker(id)
            && act.shown != Shown::Done
            && !matches!(act.shown, Shown::Errno(_))
        {
            // What becomes of a late call is decided within the grace.
            timeout(SETTLE * self.patience, worker.ended()).await.ok();
        }
        self.settle(id, report).await;
        let seen = self.seen(act, id, scene);
        let verdict = judge(self.deed, &seen, report);
        (verdict, Some(seen.shown.clone()), told("it", &seen))
    }

    async fn load(&self, file: &Path) -> Result<(), Act> {
        let bound = (LOAD_DEADLINE.as_duration() + SETTLE) * self.patience;
        match timeout(bound, self.supervisor.load(file)).await {
            Ok(loaded) => loaded.map(drop).map_err(|error| Act::of_load(&error)),
            Err(_) => Err(Act::endless()),
        }
    }

    async fn call(&self, plugin: &PluginId, method: &str, data: &str) -> Act {
        let within = self.deed.within.filter(|_| method == "deed");
        let time = within.map_or(TIME, |time| time.as_duration());
        let call = Call {
            method,
            payload: data.as_bytes(),
            deadline: Some(time * self.patience),
            ..Call::default()
        };
        let bound = (time + SETTLE) * self.patience;
        match timeout(bound, self.supervisor.call(plugin, call)).await {
            Ok(result) => Act::of_call(&result),
            Err(_) => Act::endless(),
        }
    }

    /// Waits for the record of the violation that is expected: some come as events.
    async fn settle(&self, id: &PluginId, report: Option<&Report>) {
        let stop = expected(self.deed, report);
        let Some(kind) = stop.and_then(|stop| stop.violation.as_ref()) else {
            return;
        };
        let end = Instant::now() + SETTLE * self.patience;
        let recorded = || {
            let status = self.supervisor.status(id);
            status.is_none_or(|status| status.by_kind.contains_key(kind))
        };
        while !recorded() && Instant::now() < end {
            tokio::time::sleep(LOOK).await;
        }
    }

    fn seen(&self, act: Act, id: &PluginId, scene: &Scene) -> Seen {
        let status = self.supervisor.status(id);
        let (lines, violations) = status.map_or_else(Default::default, |status| {
            let lines: Vec<String> = status.lines.into_iter().map(|line| line.text).collect();
            (lines, status.by_kind.into_keys().collect())
        });
        let said = act.sentence.clone() + &lines.concat();
        Seen {
            shown: act.shown,
            sentence: act.sentence,
            violations,
            touched: scene.touched(&said).or_else(|| unescaped(&lines)),
            lines,
        }
    }
}

/// How a load or a call ended.
struct Act {
    shown: Shown,
    sentence: String,
    /// The controls for want of which policy refused the load.
    missed: Vec<Control>,
}

impl Act {
    fn of_load(error: &LoadError) -> Act {
        let missed = match error {
            LoadError::Launch {
                source: LaunchError::Confinement(unmet),
                ..
            } => unmet.findings.iter().map(|found| found.control).collect(),
            _ => Vec::new(),
        };
        Act {
            shown: Shown::of_load(error),
            sentence: error.to_string(),
            missed,
        }
    }

    fn of_call(result: &Result<Vec<u8>, CallError>) -> Act {
        Act {
            shown: Shown::of_call(result),
            sentence: match result {
                Ok(reply) => escape(reply),
                Err(error) => escape(error.to_string().as_bytes()),
            },
            missed: Vec::new(),
        }
    }

    fn endless() -> Act {
        Act {
            shown: Shown::Endless,
            sentence: "it goes on, and no deadline ends it".into(),
            missed: Vec::new(),
        }
    }

    /// What is to be said where policy refused the load; nothing else is known then.
    fn refused(&self) -> Option<Judged> {
        let missed = self.missed.clone();
        let verdict = Verdict::NotEnforceable { missed };
        (!self.missed.is_empty()).then(|| (verdict, None, self.sentence.clone()))
    }
}

fn unescaped(lines: &[String]) -> Option<&'static str> {
    let steers = |line: &String| line.contains(char::is_control);
    lines
        .iter()
        .any(steers)
        .then_some("its output has a control character in it")
}

fn told(who: &str, seen: &Seen) -> String {
    let mut detail = format!("{who}: {}", seen.sentence);
    if !seen.violations.is_empty() {
        let kinds: Vec<&str> = seen.violations.iter().map(String::as_str).collect();
        detail += &format!("; recorded: {}", kinds.join(", "));
    }
    if let Some(touched) = seen.touched {
        detail += &format!("; {touched}");
    }
    detail
}
