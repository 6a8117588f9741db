//! The shape of the code, held against DESIGN.md §10 and ARCHITECTURE.md: which crate may use
//! which, where `unsafe` may stand, and that the documents name what exists.
//!
//! Each check is a function from text to faults, so that a test can feed it a made-up one.

// Everything here is a test, but not every function is a `#[test]`.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Every crate, and all crates of ours that it uses, for whatever purpose.
const EDGES: [(&str, &[&str]); 9] = [
    ("ipc-proto", &[]),
    ("sandbox", &[]),
    ("plugin-sdk", &[]),
    ("plugin-worker", &["ipc-proto", "plugin-sdk", "sandbox"]),
    ("cordon-supervisor", &["ipc-proto", "sandbox"]),
    (
        "cordon-tests",
        &["cordon-supervisor", "ipc-proto", "plugin-sdk", "sandbox"],
    ),
    ("cordon-bench", &["cordon-supervisor", "sandbox"]),
    ("demo", &["cordon-supervisor"]),
    ("greet", &["plugin-sdk"]),
];

/// Crates in which the compiler forbids `unsafe`.
const SAFE: [&str; 4] = ["ipc-proto", "cordon-supervisor", "cordon-bench", "demo"];

/// Where `unsafe` may stand.
const UNSAFE: [&str; 4] = [
    "sandbox/src/sys/",
    "plugin-sdk/src/abi/",
    "plugin-worker/src/load.rs",
    "plugin-worker/src/load/",
];

/// Names for what nobody could name.
const GRAB_BAGS: [&str; 6] = ["util", "utils", "helper", "helpers", "common", "misc"];

#[test]
fn crates_use_each_other_as_designed() {
    assert_eq!(edge_faults(&packages()), NONE);
}

#[test]
fn unsafe_stands_only_where_it_is_argued() {
    // The tests may do what a plugin may.
    let tested = packages().into_iter().filter(|p| p.name != "cordon-tests");
    let sources = tested.flat_map(|package| {
        let folder = package.folder.join("src");
        files(&folder).into_iter().filter(|path| is_rust(path))
    });
    let faults: Vec<String> = sources
        .flat_map(|path| unsafe_faults(&relative(&path), &read(&path)))
        .collect();
    assert_eq!(faults, NONE);
}

#[test]
fn safe_crates_forbid_unsafe_at_each_root() {
    let safe = |package: &Package| SAFE.contains(&package.name.as_str());
    let roots: Vec<PathBuf> = packages()
        .into_iter()
        .filter(safe)
        .flat_map(|p| p.roots)
        .collect();
    assert!(
        roots.len() > SAFE.len(),
        "the supervisor has a library and a binary"
    );
    let faults: Vec<String> = roots
        .iter()
        .flat_map(|path| forbid_fault(&relative(path), &read(path)))
        .collect();
    assert_eq!(faults, NONE);
}

#[test]
fn workspace_lints_hold_in_each_crate() {
    let faults: Vec<String> = packages()
        .iter()
        .map(|package| package.folder.join("Cargo.toml"))
        .flat_map(|path| lint_fault(&relative(&path), &read(&path)))
        .collect();
    assert_eq!(faults, NONE);
}

#[test]
fn paths_and_functions_that_the_architecture_names_exist() {
    let text = read(&root().join("ARCHITECTURE.md"));
    let faults = document_faults(&text, |path| root().join(path).exists(), &functions());
    assert_eq!(faults, NONE);
}

#[test]
fn no_file_is_a_grab_bag() {
    let faults: Vec<String> = files(&root())
        .iter()
        .flat_map(|path| name_fault(&relative(path)))
        .collect();
    assert_eq!(faults, NONE);
}

const NONE: [&str; 0] = [];

/// A crate of the workspace.
struct Package {
    name: String,
    folder: PathBuf,
    /// Root files of its library and binaries.
    roots: Vec<PathBuf>,
    /// Names of the packages it depends on, for whatever purpose.
    uses: BTreeSet<String>,
}

