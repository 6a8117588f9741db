//! `cordon report`: how a plugin's worker is really confined.

use std::path::PathBuf;
use std::process::ExitCode;

use cordon_supervisor::worker::LaunchError;
use cordon_supervisor::{LoadError, PluginStatus, Supervisor};
use sandbox::report::{Control, Finding, Report};
use sandbox::support::Kernel;
use serde_json::json;

use super::exit::Code;
use super::{
    Failure, Format, PolicyArguments, StateArguments, interrupted, limits, policy, print, runtime,
    table,
};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The plugin's file.
    file: PathBuf,
    /// How to print.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    #[command(flatten)]
    policy: PolicyArguments,
}

/// Loads the plugin, prints what was read back of its worker, unloads it.
pub(super) fn report(arguments: &Arguments, state: &StateArguments) -> Result<ExitCode, Failure> {
    let policy = policy::read(&arguments.policy)?;
    let state = state.folder()?;
    let work = async {
        let supervisor = arguments.policy.start(policy, state).await?;
        let loaded = supervisor.load(&arguments.file).await;
        let shown = show(&supervisor, loaded.as_ref().err(), arguments.format);
        if let Ok(id) = &loaded {
            // Dropping the supervisor ends what this doesn't.
            supervisor.unload(id).await.ok();
        }
        shown?;
        loaded.map(|_| Code::Ok).map_err(Failure::from)
    };
    let code = runtime()?.block_on(async {
        tokio::select! {
            result = work => result,
            () = interrupted() => Ok(Code::Interrupted),
        }
    })?;
    Ok(code.into())
}

/// Prints what is known, also of a worker that policy refused; nothing where there was none.
fn show(supervisor: &Supervisor, error: Option<&LoadError>, format: Format) -> Result<(), Failure> {
    let plugins = supervisor.list();
    let Some(plugin) = plugins.first() else {
        return Ok(());
    };
    let (report, unmet) = match error {
        None => (plugin.report.as_ref(), &[][..]),
        Some(LoadError::Launch {
            source: LaunchError::Confinement(unmet),
            ..
        }) => (Some(&unmet.report), &unmet.findings[..]),
        Some(_) => return Ok(()),
    };
    let Some(report) = report else {
        return Ok(());
    };
    if format == Format::Json {
        return print::json(&as_json(plugin, report, unmet)).map(drop);
    }
    print::text(as_table(plugin, report))?;
    print::conceded(plugin);
    Ok(())
}

fn as_json(plugin: &PluginStatus, report: &Report, unmet: &[Finding]) -> serde_json::Value {
    let findings: Vec<_> = report
        .findings
        .iter()
        .map(|finding| {
            json!({
                "control": finding.control,
                "class": finding.control.class(),
                "enforcement": finding.enforcement,
                "offered": finding.offered,
                "value": finding.value,
            })
        })
        .collect();
    let names = |findings: &[Finding]| -> Vec<Control> {
        findings.iter().map(|finding| finding.control).collect()
    };
    json!({
        "plugin": plugin.id,
        "version": plugin.version,
        "trust": plugin.trust,
        "kernel": Kernel::release(),
        "mode": plugin.mode,
        "findings": findings,
        "limits": plugin.limits,
        "conceded": names(&plugin.conceded),
        "unmet": names(unmet),
        "launch_micros": plugin.launch_time.map(|time| time.as_micros() as u64),
    })
}

fn as_table(plugin: &PluginStatus, report: &Report) -> String {
    let head = format!(
        "{} {}, {}, Linux {}\n\n",
        plugin.id,
        plugin.version,
        format!("{:?}", plugin.trust).to_uppercase(),
        Kernel::release(),
    );
    let rows: Vec<Vec<String>> = report.findings.iter().map(row).collect();
    let header = ["CONTROL", "CLASS", "STATE", "OFFERED", "VALUE"];
    let limits = plugin.limits.as_ref().map(limits::as_table);
    let limits = limits.map(|table| format!("\n{table}")).unwrap_or_default();
    head + &table::render(&header, &rows) + &limits
}

fn row(finding: &Finding) -> Vec<String> {
    let offered = match finding.offered {
        true => "yes",
        false => "no",
    };
    vec![
        finding.control.to_string(),
        finding.control.class().to_string(),
        finding.enforcement.to_string(),
        offered.to_owned(),
        finding.value.clone(),
    ]
}
