//! What policy says about violations.

use std::num::NonZeroU32;

use super::Responses;
use crate::units::{Percent, TimeSpan};

/// What follows from violations of a plugin: policy's `[violations]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ViolationRules {
    /// Counted violations at which it is unmounted.
    pub threshold: NonZeroU32,
    /// How long a violation counts, up to a 64th more; else until an operator resets it.
    pub window: Option<TimeSpan>,
    /// How long restrictions (revoke, throttle, watch) last after the last violation that asked
    /// for them.
    pub restricted: TimeSpan,
    /// Time in which one counted violation is forgiven, the oldest first; else none is.
    pub decay: Option<TimeSpan>,
    /// Whether it is unmounted at all.
    pub auto_unmount: bool,
    /// Whether each violation is written to the history and the log. Counting, actions and
    /// alerts are the same either way.
    pub log_violations: bool,
    /// What follows from each severity.
    pub actions: Responses,
    /// CPU time of a throttled worker, in percent of one core.
    pub throttle: Percent,
    /// Time between two polls of a watched worker.
    pub watch: TimeSpan,
}

impl Default for ViolationRules {
    fn default() -> Self {
        const TEN: NonZeroU32 = NonZeroU32::MIN.saturating_add(9);
        Self {
            threshold: TEN,
            window: None,
            restricted: TimeSpan::secs(3600),
            decay: None,
            auto_unmount: true,
            log_violations: true,
            actions: Responses::default(),
            throttle: Percent::new(10),
            watch: TimeSpan::secs(1),
        }
    }
}
