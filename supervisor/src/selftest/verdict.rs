//! The verdict on a deed, from what was seen of it. Pure.

use std::collections::BTreeSet;
use std::time::Duration;

use sandbox::report::{Control, Report};
use serde::Serialize;

use super::barrier::Barrier;
use super::deed::{Deed, Stop};
use super::shown::Shown;

/// What was seen of an act, from outside but for the plugin's own word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    /// How it ended.
    pub(super) shown: Shown,
    /// The plugin's reply, or the sentence about why there is none.
    pub(super) sentence: String,
    /// What the plugin printed, escaped.
    pub(super) lines: Vec<String>,
    /// The kinds of violations that were recorded.
    pub(super) violations: BTreeSet<String>,
    /// What was touched outside.
    pub(super) touched: Option<&'static str>,
}

/// What became of a deed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "verdict")]
pub enum Verdict {
    /// It was stopped as it says.
    Stopped {
        /// By what.
        by: Barrier,
    },
    /// It got through.
    GotThrough,
    /// It was stopped, but not by what it names, or not as it says.
    StoppedOtherwise,
    /// The permitted act didn't work, so nothing is known of the deed.
    TwinFailed,
    /// Policy demands more than can be enforced on this host, and refused the load.
    NotEnforceable {
        /// The controls that were missed.
        missed: Vec<Control>,
    },
    /// It couldn't be tried.
    Failed,
}

/// A deed that was tried.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// Its id.
    pub deed: String,
    /// What was tried.
    pub sentence: String,
    /// How it should be stopped.
    pub expected: Vec<Stop>,
    /// What became of it.
    #[serde(flatten)]
    pub verdict: Verdict,
    /// How it ended; for a twin that failed, how that did.
    pub shown: Option<Shown>,
    /// What was seen, in a sentence.
    pub detail: String,
    /// How long both acts took, with their launches.
    #[serde(rename = "micros", serialize_with = "micros")]
    pub took: Duration,
}

/// The stop that is to show: the first that neither this build nor this host leaves out.
pub(super) fn expected<'a>(deed: &'a Deed, report: Option<&Report>) -> Option<&'a Stop> {
    let holds =
        |stop: &&Stop| !stop.by.left_out() && report.is_none_or(|report| stop.by.holds(report));
    deed.stops.iter().find(holds)
}

/// Judges the deed by what was seen, with the report on its worker or on its twin's.
pub(super) fn judge(deed: &Deed, seen: &Seen, report: Option<&Report>) -> Verdict {
    if seen.touched.is_some() || printed(deed, seen) {
        return Verdict::GotThrough;
    }
    if let Some(stop) = expected(deed, report)
        && fits(deed, stop, seen)
    {
        return Verdict::Stopped { by: stop.by };
    }
    if [&deed.through.shown, &Shown::Done, &Shown::Endless].contains(&&seen.shown) {
        Verdict::GotThrough
    } else {
        Verdict::StoppedOtherwise
    }
}

/// Whether the permitted act worked, and nothing was held against it.
pub(super) fn twin_worked(seen: &Seen) -> bool {
    seen.shown == Shown::Done && seen.violations.is_empty()
}

fn printed(deed: &Deed, seen: &Seen) -> bool {
    let text = deed.through.printed.as_deref();
    text.is_some_and(|text| seen.lines.iter().any(|line| line.contains(text)))
}

fn fits(deed: &Deed, stop: &Stop, seen: &Seen) -> bool {
    let recorded = |kind: &String| seen.violations.contains(kind);
    let says = |text: &String| seen.sentence.contains(text.as_str());
    stop.shown == seen.shown
        && stop.violation.as_ref().is_none_or(recorded)
        && deed.says.as_ref().is_none_or(says)
}

fn micros<S: serde::Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(time.as_micros()).unwrap_or(u64::MAX))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::path::PathBuf;

    use sandbox::report::Enforcement;

    use super::*;
    use crate::selftest::Through;

    fn deed(stops: &[&str]) -> Deed {
        Deed {
            id: "a.deed".parse().unwrap(),
            file: PathBuf::new(),
            twin: PathBuf::new(),
            twin_id: "a.deed".parse().unwrap(),
            sentence: "tries".into(),
            stops: stops.iter().map(|stop| stop.parse().unwrap()).collect(),
            through: Through {
                shown: Shown::Done,
                printed: Some("owned".into()),
            },
            data: String::new(),
            says: None,
            within: None,
            unfiltered: false,
            policy: None,
        }
    }

    fn seen(shown: &str, violation: Option<&str>) -> Seen {
        Seen {
            shown: shown.parse().unwrap(),
            sentence: "why".into(),
            lines: Vec::new(),
            violations: violation.map(str::to_owned).into_iter().collect(),
            touched: None,
        }
    }

    #[test]
    fn stopped_as_it_says_needs_end_and_record() {
        let deed = deed(&["EPERM (denied-syscall) by seccomp", "ENOENT by root"]);
        for (seen, verdict) in [
            (
                seen("EPERM", Some("denied-syscall")),
                Verdict::Stopped {
                    by: Barrier::Seccomp,
                },
            ),
            (seen("EPERM", None), Verdict::StoppedOtherwise),
            (seen("ENOENT", None), Verdict::StoppedOtherwise),
            (seen("done", None), Verdict::GotThrough),
        ] {
            assert_eq!(judge(&deed, &seen, None), verdict, "{seen:?}");
        }
    }

    #[test]
    fn what_the_kernel_does_not_enforce_is_left_to_the_next() {
        let deed = deed(&["oom by memory", "ENOMEM by rlimits"]);
        let mut report = Report::default();
        report.enforced(Control::Rlimits, "set");
        report.add(Control::Cgroup, Enforcement::Absent, false, "no delegation");
        let verdict = judge(&deed, &seen("ENOMEM", None), Some(&report));
        let by = Barrier::Rlimits;
        assert_eq!(verdict, Verdict::Stopped { by });
        let verdict = judge(&deed, &seen("oom", None), Some(&report));
        assert_eq!(verdict, Verdict::StoppedOtherwise);
    }

    #[test]
    fn traces_outside_count_whatever_the_plugin_says() {
        let deed = deed(&["EPERM by root"]);
        let touched = Seen {
            touched: Some("the file was made"),
            ..seen("EPERM", None)
        };
        let owned = Seen {
            lines: vec!["you are owned".into()],
            ..seen("EPERM", None)
        };
        for seen in [touched, owned] {
            assert_eq!(judge(&deed, &seen, None), Verdict::GotThrough);
        }
    }

    #[test]
    fn sentence_must_say_what_the_deed_says() {
        let mut deed = deed(&["refused by precheck"]);
        deed.says = Some("truncated".into());
        let mut seen = seen("refused", None);
        assert_eq!(judge(&deed, &seen, None), Verdict::StoppedOtherwise);
        seen.sentence = "it is truncated".into();
        let by = Barrier::Precheck;
        assert_eq!(judge(&deed, &seen, None), Verdict::Stopped { by });
    }

    #[test]
    fn twin_that_is_held_something_against_failed() {
        assert!(twin_worked(&seen("done", None)));
        assert!(!twin_worked(&seen("done", Some("denied-syscall"))));
        assert!(!twin_worked(&seen("EPERM", None)));
    }
}
