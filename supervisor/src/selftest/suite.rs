//! All deeds of a folder, tried side by side.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use tokio::sync::mpsc;

use super::attempt::attempt;
use super::deed::{Deed, DeedError, TWIN};
use super::verdict::{Outcome, Verdict};
use crate::config::{Policy, PolicyError};
use crate::supervisor::Supervisor;
use crate::units::TimeSpan;

/// Time for a load: a constructor that never returns takes all of it.
pub(super) const LOAD_DEADLINE: TimeSpan = TimeSpan::secs(3);
/// What policy says of a deed without a filter.
const UNFILTERED: &str = "{ seccomp = { mode = \"permissive\" } }";
/// Deeds that are tried at a time.
const AT_A_TIME: usize = 2;

/// How to try them.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Stretches every time, for slow machines. At least 1.
    pub patience: u32,
    /// Only deeds whose id has one of these texts in it; all if there is none.
    pub filters: Vec<String>,
    /// Whether to try those that need seccomp mode `permissive` too: they show the walls behind
    /// the filter. A file's word alone doesn't widen its filter.
    pub unfiltered: bool,
}

/// Why there is nothing to try.
#[derive(Debug, thiserror::Error)]
pub enum SuiteError {
    /// The folder can't be read.
    #[error("{}: {source}", folder.display())]
    Unreadable {
        /// The folder.
        folder: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// No deed is in it.
    #[error("{}: no deed in this folder{}; build them with `make -C tests/deeds`", folder.display(), if *.filtered { " has a name with that text" } else { "" })]
    Empty {
        /// The folder.
        folder: PathBuf,
        /// Whether a filter left none.
        filtered: bool,
    },
    /// A plugin in it is no deed.
    #[error(transparent)]
    Deed(#[from] DeedError),
    /// A deed's policy is none.
    #[error(transparent)]
    Policy(#[from] PolicyError),
}

/// The deeds of a folder.
#[derive(Debug, Clone)]
pub struct Suite {
    deeds: Vec<Deed>,
    patience: u32,
}

/// How many deeds had which verdict.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Stopped as they say.
    pub stopped: usize,
    /// Got through.
    pub got_through: usize,
    /// Stopped by something else.
    pub stopped_otherwise: usize,
    /// The permitted act failed.
    pub twin_failed: usize,
    /// Refused, since this host lacks a control.
    pub not_enforceable: usize,
    /// Couldn't be tried.
    pub failed: usize,
}

impl Suite {
    /// Reads what the plugins of a folder, and of the folders in it, say of their deeds.
    ///
    /// # Errors
    /// [`SuiteError`].
    pub fn of(folder: &Path, settings: &Settings) -> Result<Suite, SuiteError> {
        let mut files = Vec::new();
        for inner in plugins(folder)? {
            match inner.is_dir() {
                true => files.extend(plugins(&inner)?),
                false => files.push(inner),
            }
        }
        let is_deed = |file: &PathBuf| {
            file.extension() == Some(OsStr::new("so")) && !file.to_string_lossy().ends_with(TWIN)
        };
        files.retain(is_deed);
        files.sort();
        let mut deeds = Vec::new();
        for file in &files {
            deeds.push(Deed::of(file)?);
        }
        let wanted = |deed: &Deed| {
            let filters = &settings.filters;
            let named = |text: &String| deed.id.as_str().contains(text);
            (filters.is_empty() || filters.iter().any(named))
                && (settings.unfiltered || !deed.unfiltered)
        };
        let filtered = !deeds.is_empty();
        deeds.retain(wanted);
        if deeds.is_empty() {
            return Err(SuiteError::Empty {
                folder: folder.to_owned(),
                filtered,
            });
        }
        Ok(Suite {
            deeds,
            patience: settings.patience.max(1),
        })
    }

    /// What was found, by file.
    #[must_use]
    pub fn deeds(&self) -> &[Deed] {
        &self.deeds
    }

    /// The operator's policy with what the deeds need for their permitted acts laid over it, and
    /// its times stretched.
    ///
    /// # Errors
    /// [`SuiteError::Policy`].
    pub fn policy(&self, mut policy: Policy) -> Result<Policy, SuiteError> {
        policy.load_deadline = policy.load_deadline.min(LOAD_DEADLINE);
        for deed in &self.deeds {
            let filter = deed.unfiltered.then_some(UNFILTERED);
            for table in deed.policy.as_deref().into_iter().chain(filter) {
                for id in [&deed.id, &deed.twin_id] {
                    policy.lay_over(&deed.file, id, table)?;
                }
            }
        }
        policy.stretch(self.patience);
        // What becomes of a deed is looked at before it is tried again.
        policy.never_restart();
        Ok(policy)
    }

    /// Tries all of them under a supervisor with [`Suite::policy`]; each outcome is shown when
    /// it is there. They come back in the order of [`Suite::deeds`].
    pub async fn run(
        self,
        supervisor: Arc<Supervisor>,
        mut show: impl FnMut(&Outcome),
    ) -> Vec<Outcome> {
        let patience = self.patience;
        let queue: VecDeque<(usize, Deed)> = self.deeds.into_iter().enumerate().collect();
        let queue = Arc::new(Mutex::new(queue));
        let (sender, mut outcomes) = mpsc::unbounded_channel();
        for _ in 0..AT_A_TIME {
            let (queue, supervisor) = (Arc::clone(&queue), Arc::clone(&supervisor));
            let sender = sender.clone();
            tokio::spawn(async move {
                let next = || {
                    let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
                    queue.pop_front()
                };
                while let Some((nth, deed)) = next() {
                    let outcome = attempt(&supervisor, &deed, patience).await;
                    // Nobody listens any more: then nobody wants the rest either.
                    if sender.send((nth, outcome)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let mut all = Vec::new();
        while let Some((nth, outcome)) = outcomes.recv().await {
            show(&outcome);
            all.push((nth, outcome));
        }
        all.sort_by_key(|(nth, _)| *nth);
        all.into_iter().map(|(_, outcome)| outcome).collect()
    }
}

fn plugins(folder: &Path) -> Result<Vec<PathBuf>, SuiteError> {
    let unreadable = |source| SuiteError::Unreadable {
        folder: folder.to_owned(),
        source,
    };
    let entries = std::fs::read_dir(folder).map_err(unreadable)?;
    let paths = entries.map(|entry| entry.map(|entry| entry.path()));
    paths.collect::<Result<_, _>>().map_err(unreadable)
}

impl Totals {
    /// Counts outcomes.
    #[must_use]
    pub fn of(outcomes: &[Outcome]) -> Totals {
        let mut totals = Totals::default();
        for outcome in outcomes {
            *match outcome.verdict {
                Verdict::Stopped { .. } => &mut totals.stopped,
                Verdict::GotThrough => &mut totals.got_through,
                Verdict::StoppedOtherwise => &mut totals.stopped_otherwise,
                Verdict::TwinFailed => &mut totals.twin_failed,
                Verdict::NotEnforceable { .. } => &mut totals.not_enforceable,
                Verdict::Failed => &mut totals.failed,
            } += 1;
        }
        totals
    }
}
