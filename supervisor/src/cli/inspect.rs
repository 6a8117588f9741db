//! `cordon inspect`: what a plugin is, read as data.

use std::path::PathBuf;
use std::process::ExitCode;

use cordon_supervisor::elf::LibraryDirs;
use cordon_supervisor::package::{Package, PackageError};
use serde_json::json;

use super::exit::{Code, of_package};
use super::{Failure, Format, print, table};

/// How many exports a table names.
const LISTED_EXPORTS: usize = 8;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// The plugin's file.
    file: PathBuf,
    /// How to print.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Prints manifest, ABI, exports and needed libraries.
pub(super) fn inspect(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let dirs = LibraryDirs::system(&[]).map_err(|error| Failure::new(Code::Error, error))?;
    let package = Package::open(&arguments.file, &dirs, &[])
        .map_err(|error: PackageError| Failure::new(of_package(&error), error))?;
    match arguments.format {
        Format::Json => print::json(&as_json(&package))?,
        Format::Table => print::text(as_table(&package))?,
    };
    Ok(ExitCode::SUCCESS)
}

fn as_json(package: &Package) -> serde_json::Value {
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
    })
}

fn as_table(package: &Package) -> String {
    let mut rows = claims(package);
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
    table::render(&[&package.path.display().to_string(), ""], &rows)
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
