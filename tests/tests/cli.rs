//! `cordon` on the command line: exit codes, what it prints, and serving a folder.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A failed assumption fails the test.

use std::collections::BTreeSet;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use cordon_tests::command::{Cordon, Invocation};
use cordon_tests::plugins::{example, fixture, greet};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

#[test]
fn reply_is_printed_and_the_exit_code_is_0() {
    let greeted = Cordon::normal().run(&greet()).call("greet", "Ada").finish();

    assert_eq!(greeted.status.code(), Some(0), "{greeted}");
    let reply = String::from_utf8(greeted.stdout).unwrap();
    assert_eq!(reply, "Hello, Ada! You are number 1.\n");
}

#[test]
fn exit_code_tells_what_went_wrong() {
    let file = |content: &str| {
        let file = tempfile::Builder::new().suffix(".so").tempfile().unwrap();
        std::fs::write(&file, content).unwrap();
        file.into_temp_path()
    };
    let (text, absent) = (file("no plugin"), Path::new("/nowhere/libx.so"));
    let threshold = file("[violations]\nthreshold = 1");
    let threshold = ["--policy", threshold.to_str().unwrap()];
    let cordon = Cordon::normal();
    let cases = [
        (1, run("deflate").call("expand", "no stream")),
        (2, run("deflate").options(&["--data", "x"])),
        (2, run("deflate").options(&["--no-such-option"])),
        (2, run("deflate").options(&["--limit", "heap=1B"])),
        (3, run("deflate").call("no-such-method", "")),
        (3, cordon.run(absent).call("m", "")),
        (6, cordon.run(&text).call("m", "")),
        (7, run("vandal").call("unshare", "").options(&threshold)),
        (
            8,
            run("vandal")
                .call("spin", "9")
                .options(&["--timeout", "50ms"]),
        ),
        (9, run("vandal").call("abort", "")),
        (
            10,
            run("vandal")
                .call("well-behaved", "")
                .options(&["--cgroup-parent", "/nowhere"]),
        ),
        // The highest of several calls.
        (9, run("vandal").call("abort", "").call("well-behaved", "")),
    ];
    for (code, run) in cases {
        let finished = run.finish();
        assert_eq!(finished.status.code(), Some(code), "{finished}");
    }
}

#[test]
fn interrupted_call_exits_with_130() {
    let run = Cordon::normal()
        .run(&fixture("probe"))
        .call("rest", "20")
        .start();
    sleep(Duration::from_millis(500));

    let (status, output, errors) = run.end(Signal::SIGINT);

    assert_eq!(status.code(), Some(130), "{output}{errors}");
}

#[test]
fn json_of_a_run_is_one_object_with_these_fields() {
    let run = run("deflate").call("compress", "world").call("nothing", "");

    let finished = run.options(&["--format", "json"]).finish();

    assert_eq!(finished.status.code(), Some(3), "{finished}");
    let object: Value = serde_json::from_slice(&finished.stdout).unwrap();
    let fields = "calls conceded launch_micros output plugin reason state trust version violations";
    assert_eq!(names(&object), fields);
    assert_eq!(object["plugin"], "deflate");
    assert_eq!(object["trust"], "UNSIGNED");
    assert_eq!(
        (&object["state"], &object["reason"]),
        (&"active".into(), &Value::Null)
    );
    assert!(object["launch_micros"].as_u64().unwrap() > 0);
    assert_eq!(names(&object["violations"]), "by_kind counted recent");
    let [compress, nothing] = &object["calls"].as_array().unwrap()[..] else {
        panic!("two calls")
    };
    assert_eq!(names(nothing), "error method micros outcome reply");
    // A zlib stream is no printable text.
    let fields = "error method micros outcome reply reply_hex";
    assert_eq!(names(compress), fields);
    assert!(compress["reply_hex"].as_str().unwrap().starts_with("78"));
    assert_eq!(
        (&compress["outcome"], &compress["error"]),
        (&"ok".into(), &Value::Null)
    );
    assert_eq!(
        (&nothing["outcome"], &nothing["reply"]),
        (&"no-method".into(), &Value::Null)
    );
}

#[test]
fn what_was_denied_is_told_beside_the_reply() {
    let denied = run("vandal").call("open-shadow", "").finish();

    assert_eq!(denied.stdout, b"STOPPED: EPERM open /etc/shadow\n");
    let told = String::from_utf8(denied.stderr).unwrap();
    let violation = "cordon: violation: vandal: medium: denied system call openat: \
        openat(AT_FDCWD, \"/etc/shadow\", O_RDONLY|O_CLOEXEC), at libvandal.so!open_shadow+0x";
    assert!(told.starts_with(violation), "{told}");
    assert!(
        told.ends_with(" (would be allowed by grants.files)\n"),
        "{told}"
    );
}

