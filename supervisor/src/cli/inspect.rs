//! `cordon inspect`: what a plugin is, read as data.

use std::path::PathBuf;
use std::process::ExitCode;

use cordon_supervisor::elf::LibraryDirs;
use cordon_supervisor::package::{Package, PackageError};
use serde_json::json;

use super::exit::{Code, of_package};
use super::{Failure, Format, table};

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
        Format::Json => println!("{}", as_json(&package)),
        Format::Table => print!("{}", as_table(&package)),
    }
    Ok(ExitCode::SUCCESS)
}

fn as_json(package: &Package) -> serde_json::Value {
    let dynamic = &package.inspection.dynamic;
    let exports = &package.inspection.exports;
    let libraries: Vec<_> = package
        .libraries
        .iter()
        .map(|library| json!({ "soname": library.soname.to_string(), "path": library.path }))
        .collect();
    json!({
        "file": package.path,
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
    let (manifest, dynamic) = (&package.manifest, &package.inspection.dynamic);
    let exports = &package.inspection.exports;
    let text = |value: Option<String>| value.unwrap_or_else(|| "-".into());
    let list = |items: Vec<String>| {
        if items.is_empty() {
            "-".into()
        } else {
            items.join(", ")
        }
    };
    let mut rows = vec![
        ("plugin", format!("{} {}", manifest.id, manifest.version)),
        (
            "description",
            text(
                manifest
                    .description
                    .as_ref()
                    .map(|text| text.as_str().to_owned()),
            ),
        ),
        (
            "author",
            text(
                manifest
                    .author
                    .as_ref()
                    .map(|text| text.as_str().to_owned()),
            ),
        ),
        ("trust", format!("{:?}", package.trust).to_uppercase()),
        ("plugin ABI", manifest.abi.to_string()),
        ("machine", dynamic.machine.to_string()),
        (
            "methods",
            list(manifest.methods.iter().map(ToString::to_string).collect()),
        ),
        (
            "hooks",
            list(
                manifest
                    .hooks
                    .iter()
                    .map(|hook| format!("{} ({})", hook.name, hook.priority.as_u16()))
                    .collect(),
            ),
        ),
        (
            "exports",
            format!(
                "{} ({})",
                exports.total,
                list(exports.names.iter().take(8).cloned().collect())
            ),
        ),
        ("sha3-512", package.sealed.digest().to_string()),
    ];
    for ignored in [&dynamic.rpath, &dynamic.runpath].into_iter().flatten() {
        rows.push(("ignored", format!("library search path {ignored}")));
    }
    if dynamic.executable_stack {
        rows.push(("warning", "asks for an executable stack".into()));
    }
    for library in &package.libraries {
        rows.push((
            "needs",
            format!("{} ({})", library.soname, library.path.display()),
        ));
    }
    let rows: Vec<Vec<String>> = rows
        .into_iter()
        .map(|(name, value)| vec![name.to_owned(), value])
        .collect();
    table::render(&[&package.path.display().to_string(), ""], &rows)
}
