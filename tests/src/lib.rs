//! Integration and hostile tests of Cordon, and what they share: plugins to load,
//! `cordon` as a person runs it, the library as a host uses it, the traces that a
//! supervisor must not leave, and the setting that they run in.

pub mod command;
pub mod filtered;
pub mod host;
pub mod plugins;
pub mod report;
pub mod running;
pub mod setting;
pub mod traces;

use std::path::PathBuf;

/// The folder of the build that this test belongs to: `target/debug` or the like.
///
/// # Panics
/// Where Cargo doesn't lay tests out as `PROFILE/deps/TEST`.
#[must_use]
pub fn build_folder() -> PathBuf {
    let test = std::env::current_exe().unwrap_or_else(|error| panic!("own path: {error}"));
    match test.parent().and_then(|deps| deps.parent()) {
        Some(folder) => folder.to_owned(),
        None => panic!("{} is not in a build folder", test.display()),
    }
}

/// The root of the workspace.
#[must_use]
pub fn workspace() -> PathBuf {
    let mut root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    root.pop();
    root
}