fn packages() -> Vec<Package> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version=1"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let list = |value: &serde_json::Value| value.as_array().unwrap().clone();
    let package = |package: &serde_json::Value| Package {
        name: text(&package["name"]),
        folder: Path::new(&text(&package["manifest_path"]))
            .parent()
            .unwrap()
            .to_owned(),
        roots: list(&package["targets"])
            .iter()
            .filter(|target| !list(&target["kind"]).iter().any(|kind| kind == "test"))
            .map(|target| text(&target["src_path"]).into())
            .collect(),
        uses: list(&package["dependencies"])
            .iter()
            .map(|dependency| text(&dependency["name"]))
            .collect(),
    };
    list(&metadata["packages"]).iter().map(package).collect()
}

fn edge_faults(packages: &[Package]) -> Vec<String> {
    let ours: BTreeSet<&str> = packages.iter().map(|p| p.name.as_str()).collect();
    let mut faults = Vec::new();
    for package in packages {
        let Some((name, designed)) = EDGES.iter().find(|(name, _)| *name == package.name) else {
            faults.push(format!(
                "{} is a crate that the design doesn't know",
                package.name
            ));
            continue;
        };
        let designed = designed.iter().copied().collect::<BTreeSet<_>>();
        let used = package
            .uses
            .iter()
            .map(String::as_str)
            .filter(|used| ours.contains(used));
        let used = used.collect::<BTreeSet<_>>();
        faults.extend(
            used.difference(&designed)
                .map(|to| format!("{name} uses {to}")),
        );
        faults.extend(
            designed
                .difference(&used)
                .map(|to| format!("{name} no longer uses {to}")),
        );
    }
    faults
}

/// Cautious: a string or a comment after code counts too if it has the word in it.
fn unsafe_faults(path: &str, source: &str) -> Vec<String> {
    if UNSAFE.iter().any(|place| path.starts_with(place)) {
        return Vec::new();
    }
    let has_word = |line: &str| words(line).any(|word| word == "unsafe");
    let lines = source
        .lines()
        .enumerate()
        .filter(|(_, line)| !line.trim_start().starts_with("//"));
    lines
        .filter(|(_, line)| has_word(line))
        .map(|(index, _)| format!("{path}:{} is no place for unsafe", index + 1))
        .collect()
}

fn forbid_fault(path: &str, source: &str) -> Option<String> {
    let forbids = source.lines().any(|line| line == "#![forbid(unsafe_code)]");
    (!forbids).then(|| format!("{path} doesn't forbid unsafe_code"))
}

fn lint_fault(path: &str, manifest: &str) -> Option<String> {
    let manifest: toml::Table = manifest.parse().unwrap();
    let inherited = manifest
        .get("lints")
        .and_then(|lints| lints.get("workspace"));
    (inherited.and_then(toml::Value::as_bool) != Some(true))
        .then(|| format!("{path} doesn't inherit the workspace's lints"))
}

/// Checks each code span and link that looks like a path of the repository, and each code span
/// that looks like a function, `name()` or `Type::name()`.
fn document_faults(
    text: &str,
    exists: impl Fn(&str) -> bool,
    functions: &BTreeSet<String>,
) -> Vec<String> {
    let spans = text
        .split("```")
        .step_by(2)
        .flat_map(|prose| prose.split('`').skip(1).step_by(2));
    let links = text
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next());
    let mut faults = Vec::new();
    for name in spans.chain(links) {
        if is_path(name) && !exists(name) {
            faults.push(format!("{name} doesn't exist"));
        }
        if let Some(path) = name.strip_suffix("()")
            && !functions.contains(path.rsplit("::").next().unwrap_or(path))
        {
            faults.push(format!("{name} isn't a function"));
        }
    }
    faults
}

/// A path is relative, and has a slash or the ending of a source file.
fn is_path(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-/".contains(c);
    let ends = [".rs", ".md", ".toml", ".h", ".c", ".cpp"]
        .iter()
        .any(|end| name.ends_with(end));
    name.chars().all(plain) && !name.starts_with('/') && (name.contains('/') || ends)
}

/// Names of all functions in our crates.
fn functions() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for path in files(&root()).iter().filter(|path| is_rust(path)) {
        let source = read(path);
        let mut words = words(&source);
        while let Some(word) = words.next() {
            if word == "fn" {
                names.extend(words.next().map(str::to_owned));
            }
        }
    }
    names
}

