//! What follows from a violation by its severity.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Severity;

/// Something done about a plugin. Every violation is recorded besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// It counts towards the threshold.
    Count = 1,
    /// The plugin's calls to the host that change or tell something are denied: emitting events,
    /// setting its context.
    Revoke = 1 << 1,
    /// Its worker gets less CPU time.
    Throttle = 1 << 2,
    /// Its worker's usage is polled more often.
    Watch = 1 << 3,
    /// Its worker is frozen, looked at, and killed.
    Isolate = 1 << 4,
}

/// A set of actions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "Vec<Action>")]
pub struct Actions(u8);

/// The actions for each severity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Responses {
    /// For [`Severity::Low`].
    pub low: Actions,
    /// For [`Severity::Medium`].
    pub medium: Actions,
    /// For [`Severity::High`].
    pub high: Actions,
    /// For [`Severity::Critical`].
    pub critical: Actions,
}

impl Actions {
    /// What lasts beyond the violation, until an operator resets the plugin.
    pub const RESTRICTIONS: Self = Self::of(&[Action::Revoke, Action::Throttle, Action::Watch]);

    /// These actions.
    #[must_use]
    pub const fn of(actions: &[Action]) -> Self {
        let (mut set, mut at) = (0, 0);
        while at < actions.len() {
            set |= actions[at] as u8;
            at += 1;
        }
        Self(set)
    }

    /// Whether `action` is among them.
    #[must_use]
    pub const fn contains(self, action: Action) -> bool {
        self.0 & action as u8 != 0
    }

    /// What is in both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// What is in either.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl From<Vec<Action>> for Actions {
    fn from(actions: Vec<Action>) -> Self {
        Self::of(&actions)
    }
}

impl Responses {
    /// What follows from a violation of that severity.
    #[must_use]
    pub const fn to(&self, severity: Severity) -> Actions {
        match severity {
            Severity::Low => self.low,
            Severity::Medium => self.medium,
            Severity::High => self.high,
            Severity::Critical => self.critical,
        }
    }
}

impl Default for Responses {
    fn default() -> Self {
        use Action::{Count, Isolate, Revoke, Throttle, Watch};
        Self {
            low: Actions::default(),
            medium: Actions::of(&[Count]),
            high: Actions::of(&[Count, Revoke, Throttle, Watch]),
            critical: Actions::of(&[Count, Isolate]),
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Count => "count",
            Self::Revoke => "revoke",
            Self::Throttle => "throttle",
            Self::Watch => "watch",
            Self::Isolate => "isolate",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Action; 5] = [
        Action::Count,
        Action::Revoke,
        Action::Throttle,
        Action::Watch,
        Action::Isolate,
    ];

    #[test]
    fn a_set_has_what_was_put_in() {
        for chosen in 0..1_usize << ALL.len() {
            let chosen: Vec<Action> = (0..ALL.len())
                .filter(|at| chosen >> at & 1 == 1)
                .map(|at| ALL[at])
                .collect();
            let set = Actions::from(chosen.clone());
            for action in ALL {
                assert_eq!(set.contains(action), chosen.contains(&action), "{action}");
            }
        }
    }

    #[test]
    fn by_default_each_severity_is_followed_by_more_than_the_one_below() {
        let responses = Responses::default();
        let counts = |severity| responses.to(severity).contains(Action::Count);
        assert!(!counts(Severity::Low));
        assert!(
            [Severity::Medium, Severity::High, Severity::Critical]
                .into_iter()
                .all(counts)
        );
        assert_eq!(
            responses.medium.and(Actions::RESTRICTIONS),
            Actions::default()
        );
        assert_eq!(
            responses.high.and(Actions::RESTRICTIONS),
            Actions::RESTRICTIONS
        );
        assert!(!responses.high.contains(Action::Isolate));
        assert!(responses.critical.contains(Action::Isolate));
    }
}
