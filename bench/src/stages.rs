//! A launch by stage, so that its whole time is accounted for.

use std::time::Duration;

use cordon_supervisor::worker::Worker;
use sandbox::launch::Step;

use crate::report::Row;
use crate::statistics::Samples;

/// What comes before the launcher is asked: the way to the I/O thread, the image.
const REQUEST: &str = "request: hop to the I/O thread, find the image, make the plan";

/// What the worker does until it is locked down. The launcher's word of the exec isn't a
/// moment of its own: the launcher may wait for the core on which the worker runs.
const EXECUTE: &str = "execute the worker: exec, dynamic loader, lockdown, handshake";

/// The stages of one launch in order, each with the time since the one before it.
/// Both ends are in nanoseconds of `CLOCK_MONOTONIC`; together the stages are all that is
/// between them.
pub(crate) fn of_launch(begin: u64, worker: &Worker, end: u64) -> Vec<(&'static str, Duration)> {
    let timeline = worker.timeline();
    let launcher = worker
        .stages()
        .iter()
        .filter(|stage| stage.step != Step::Exec)
        .map(|stage| (stage.step.name(), stage.at));
    let moments = std::iter::once((REQUEST, timeline.asked))
        .chain(launcher)
        .chain([
            (EXECUTE, timeline.ready),
            ("attest", timeline.attested),
            ("start the tasks, load the plugin", timeline.loaded),
            ("create the instance", timeline.created),
            ("first reply", end),
        ]);
    let mut last = begin;
    moments
        .map(|(name, at)| {
            let took = Duration::from_nanos(at.saturating_sub(last));
            last = last.max(at);
            (name, took)
        })
        .collect()
}

/// Stages of many launches.
#[derive(Debug, Default)]
pub(crate) struct Stages(Vec<(&'static str, Samples)>);

impl Stages {
    pub(crate) fn add(&mut self, launch: Vec<(&'static str, Duration)>) {
        for (name, took) in launch {
            match self.0.iter_mut().find(|(known, _)| *known == name) {
                Some((_, samples)) => samples.push(took),
                None => {
                    let mut samples = Samples::default();
                    samples.push(took);
                    self.0.push((name, samples));
                }
            }
        }
    }

    /// A row for each stage. Medians of parts don't add up to the median of the whole, so
    /// the last row says what is missing.
    pub(crate) fn rows(&self, total: f64) -> Vec<Row> {
        let medians = self
            .0
            .iter()
            .map(|(name, samples)| (*name, samples.median()));
        let mut rows: Vec<Row> = medians
            .clone()
            .map(|(name, median)| Row::against(total, "stage", name, median))
            .collect();
        let sum: f64 = medians.map(|(_, median)| median).sum();
        rows.push(Row::against(
            total,
            "stage",
            "between the medians",
            total - sum,
        ));
        rows
    }
}
