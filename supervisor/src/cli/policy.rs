//! Policy from file and options.

use std::io::ErrorKind;

use cordon_supervisor::config::{GrantError, Policy, PolicyError, RuleError};
use cordon_supervisor::limits::parse_override;

use super::exit::Code;
use super::{Failure, PolicyArguments};

/// The policy that the options name, with the command line's limits over it.
pub(super) fn read(arguments: &PolicyArguments) -> Result<Policy, Failure> {
    let mut policy = match &arguments.policy {
        None => Policy::default(),
        Some(file) => Policy::load(file).map_err(|error| {
            let code = match &error {
                PolicyError::Unreadable { source, .. } if source.kind() == ErrorKind::NotFound => {
                    Code::NotFound
                }
                PolicyError::Rules {
                    source: RuleError::Grants(GrantError::Restricted),
                    ..
                } => Code::Denied,
                _ => Code::Error,
            };
            Failure::new(code, error)
        })?,
    };
    for text in &arguments.limits {
        let usage = |error: &dyn std::fmt::Display| {
            Failure::new(Code::Usage, format!("--limit {text}: {error}"))
        };
        let settings = parse_override(text).map_err(|error| usage(&error))?;
        policy
            .override_limits(&settings)
            .map_err(|error| usage(&error))?;
    }
    for control in &arguments.allow_degraded {
        policy.allow_degraded(*control);
    }
    Ok(policy)
}