#[test]
fn json_of_a_plugin_that_failed_says_why() {
    let run = run("vandal").call("allocate", "").call("execve", "");

    let finished = run.options(&["--format", "json"]).finish();

    let object: Value = serde_json::from_slice(&finished.stdout).unwrap();
    assert_eq!(finished.status.code(), Some(9), "{finished}");
    assert_eq!(object["calls"][0]["outcome"], "crashed");
    let by_kind = &object["violations"]["by_kind"];
    assert_eq!(by_kind["oom-kill"], 1, "{by_kind}");
    assert!(by_kind["denied-syscall"].as_u64() >= Some(1), "{by_kind}");
    let recent = object["violations"]["recent"].as_array().unwrap();
    let killed = recent.iter().find(|seen| seen["kind"] == "oom-kill");
    assert_eq!(killed.unwrap()["limit"]["unit"], "bytes", "{recent:?}");
    let denied = recent.last().unwrap();
    assert_eq!(denied["syscall"], "execve", "{denied}");
}

#[test]
fn limits_of_the_command_line_are_enforced() {
    let allocate = |limit: &str| {
        let run = run("vandal").call("allocate", "100");
        run.options(&["--limit", limit]).report()
    };

    assert!(allocate("heap=64M").died("ran out of the memory"));
    assert_eq!(allocate("heap=200M").reply(), "DONE: 100 MiB");
}

#[test]
fn inspect_shows_what_a_plugin_is_in_both_formats() {
    let inspect = |format| {
        let run = Cordon::normal().inspect(&greet());
        run.options(&["--format", format]).finish()
    };

    let (table, json) = (inspect("table"), inspect("json"));

    let object: Value = serde_json::from_slice(&json.stdout).unwrap();
    let fields = "bytes excess executable_stack exports file granted libraries machine manifest \
                  rpath runpath sha3_512 soname trust";
    assert_eq!(names(&object), fields);
    assert_eq!(object["manifest"]["id"], "greet");
    assert_eq!(object["manifest"]["limits"]["heap_bytes"], 10_000_000);
    let table = String::from_utf8(table.stdout).unwrap();
    for text in [
        "greet 0.1.0",
        "UNSIGNED",
        "request (200)",
        "cordon_plugin_entry",
        "libc.so.6",
    ] {
        assert!(table.contains(text), "{text}: {table}");
    }
}

#[test]
fn folder_is_served_as_json_lines_until_sigint_and_exits_with_0() {
    let folder = folder(&["deflate", "wordcount"]);
    let policy = folder.path().join("policy.toml");
    std::fs::write(&policy, "[monitor]\ninterval = \"100ms\"").unwrap();
    let policy = policy.display().to_string();
    let run = Cordon::normal().run(folder.path());
    let options = ["--format", "json", "--policy", &policy];
    let mut run = run.options(&options).start();

    let lines: Vec<Value> = (0..3)
        .map(|_| serde_json::from_str(&run.line()).unwrap())
        .collect();
    let (status, rest, errors) = run.end(Signal::SIGINT);

    assert_eq!((status.code(), errors.as_str()), (Some(0), ""));
    for line in rest.lines() {
        serde_json::from_str::<Value>(line).unwrap();
    }
    for line in lines {
        let plugins = line["plugins"].as_array().unwrap();
        let states = plugins
            .iter()
            .map(|plugin| (&plugin["id"], &plugin["state"]));
        let active = Value::from("active");
        let expected = [(&"deflate".into(), &active), (&"wordcount".into(), &active)];
        assert_eq!(states.collect::<Vec<_>>(), expected);
        let fields = "by_kind calls conceded counted digest errors id latency launches path pid \
             restart_in_ms restarts restrictions state trust uptime_ms usage version";
        assert_eq!(names(&plugins[0]), fields);
        let fields = "connections cpu_us disk_bytes fds heap_bytes read_bytes threads \
             written_bytes";
        assert_eq!(names(&plugins[0]["usage"]), fields);
        assert_eq!(plugins[0]["usage"]["threads"], 1);
    }
}

