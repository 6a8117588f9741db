//! The plugin that takes what is measured, with what a test has it ask for.

use std::path::PathBuf;

use cordon_tests::plugins::fixture;
use tempfile::TempDir;

/// A copy of the plugin with a manifest of its own.
pub(super) struct Taker {
    _folder: TempDir,
    pub(super) file: PathBuf,
}

impl Taker {
    /// What it asks for, as the table `requires` of a manifest.
    pub(super) fn asking(requires: &str) -> Taker {
        let folder = TempDir::with_prefix("cordon-taker-").unwrap();
        let file = folder.path().join("libtaker.so");
        std::fs::copy(fixture("taker"), &file).unwrap();
        let manifest =
            format!("id = \"taker\"\nversion = \"1.0.0\"\nabi = \"1.0\"\n[requires]\n{requires}\n");
        std::fs::write(folder.path().join("taker.toml"), manifest).unwrap();
        Taker {
            _folder: folder,
            file,
        }
    }
}
