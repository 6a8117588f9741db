//! The example plugins in C and C++, built by their own Makefile.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use tempfile::TempDir;

/// An example plugin: `deflate`, `wordcount` or `vandal`.
///
/// # Panics
/// When it can't be built.
#[must_use]
pub fn example(name: &str) -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let folder = crate::build_folder().join("test-plugins");
        make(&folder, &["all".into()]);
        folder
    });
    folder.join(format!("lib{name}.so"))
}

/// A plugin that does one deed in a constructor.
#[derive(Debug)]
pub struct EarlyVandal {
    folder: TempDir,
    file: String,
}

impl EarlyVandal {
    /// Builds it, with the deed's parameter.
    ///
    /// # Panics
    /// When it can't be built.
    #[must_use]
    pub fn build(deed: &str, data: &str) -> Self {
        let folder = TempDir::with_prefix("cordon-early-")
            .unwrap_or_else(|error| panic!("temporary folder: {error}"));
        let file = format!("libvandal-early-{deed}.so");
        let target = folder.path().join(&file).display().to_string();
        make(folder.path(), &[format!("DATA={data}"), target]);
        Self { folder, file }
    }

    /// The shared object.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.folder.path().join(&self.file)
    }
}

fn make(out: &Path, arguments: &[String]) {
    let output = Command::new("make")
        .arg("--silent")
        .arg("--file")
        .arg(crate::workspace().join("examples/Makefile"))
        .arg(format!("OUT={}", out.display()))
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("make: {error}; install make and a C compiler"));
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "make {arguments:?} in {}:\n{complaint}",
        out.display()
    );
}
