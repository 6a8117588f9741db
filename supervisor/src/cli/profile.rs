//! `cordon profile`: what a seccomp filter permits, rule by rule, with the reasons.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::builder::PossibleValuesParser;
use cordon_supervisor::config::{SeccompError, read_profile};
use sandbox::seccomp::oci::{Cut, Resolved};
use sandbox::seccomp::{Arch, Grant, Granted, Mode, Profile, Rule};
use serde_json::json;

use super::exit::Code;
use super::{Failure, Format, print, table};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// A mode (strict, basic, moderate, permissive), or a file in the JSON of OCI runtimes and
    /// Docker.
    profile: PathBuf,
    /// What is granted, for the rules that wait for it; again for more.
    #[arg(long = "grant", value_name = "GRANT", value_parser = PossibleValuesParser::new(Grant::ALL.map(Grant::name)))]
    grants: Vec<String>,
    /// How to print.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// A profile, with what became of the parts that don't hold as written.
struct Shown {
    profile: Profile,
    cuts: Vec<Cut>,
    resolved: Vec<Resolved>,
}

/// Prints every rule, in the order in which they decide.
pub(super) fn profile(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let named = |grant: &Grant| arguments.grants.iter().any(|name| name == grant.name());
    let granted = Grant::ALL.into_iter().filter(named).collect();
    let shown = Shown::read(&arguments.profile, granted)?;
    match arguments.format {
        Format::Json => print::json(&shown.as_json())?,
        Format::Table => print::text(shown.as_table())?,
    };
    Ok(ExitCode::SUCCESS)
}

impl Shown {
    fn read(name: &Path, granted: Granted) -> Result<Shown, Failure> {
        let mode = Mode::ALL
            .into_iter()
            .find(|mode| name.as_os_str() == mode.name());
        if let Some(mode) = mode {
            let profile = Profile::builtin(mode, Arch::NATIVE, granted)
                .map_err(|error| Failure::new(Code::Error, error))?;
            return Ok(Shown {
                profile,
                cuts: Vec::new(),
                resolved: Vec::new(),
            });
        }
        if granted != Granted::NONE {
            let sentence = "a profile of your own has no rules that wait for a grant";
            return Err(Failure::new(Code::Usage, sentence));
        }
        let custom = read_profile(name).map_err(|error| {
            let missing = matches!(&error, SeccompError::Unreadable { source, .. }
                if source.kind() == std::io::ErrorKind::NotFound);
            Failure::new(if missing { Code::NotFound } else { Code::Error }, error)
        })?;
        Ok(Shown {
            profile: Profile::clone(&custom.profile),
            cuts: custom.cuts,
            resolved: custom.resolved,
        })
    }

    fn as_json(&self) -> serde_json::Value {
        let rule = |(number, rule): (u32, &Rule)| {
            json!({
                "syscall": self.syscall(number),
                "when": conditions(rule),
                "action": rule.action.to_string(),
                "reason": rule.reason,
                "origin": rule.origin,
            })
        };
        let cut = |cut: &Cut| json!({ "calls": cut.calls, "why": cut.why });
        json!({
            "arch": self.profile.arch(),
            "default": self.profile.default_action().to_string(),
            "rules": self.profile.rules().map(rule).collect::<Vec<_>>(),
            "cuts": self.cuts.iter().map(cut).collect::<Vec<_>>(),
            "resolved": self.resolved.iter().map(Resolved::to_string).collect::<Vec<_>>(),
        })
    }

    fn as_table(&self) -> String {
        let row = |(number, rule): (u32, &Rule)| {
            vec![
                self.syscall(number).to_owned(),
                conditions(rule).join(" and "),
                rule.action.to_string(),
                rule.reason.clone(),
            ]
        };
        let mut rows: Vec<_> = self.profile.rules().map(row).collect();
        let default = self.profile.default_action().to_string();
        rows.push(vec![
            "all else".to_owned(),
            String::new(),
            default,
            String::new(),
        ]);
        let mut text = table::render(&["CALL", "WHEN", "ACTION", "REASON"], &rows);
        for cut in &self.cuts {
            text += &format!("{cut}\n");
        }
        for resolved in &self.resolved {
            text += &format!("{resolved}\n");
        }
        text
    }

    fn syscall(&self, number: u32) -> &'static str {
        self.profile.arch().syscall(number).unwrap_or("?")
    }
}

fn conditions(rule: &Rule) -> Vec<String> {
    rule.conditions.iter().map(ToString::to_string).collect()
}
