//! Bad input: each fault gets its exit code and one clear sentence that names file and field.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A failed assumption fails the test.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use cordon_tests::command::{Cordon, Finished};
use cordon_tests::plugins::{bare, example};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use tempfile::TempDir;

const MANIFEST: &str = "id = \"bare\"\nversion = \"1.0.0\"\nabi = \"1.0\"\n";

#[test]
fn file_that_is_no_elf_file() {
    let folder = Folder::new();
    let file = folder.write("libx.so", b"#!/bin/sh\necho no plugin\n");

    folder.refuses(&file, 6, "libx.so: it is not an ELF file");
}

#[test]
fn plugin_for_another_processor() {
    let folder = Folder::new();
    let mut elf = fs::read(example("deflate")).unwrap();
    // e_machine, RISC-V.
    elf[18..20].copy_from_slice(&243_u16.to_le_bytes());
    let file = folder.write("libx.so", &elf);

    folder.refuses(&file, 6, "libx.so: it is for riscv, this host is ");
}

#[test]
fn plugin_cut_short_anywhere() {
    let folder = Folder::new();
    let elf = fs::read(example("deflate")).unwrap();
    for part in [20, 64, 1000, elf.len() / 2, elf.len() - 1] {
        let file = folder.write("libx.so", &elf[..part]);

        folder.refuses(&file, 6, "libx.so: it is truncated: its headers speak of ");
    }
}

#[test]
fn library_that_is_no_plugin() {
    let folder = Folder::new();
    let file = bare(folder.path(), "-DNO_ENTRY");
    folder.write("bare.toml", MANIFEST.as_bytes());

    folder.refuses(
        &file,
        6,
        "libbare.so: it has no entry symbol cordon_plugin_entry",
    );
}

#[test]
fn program_that_is_no_library() {
    let folder = Folder::new();

    folder.refuses(Path::new("/bin/ls"), 6, "/bin/ls: it ");
}

#[test]
fn plugin_without_a_manifest() {
    let folder = Folder::new();
    let file = bare(folder.path(), "");

    folder.refuses(
        &file,
        6,
        "libbare.so: no manifest: it has no section .cordon.manifest",
    );
}

#[test]
fn manifest_with_something_wrong_names_file_line_column_and_field() {
    let folder = Folder::new();
    let file = bare(folder.path(), "");
    let cases = [
        (
            "colour = \"red\"",
            "line 4, column 1: colour: unknown field",
        ),
        (
            "[limits]\nthreads = 0",
            "line 5, column 11: limits.threads: ",
        ),
        (
            "[limits]\nheap = \"64 PB\"",
            "line 5, column 8: limits.heap: ",
        ),
        (
            "[limits]\nwings = 2",
            "line 5, column 1: limits.wings: unknown field",
        ),
        (
            "[requires]\nnet = \"fast\"",
            "line 5, column 7: requires.net: ",
        ),
        ("id =", "line 4, column "),
    ];
    for (addition, sentence) in cases {
        folder.write("bare.toml", format!("{MANIFEST}{addition}\n").as_bytes());

        folder.refuses(&file, 6, &format!("bare.toml: manifest, {sentence}"));
    }
}

#[test]
fn plugin_id_that_could_be_a_path() {
    let folder = Folder::new();
    let file = bare(folder.path(), "");
    for id in ["a/b", "../etc", ".hidden", "a b", "ÄÖ", ""] {
        let manifest = MANIFEST.replace("id = \"bare\"", &format!("id = \"{id}\""));
        folder.write("bare.toml", manifest.as_bytes());

        folder.refuses(&file, 6, "bare.toml: manifest, line 1, column 6: id: ");
    }
}

#[test]
fn abi_that_is_too_new() {
    let folder = Folder::new();
    let file = bare(folder.path(), "");
    let manifest = MANIFEST.replace("abi = \"1.0\"", "abi = \"2.0\"");
    folder.write("bare.toml", manifest.as_bytes());

    let finished = folder.refuses(&file, 6, "libbare.so: ");

    let sentence = String::from_utf8(finished.stderr).unwrap();
    assert!(
        sentence.contains("2.0") && sentence.contains("1.0"),
        "{sentence}"
    );
}

#[test]
fn table_that_claims_another_abi_than_its_manifest() {
    let folder = Folder::new();
    let file = bare(folder.path(), "-DABI=0x20000");
    folder.write("bare.toml", MANIFEST.as_bytes());

    let finished = folder.run(&file);

    assert_sentence(
        &finished,
        6,
        "plugin bare: its ABI is 2.0, which this host doesn't speak",
    );
}

#[test]
fn library_that_is_missing() {
    let folder = Folder::new();
    let library = folder.path().join("libnowhere.so");
    let made = Command::new("cc")
        .args(["-shared", "-x", "c", "/dev/null", "-o"])
        .arg(&library)
        .status();
    assert!(made.unwrap().success());
    let flags = format!("-Wl,--no-as-needed -L{} -lnowhere", folder.path().display());
    let file = bare(folder.path(), &flags);
    folder.write("bare.toml", MANIFEST.as_bytes());

    let needed = "libbare.so: library libnowhere.so not found, needed by ";
    folder.refuses(&file, 6, needed);
}

