//! `cordon inspect`: what a plugin is, read as data.

use std::path::PathBuf;
use std::process::ExitCode;

use cordon_supervisor::config::Policy;
use cordon_supervisor::elf::LibraryDirs;
use cordon_supervisor::grants::{Grants, Refused, intersect};
use cordon_supervisor::package::{Package, PackageError};
use serde_json::json;

use super::exit::{Code, of_package};
use super::{Failure, Format, PolicyArguments, limits, policy, print, table};

/// How many exports a table names.
const LISTED_EXPORTS: usize = 8;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The plugin's file.
    file: PathBuf,
    #[command(flatten)]
    policy: PolicyArguments,
    /// How to print.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// What policy makes of the plugin's requests.
type Verdict = Result<Grants, Refused>;

/// Prints manifest, ABI, exports and needed libraries; with a policy also what it grants.
pub(super) fn inspect(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let policy = policy::read(&arguments.policy)?;
    let dirs = LibraryDirs::system(&policy.library_dirs)
        .map_err(|error| Failure::new(Code::Error, error))?;
    let package = Package::open(&arguments.file, &dirs, &[])
        .map_err(|error: PackageError| Failure::new(of_package(&error), error))?;
    let verdict = verdict(&package, &policy, &arguments.policy);
    match arguments.format {
        Format::Json => print::json(&as_json(&package, verdict.as_ref()))?,
        Format::Table => print::text(as_table(&package, verdict.as_ref()))?,
    };
    Ok(ExitCode::SUCCESS)
}

/// What `policy` makes of the requests, where the command line names one.
fn verdict(package: &Package, policy: &Policy, named: &PolicyArguments) -> Option<Verdict> {
    let named = named.policy.is_some() || !named.limits.is_empty();
    let manifest = &package.manifest;
    named.then(|| intersect(manifest, policy.rules(&manifest.id)))
}

fn as_json(package: &Package, verdict: Option<&Verdict>) -> serde_json::Value {
    let dynamic = &package.inspection.dynamic;
    let exports = &package.inspection.exports;
    let libraries: Vec<_> = package
        .libraries
        .iter()
        .map(|library| json!({ "soname": library.soname.to_string(), "path": library.path.display().to_string() }))
        .collect();
    json!({
        "file": package.path.display().to_string(),
        "bytes": package.sealed.len(),
        "sha3_512": package.sealed.digest(),
        "trust": package.trust,
        "manifest": package.manifest,
        "machine": dynamic.machine.to_string(),
        "soname": dynamic.soname,
        "rpath": dynamic.rpath,
        "runpath": dynamic.runpath,
        "executable_stack": dynamic.executable_stack,
        "exports": { "names": exports.names, "total": exports.total },
        "libraries": libraries,
        "granted": verdict.and_then(|verdict| verdict.as_ref().ok()),
        "excess": verdict.and_then(|verdict| Some(&verdict.as_ref().err()?.excess)),
    })
}

fn as_table(package: &Package, verdict: Option<&Verdict>) -> String {
    let mut rows = claims(package);
    let asked = package.manifest.requires.lines();
    let asked = asked
        .iter()
        .map(|(field, asked)| format!("{field}: {asked}"));
    rows.extend(asked.map(|line| ("asks for", line)));
    rows.extend(verdict.map(decided).unwrap_or_default());
    rows.extend(contents(package));
    rows.extend(oddities(package));
    for library in &package.libraries {
        let needed = format!("{} ({})", library.soname, library.path.display());
        rows.push(("needs", needed));
    }
    let rows: Vec<Vec<String>> = rows
        .into_iter()
        .map(|(name, value)| vec![name.to_owned(), value])
        .collect();
    let mut text = table::render(&[&package.path.display().to_string(), ""], &rows);
    if let Some(Ok(grants)) = verdict {
        text += "\n";
        text += &limits::as_table(&grants.limits);
    }
    text
}

/// A line of the table: what, and its value.
type Row = (&'static str, String);

/// What the manifest says.
fn claims(package: &Package) -> Vec<Row> {
    let manifest = &package.manifest;
    let text = |text: Option<&str>| text.unwrap_or("-").to_owned();
    let description = manifest.description.as_ref().map(|text| text.as_str());
    let author = manifest.author.as_ref().map(|text| text.as_str());
    let methods = manifest.methods.iter().map(ToString::to_string);
    let hooks = manifest
        .hooks
        .iter()
        .map(|hook| format!("{} ({})", hook.name, hook.priority.as_u16()));
    vec![
        ("plugin", format!("{} {}", manifest.id, manifest.version)),
        ("description", text(description)),
        ("author", text(author)),
        ("trust", format!("{:?}", package.trust).to_uppercase()),
        ("plugin ABI", manifest.abi.to_string()),
        ("methods", list(methods)),
        ("hooks", list(hooks)),
    ]
}

/// What policy says to the requests.
fn decided(verdict: &Verdict) -> Vec<Row> {
    let grants = match verdict {
        Err(refused) => {
            let each = refused.excess.iter();
            return each.map(|excess| ("refused", excess.to_string())).collect();
        }
        Ok(grants) => grants,
    };
    let mut rows = vec![("granted", "all that it asks for".to_owned())];
    rows.extend(grants.files.iter().map(|file| {
        let (source, target) = (file.source.display(), file.target.display());
        ("granted", format!("{target} is {source} of the host"))
    }));
    rows
}

/// What the file is.
fn contents(package: &Package) -> Vec<Row> {
    let exports = &package.inspection.exports;
    let names = list(exports.names.iter().take(LISTED_EXPORTS).cloned());
    let machine = &package.inspection.dynamic.machine;
    vec![
        ("machine", machine.to_string()),
        ("exports", format!("{} ({names})", exports.total)),
        ("sha3-512", package.sealed.digest().to_string()),
    ]
}

/// What it asks for in vain.
fn oddities(package: &Package) -> Vec<Row> {
    let dynamic = &package.inspection.dynamic;
    let paths = [&dynamic.rpath, &dynamic.runpath].into_iter().flatten();
    let mut rows: Vec<Row> = paths
        .map(|path| ("ignored", format!("library search path {path}")))
        .collect();
    if dynamic.executable_stack {
        rows.push(("warning", "asks for an executable stack".into()));
    }
    rows
}

fn list(items: impl Iterator<Item = String>) -> String {
    let items: Vec<String> = items.collect();
    if items.is_empty() {
        "-".into()
    } else {
        items.join(", ")
    }
}