#[test]
fn plugin_that_crashes_while_a_folder_is_served_comes_back() {
    let folder = folder(&["deflate"]);
    let policy = folder.path().join("policy.toml");
    let rules = "[monitor]\ninterval = \"100ms\"\n[restart]\nfirst = \"300ms\"";
    std::fs::write(&policy, rules).unwrap();
    let policy = policy.display().to_string();
    let run = Cordon::normal().run(folder.path());
    let options = ["--format", "json", "--policy", &policy];
    let mut run = run.options(&options).start();
    let mut plugins = std::iter::from_fn(|| {
        let mut line: Value = serde_json::from_str(&run.line()).unwrap();
        Some(line["plugins"][0].take())
    })
    .take(200);

    let worker = Pid::from_raw(plugins.next().unwrap()["pid"].as_i64().unwrap() as i32);
    kill(worker, Signal::SIGKILL).unwrap();
    let down = plugins.find(|now| now["state"] == "failed");
    let back = plugins.find(|now| now["state"] == "active");

    assert!(down.unwrap()["restart_in_ms"].as_u64().unwrap() <= 300);
    let back = back.unwrap();
    assert_eq!(
        (&back["launches"], &back["restarts"]),
        (&2.into(), &1.into())
    );
    assert_ne!(back["pid"], worker.as_raw());
    assert_eq!(run.end(Signal::SIGINT).0.code(), Some(0));
}

#[test]
fn folder_is_served_as_a_plain_table_where_there_is_no_terminal() {
    let folder = folder(&["deflate", "wordcount"]);
    let mut run = Cordon::normal().run(folder.path()).start();

    let header = run.line();
    let rows = [run.line(), run.line()];
    let (status, rest, errors) = run.end(Signal::SIGTERM);

    assert_eq!((status.code(), errors.as_str()), (Some(0), ""));
    assert!(
        header.starts_with("PLUGIN     VERSION  TRUST     STATE   UP"),
        "{header}"
    );
    for (row, id) in rows.iter().zip(["deflate", "wordcount"]) {
        assert!(row.starts_with(id) && row.contains(" active "), "{row}");
    }
    assert!(!rest.contains('\x1b'), "{rest}");
}

#[test]
fn folder_with_one_bad_plugin_serves_the_others_and_exits_with_the_highest_code() {
    let folder = folder(&["deflate"]);
    std::fs::write(folder.path().join("bad.so"), "no plugin").unwrap();
    let mut run = Cordon::normal()
        .run(folder.path())
        .options(&["--format", "json"])
        .start();

    let line: Value = serde_json::from_str(&run.line()).unwrap();
    let (status, _, errors) = run.end(Signal::SIGINT);

    assert_eq!(line["plugins"][0]["state"], "active");
    assert_eq!(status.code(), Some(6));
    assert!(errors.contains("bad.so: it is not an ELF file"), "{errors}");
}

#[test]
fn plugin_that_prints_while_a_folder_is_served_disturbs_no_line_of_it() {
    let folder = TempDir::new().unwrap();
    let plugin = cordon_tests::plugins::EarlyVandal::build("print", "");
    symlink(plugin.path(), folder.path().join("printer.so")).unwrap();
    let serve = |options: &[&str]| {
        let mut run = Cordon::normal().run(folder.path()).options(options).start();
        let first = run.line();
        let (_, rest, errors) = run.end(Signal::SIGINT);
        (first, rest, errors)
    };

    let (json, _, _) = serve(&["--format", "json"]);
    let (header, rest, errors) = serve(&["-v"]);

    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["plugins"][0]["id"], "vandal-early");
    assert!(header.starts_with("PLUGIN"), "{header}");
    assert!(rest.starts_with("vandal-early"), "{rest}");
    assert!(
        errors.contains("owned"),
        "its lines are in the log: {errors}"
    );
    for text in [rest, errors] {
        let raw = |c: char| c.is_control() && c != '\n';
        assert!(!text.contains(raw), "{text:?}");
    }
}

fn run(name: &str) -> Invocation {
    Cordon::normal().run(&example(name))
}

/// A folder with these examples.
fn folder(names: &[&str]) -> TempDir {
    let folder = TempDir::with_prefix("cordon-cli-").unwrap();
    for name in names {
        let file = format!("lib{name}.so");
        symlink(example(name), folder.path().join(file)).unwrap();
    }
    folder
}

/// The names of an object's fields, in order.
fn names(object: &Value) -> String {
    let names: BTreeSet<&str> = object
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    names.into_iter().collect::<Vec<_>>().join(" ")
}