#[test]
fn more_asked_than_policy_allows_lists_each_excess() {
    let folder = Folder::new();
    let file = bare(folder.path(), "");
    let asks = "[requires]\nenv = [\"HOME\"]\nprocesses = true\n[limits]\nthreads = 100\n";
    folder.write("bare.toml", format!("{MANIFEST}{asks}").as_bytes());

    let finished = folder.run(&file);

    assert_sentence(
        &finished,
        5,
        "plugin bare asks for more than policy allows: ",
    );
    let sentence = String::from_utf8(finished.stderr).unwrap();
    for excess in [
        "requires.env: asks HOME",
        "requires.processes: asks true, policy allows false",
        "limits.threads: asks 100, policy allows 4",
    ] {
        assert!(sentence.contains(excess), "{excess}: {sentence}");
    }
}

#[test]
fn file_that_cannot_be_read() {
    let folder = Folder::new();
    let fifo = folder.path().join("fifo.so");
    mkfifo(&fifo, Mode::S_IRWXU).unwrap();
    let dangling = folder.path().join("dangling.so");
    symlink("/nowhere", &dangling).unwrap();
    let secret = folder.write("secret.so", &fs::read(example("deflate")).unwrap());
    let mode = fs::Permissions::from_mode;
    fs::set_permissions(&secret, mode(0)).unwrap();
    fs::set_permissions(folder.path(), mode(0o755)).unwrap();

    folder.refuses(&fifo, 1, "fifo.so: cannot read the plugin: ");
    let inspected = Cordon::normal().inspect(&dangling).finish();
    assert_sentence(
        &inspected,
        3,
        "dangling.so: cannot read the plugin: No such file",
    );
    let inspected = Cordon::normal().inspect(&secret).as_nobody().finish();
    assert_sentence(
        &inspected,
        1,
        "secret.so: cannot read the plugin: Permission denied",
    );
}

#[test]
fn folder_without_plugins() {
    let folder = Folder::new();
    folder.write("README", b"nothing here");

    let finished = Cordon::normal().run(folder.path()).finish();

    assert_sentence(
        &finished,
        3,
        "no plugin in this folder, no file ends in .so",
    );
}

#[test]
fn folder_named_like_a_plugin_is_reported_beside_those_that_load() {
    let folder = Folder::new();
    fs::create_dir(folder.path().join("x.so")).unwrap();

    let finished = Cordon::normal().run(folder.path()).finish();

    assert_sentence(&finished, 1, "x.so: cannot read the plugin: ");
}

#[test]
fn policy_with_something_wrong_names_file_line_column_and_field() {
    let folder = Folder::new();
    let cases = [
        (
            "[limits]\nheep = \"1MB\"",
            "line 2, column 1: limits.heep: unknown field",
        ),
        (
            "[monitor]\ninterval = \"1ms\"",
            "line 2, column 12: monitor.interval: ",
        ),
        ("[plugin.\"a/b\"]", "line 1, column "),
        (
            "[limits]\nfds = { declared = 40, hard = 20 }",
            "policy, limits.fds",
        ),
        ("colour = 1", "line 1, column 1: colour: unknown field"),
    ];
    for (text, sentence) in cases {
        let policy = folder.write("policy.toml", text.as_bytes());
        let run = Cordon::normal()
            .run(&example("deflate"))
            .call("compress", "");

        let finished = run
            .options(&["--policy", policy.to_str().unwrap()])
            .finish();

        assert_sentence(&finished, 1, &format!("{}: policy, ", policy.display()));
        assert_sentence(&finished, 1, sentence);
    }
}

#[test]
fn policy_that_is_not_there() {
    let run = Cordon::normal()
        .run(&example("deflate"))
        .call("compress", "");

    let finished = run.options(&["--policy", "/nowhere.toml"]).finish();

    assert_sentence(&finished, 3, "/nowhere.toml: cannot read the policy: ");
}

#[test]
fn limit_on_the_command_line_that_cannot_be() {
    let cases = [
        ("heap", "--limit heap: "),
        ("wings=2", "--limit wings=2: "),
        ("threads=0", "--limit threads=0: "),
        ("cpu=soon", "--limit cpu=soon: "),
    ];
    for (limit, sentence) in cases {
        let run = Cordon::normal()
            .run(&example("deflate"))
            .call("compress", "");

        let finished = run.options(&["--limit", limit]).finish();

        assert_sentence(&finished, 2, sentence);
    }
}

/// A folder for one test's files.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        Self(TempDir::with_prefix("cordon-bad-").unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, content: &[u8]) -> PathBuf {
        let file = self.path().join(name);
        fs::write(&file, content).unwrap();
        file
    }

    fn run(&self, plugin: &Path) -> Finished {
        Cordon::normal().run(plugin).call("m", "").finish()
    }

    /// Both `run` and `inspect` refuse the plugin, with this code and sentence.
    fn refuses(&self, plugin: &Path, code: i32, sentence: &str) -> Finished {
        let run = self.run(plugin);
        let inspected = Cordon::normal().inspect(plugin).finish();
        assert_sentence(&run, code, sentence);
        assert_sentence(&inspected, code, sentence);
        run
    }
}

/// Nothing on stdout, and one line on stderr that contains the sentence.
fn assert_sentence(finished: &Finished, code: i32, sentence: &str) {
    assert_eq!(finished.status.code(), Some(code), "{finished}");
    assert_eq!(finished.stdout, b"", "{finished}");
    let text = String::from_utf8(finished.stderr.clone()).unwrap();
    assert!(
        text.starts_with("cordon: ") && text.lines().count() == 1,
        "{finished}"
    );
    assert!(text.contains(sentence), "no {sentence:?}: {finished}");
}
