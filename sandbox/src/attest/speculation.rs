//! What the processor may speculate, as `/proc/PID/status` tells it (`task_seccomp()` of the
//! kernel's `fs/proc/array.c`).

use super::{AttestError, field, mismatch};
use crate::report::{Control, Enforcement, Report};

/// A misfeature of the processor.
struct Misfeature {
    /// Its line in `status`.
    line: &'static str,
    name: &'static str,
    /// Values that say that it can't be used against the worker.
    harmless: &'static [&'static str],
    /// Values that say that one process could switch it off for good, and that this one
    /// hasn't.
    forgone: &'static [&'static str],
}

/// All other values say that one process can do nothing about it.
const MISFEATURES: [Misfeature; 2] = [
    Misfeature {
        line: "Speculation_Store_Bypass",
        name: "store bypass",
        harmless: &[
            "thread force mitigated",
            "globally mitigated",
            "not vulnerable",
        ],
        forgone: &["thread mitigated", "thread vulnerable"],
    },
    Misfeature {
        line: "SpeculationIndirectBranch",
        name: "indirect branches",
        harmless: &[
            "conditional force disabled",
            "always disabled",
            "not affected",
        ],
        forgone: &["conditional disabled", "conditional enabled"],
    },
];

/// How a thread has them.
pub(super) struct Speculation {
    value: String,
    harmless: usize,
}

impl Speculation {
    /// Fails where a control that is there wasn't taken.
    pub(super) fn read(status: &str) -> Result<Speculation, AttestError> {
        let (mut values, mut harmless) = (Vec::new(), 0);
        for Misfeature {
            line,
            name,
            harmless: good,
            forgone,
        } in &MISFEATURES
        {
            let value = field(status, line).unwrap_or("unknown");
            if forgone.contains(&value) {
                let found = value.to_owned();
                return Err(mismatch(Control::Speculation, *line, found, good[0]));
            }
            harmless += usize::from(good.contains(&value));
            values.push(format!("{name}: {value}"));
        }
        Ok(Speculation {
            value: values.join(", "),
            harmless,
        })
    }

    pub(super) fn find(self, report: &mut Report) {
        let (enforcement, offered) = match self.harmless {
            0 => (Enforcement::Absent, false),
            all if all == MISFEATURES.len() => (Enforcement::Enforced, true),
            _ => (Enforcement::Degraded, false),
        };
        report.add(Control::Speculation, enforcement, offered, self.value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(bypass: &str, branches: &str) -> String {
        format!("Speculation_Store_Bypass:\t{bypass}\nSpeculationIndirectBranch:\t{branches}\n")
    }

    fn found(bypass: &str, branches: &str) -> (Enforcement, bool) {
        let mut report = Report::default();
        let speculation = Speculation::read(&status(bypass, branches)).unwrap();
        speculation.find(&mut report);
        let finding = report.finding(Control::Speculation).unwrap();
        (finding.enforcement, finding.offered)
    }

    #[test]
    fn each_misfeature_counts_for_itself() {
        use Enforcement::{Absent, Degraded, Enforced};
        for (bypass, branches, wanted) in [
            (
                "thread force mitigated",
                "conditional force disabled",
                (Enforced, true),
            ),
            ("not vulnerable", "not affected", (Enforced, true)),
            ("vulnerable", "always disabled", (Degraded, false)),
            ("vulnerable", "always enabled", (Absent, false)),
            ("unknown", "unsupported", (Absent, false)),
        ] {
            assert_eq!(found(bypass, branches), wanted, "{bypass}, {branches}");
        }
    }

    #[test]
    fn control_that_wasnt_taken_is_a_mismatch() {
        let good = ["thread force mitigated", "conditional force disabled"];
        for bypass in ["thread vulnerable", "thread mitigated"] {
            assert!(Speculation::read(&status(bypass, good[1])).is_err());
        }
        for branches in ["conditional enabled", "conditional disabled"] {
            assert!(Speculation::read(&status(good[0], branches)).is_err());
        }
    }
}
