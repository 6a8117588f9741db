//! What follows from a violation by its severity.

use std::fmt;

use serde::{Deserialize, Serialize, Serializer};

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

impl Action {
    /// All of them.
    const ALL: [Self; 5] = [
        Self::Count,
        Self::Revoke,
        Self::Throttle,
        Self::Watch,
        Self::Isolate,
    ];
}

impl Actions {
    /// What lasts beyond the violation: as long as it counts by policy's window, or until an
    /// operator resets the plugin.
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

    /// Those that are in it.
    pub fn iter(self) -> impl Iterator<Item = Action> {
        let all = Action::ALL.into_iter();
        all.filter(move |action| self.contains(*action))
    }

    /// Whether none is in it.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Without `action`.
    #[must_use]
    pub const fn without(self, action: Action) -> Self {
        Self(self.0 & !(action as u8))
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

impl Serialize for Actions {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
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

    #[test]
    fn a_set_has_what_was_put_in() {
        for chosen in 0..1_usize << Action::ALL.len() {
            let chosen: Vec<Action> = (0..Action::ALL.len())
                .filter(|at| chosen >> at & 1 == 1)
                .map(|at| Action::ALL[at])
                .collect();
            let set = Actions::from(chosen.clone());
            for action in Action::ALL {
                assert_eq!(set.contains(action), chosen.contains(&action), "{action}");
                assert!(!set.without(action).contains(action));
            }
            assert!(set.iter().eq(chosen));
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
