//! Plugins to load: the examples, and those that only tests need.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use tempfile::TempDir;

/// An example plugin in C or C++: `deflate`, `wordcount` or `vandal`.
///
/// # Panics
/// When it can't be built.
#[must_use]
pub fn example(name: &str) -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let folder = crate::build_folder().join("test-plugins");
        make("examples", &folder, &["all".into()]);
        folder
    });
    folder.join(format!("lib{name}.so"))
}

/// The example plugin in Rust, `greet`.
///
/// # Panics
/// When it hasn't been built.
#[must_use]
pub fn greet() -> PathBuf {
    let file = crate::build_folder().join("libgreet.so");
    let missing = file.display();
    assert!(file.is_file(), "{missing} is missing: cargo build -p greet");
    file
}

/// A plugin of `tests/plugins`, such as `probe` or `hoarder`.
///
/// # Panics
/// When it can't be built.
#[must_use]
pub fn fixture(name: &str) -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let folder = crate::build_folder().join("test-plugins");
        make("tests/plugins", &folder, &["all".into()]);
        folder
    });
    folder.join(format!("lib{name}.so"))
}

/// The folder of the hostile suite, a plugin for each deed.
///
/// # Panics
/// When it can't be built.
#[must_use]
pub fn deeds() -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let folder = crate::build_folder().join("../deeds");
        make("tests/deeds", &folder, &["all".into()]);
        folder
    });
    folder.clone()
}

/// A plugin without a manifest of its own, compiled with `flags` into `folder` as
/// `libbare.so`: its manifest is the sidecar `bare.toml`.
///
/// # Panics
/// When it can't be built.
#[must_use]
pub fn bare(folder: &Path, flags: &str) -> PathBuf {
    compiled(folder, "bare", flags)
}

/// A plugin of `tests/plugins`, compiled with `flags` into `folder`.
///
/// # Panics
/// When it can't be built.
#[must_use]
pub fn compiled(folder: &Path, name: &str, flags: &str) -> PathBuf {
    let file = folder.join(format!("lib{name}.so"));
    let target = file.display().to_string();
    make("tests/plugins", folder, &[format!("EXTRA={flags}"), target]);
    file
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
        make("examples", folder.path(), &[format!("DATA={data}"), target]);
        Self { folder, file }
    }

    /// The shared object.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.folder.path().join(&self.file)
    }
}

/// A copy of the plugin that takes what is measured, with a manifest of its own.
#[derive(Debug)]
pub struct Taker {
    _folder: TempDir,
    /// The shared object.
    pub file: PathBuf,
}

impl Taker {
    /// What it asks for, as the table `requires` of a manifest.
    ///
    /// # Panics
    /// When it can't be written.
    #[must_use]
    pub fn asking(requires: &str) -> Self {
        let manifest =
            format!("id = \"taker\"\nversion = \"1.0.0\"\nabi = \"1.0\"\n[requires]\n{requires}\n");
        let made = || {
            let folder = TempDir::with_prefix("cordon-taker-")?;
            let file = folder.path().join("libtaker.so");
            std::fs::copy(fixture("taker"), &file)?;
            std::fs::write(folder.path().join("taker.toml"), manifest)?;
            Ok::<_, std::io::Error>(Self {
                _folder: folder,
                file,
            })
        };
        made().unwrap_or_else(|error| panic!("a plugin of its own: {error}"))
    }
}

/// Has the Makefile of one of the workspace's folders build into `out`.
fn make(folder: &str, out: &Path, arguments: &[String]) {
    let output = Command::new("make")
        .arg("--silent")
        .arg("--file")
        .arg(crate::workspace().join(folder).join("Makefile"))
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
