//! Limits as a table: both tiers, and what happens at the hard one.

use cordon_supervisor::limits::{LimitName, Limits};

use super::table;

/// One line for each limit.
pub(super) fn as_table(limits: &Limits) -> String {
    let row = |name: &LimitName| {
        let limit = limits.get(*name);
        vec![
            name.to_string(),
            limit.declared().to_string(),
            limit.hard().to_string(),
            name.at_hard().to_owned(),
        ]
    };
    let rows: Vec<Vec<String>> = LimitName::ALL.iter().map(row).collect();
    table::render(&["LIMIT", "DECLARED", "HARD", "AT HARD"], &rows)
}