fn name_fault(path: &str) -> Option<String> {
    let stem = |part: &str| part.split('.').next().unwrap_or(part).to_lowercase();
    let bad = path
        .split('/')
        .any(|part| GRAB_BAGS.contains(&stem(part).as_str()));
    bad.then(|| format!("{path} says nothing by its name"))
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_')
        .filter(|word| !word.is_empty())
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

/// All files below `folder`, without what git or cargo made.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let made = [".git", "target"]
                .iter()
                .any(|name| entry.file_name() == *name);
            if entry.file_type().unwrap().is_dir() && !made {
                folders.push(entry.path());
            } else if !made {
                found.push(entry.path());
            }
        }
    }
    found
}

fn is_rust(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ending == "rs")
}

fn relative(path: &Path) -> String {
    path.strip_prefix(root()).unwrap().display().to_string()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Each check finds what it looks for.
mod made_up {
    use super::*;

    fn package(name: &str, uses: &[&str]) -> Package {
        Package {
            name: name.into(),
            folder: PathBuf::new(),
            roots: Vec::new(),
            uses: uses.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    #[test]
    fn new_edge_missing_edge_and_new_crate_are_faults() {
        let packages = [
            package("sandbox", &["ipc-proto", "libc"]),
            package("cordon-supervisor", &["sandbox"]),
            package("ipc-proto", &[]),
            package("extras", &["sandbox"]),
        ];
        assert_eq!(
            edge_faults(&packages),
            [
                "sandbox uses ipc-proto",
                "cordon-supervisor no longer uses ipc-proto",
                "extras is a crate that the design doesn't know",
            ]
        );
    }

    #[test]
    fn unsafe_elsewhere_is_a_fault_with_its_line() {
        let source = "// unsafe in a comment\n#![forbid(unsafe_code)]\nlet a = unsafe { *p };\n";
        for place in ["sandbox/src/mounts.rs", "plugin-worker/src/loader.rs"] {
            let fault = format!("{place}:3 is no place for unsafe");
            assert_eq!(unsafe_faults(place, source), [fault]);
        }
        assert_eq!(unsafe_faults("sandbox/src/sys/clone.rs", source), NONE);
        assert_eq!(unsafe_faults("plugin-worker/src/load.rs", source), NONE);
    }

    #[test]
    fn root_that_only_mentions_the_lint_is_a_fault() {
        assert_eq!(
            forbid_fault("a.rs", "//! A\n#![forbid(unsafe_code)]\n"),
            None
        );
        assert!(forbid_fault("a.rs", "// #![forbid(unsafe_code)]\n").is_some());
        assert!(forbid_fault("a.rs", "#![deny(unsafe_code)]\n").is_some());
    }

    #[test]
    fn manifest_without_the_lints_is_a_fault() {
        assert_eq!(lint_fault("a", "[lints]\nworkspace = true\n"), None);
        assert!(lint_fault("a", "[lints.rust]\nunsafe_code = \"forbid\"\n").is_some());
        assert!(lint_fault("a", "[package]\nname = \"a\"\n").is_some());
    }

    #[test]
    fn stale_path_link_and_function_are_faults() {
        let text = "Not `a/gone.rs`, [nor](gone.md), `gone()` or `Type::gone()`; but `a/here.rs`, \
            `/etc`, `Type::known()`, `memory.max`.\n```\n`a/drawn.rs`\n```\nAnd `gone.toml`.";
        let known = BTreeSet::from(["known".to_owned()]);
        assert_eq!(
            document_faults(text, |path| path == "a/here.rs", &known),
            [
                "a/gone.rs doesn't exist",
                "gone() isn't a function",
                "Type::gone() isn't a function",
                "gone.toml doesn't exist",
                "gone.md doesn't exist",
            ]
        );
    }

    #[test]
    fn grab_bag_is_a_fault_as_file_and_as_folder() {
        for path in ["a/src/utils.rs", "a/helpers/mod.rs", "scripts/common.sh"] {
            assert!(name_fault(path).is_some(), "{path}");
        }
        assert_eq!(name_fault("sandbox/src/uncommon.rs"), None);
    }
}
