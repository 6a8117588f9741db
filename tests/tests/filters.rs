//! Which seccomp mode a plugin gets, and what that lets through.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A failed assumption fails the test.

use std::fs;
use std::path::Path;

use cordon_tests::command::{Cordon, Finished};
use cordon_tests::plugins::{bare, example};
use cordon_tests::report::Report;
use serde_json::Value;
use tempfile::TempDir;

const MANIFEST: &str = "id = \"bare\"\nversion = \"1.0.0\"\nabi = \"1.0\"\n";

#[test]
fn the_mode_is_the_narrowest_that_the_grants_need() {
    for (requires, grants, mode) in [
        ("", "", "strict"),
        ("jit = true", "jit = true", "basic"),
        ("processes = true", "processes = true", "moderate"),
        ("", "processes = true", "strict"),
    ] {
        let reported = confinement(requires, &format!("[grants]\n{grants}"));

        assert_eq!(reported.status.code(), Some(0), "{reported}");
        let object: Value = serde_json::from_slice(&reported.stdout).unwrap();
        assert_eq!(object["mode"], mode, "{requires}");
        let findings = object["findings"].as_array().unwrap();
        let seccomp = findings.iter().find(|f| f["control"] == "seccomp").unwrap();
        let value = seccomp["value"].as_str().unwrap();
        assert!(value.starts_with(&format!("{mode}; ")), "{value}");
    }
}

#[test]
fn a_mode_that_is_too_narrow_for_the_grants_refuses_the_load() {
    let policy = "[grants]\nprocesses = true\n[plugin.bare.seccomp]\nmode = \"basic\"";

    let refused = confinement("processes = true", policy);

    assert_eq!(refused.status.code(), Some(5), "{refused}");
    let text = String::from_utf8_lossy(&refused.stderr);
    let sentence = "policy sets seccomp mode basic, which has no rules for its grant of processes: \
                    the narrowest mode for it is moderate";
    assert!(text.contains(sentence), "{refused}");
}

#[test]
fn permissive_lets_all_but_the_never_list_through_and_says_so() {
    let strict = vandal("fds", "10", "");
    let permissive = vandal("fds", "10", "[seccomp]\nmode = \"permissive\"");
    let never = vandal("bpf", "", "[seccomp]\nmode = \"permissive\"");

    assert_eq!(strict.violations.by_kind["denied-syscall"], 1);
    assert_eq!(permissive.violations.counted, 0, "{permissive:?}");
    assert!(never.died("bpf"), "{never:?}");
    let warned = confinement("", "[seccomp]\nmode = \"permissive\"");
    let text = String::from_utf8_lossy(&warned.stderr);
    assert!(text.contains("seccomp mode permissive"), "{warned}");
}

/// The operator's own: sockets for everybody, and `bpf`, which no policy may permit.
const OWN: &str = r#"{
    "defaultAction": "SCMP_ACT_ERRNO",
    "syscalls": [
        { "names": ["socket", "connect", "bpf"], "action": "SCMP_ACT_ALLOW" },
        { "names": ["read", "mmap"], "action": "SCMP_ACT_KILL_PROCESS" }
    ]
}"#;

#[test]
fn a_custom_profile_widens_up_to_the_never_list_and_never_keeps_a_plugin_from_serving() {
    let folder = TempDir::with_prefix("cordon-filters-").unwrap();
    fs::write(folder.path().join("own.json"), OWN).unwrap();
    let policy = folder.path().join("policy.toml");
    fs::write(&policy, "[seccomp]\nprofile = \"own.json\"").unwrap();
    let options = ["--policy", policy.to_str().unwrap()];
    let run = |deed, data| {
        let run = Cordon::normal().run(&example("vandal")).call(deed, data);
        run.options(&options)
    };

    let connected = run("connect-host", "9").report();
    let refused = run("execve", "").report();
    let never = run("bpf", "").finish();

    // By Landlock, or an empty network on kernels without its rules for TCP.
    let next = ["EACCES", "ENETUNREACH"];
    let stopped = next.iter().any(|errno| connected.reply().contains(errno));
    assert!(
        stopped && connected.violations.counted == 0,
        "{connected:?}"
    );
    assert!(refused.reply().contains("EPERM"), "{refused:?}");
    assert_eq!(refused.violations.by_kind["denied-syscall"], 1);
    assert_eq!(never.status.code(), Some(9), "{never}");
    let text = String::from_utf8_lossy(&never.stderr);
    let cut = "own.json permits what no policy may, cut from it: bpf";
    assert!(text.contains(cut), "{never}");
}

#[test]
fn profile_shows_every_rule_with_its_reason_and_what_is_cut() {
    let folder = TempDir::with_prefix("cordon-filters-").unwrap();
    let own = folder.path().join("own.json");
    fs::write(&own, OWN).unwrap();
    let show = |name: &Path, options: &[&str]| {
        let shown = Cordon::normal().profile(name).options(options);
        shown.options(&["--format", "json"]).finish()
    };

    let strict = object(&show(Path::new("strict"), &[]));
    let granted = object(&show(Path::new("basic"), &["--grant", "jit"]));
    let custom = object(&show(&own, &[]));
    let missing = show(Path::new("stricter"), &[]);

    assert_eq!(strict["default"], "refuse");
    let has_reason = |rule: &Value| !rule["reason"].as_str().unwrap().is_empty();
    assert!(strict["rules"].as_array().unwrap().iter().all(has_reason));
    let jit = |rule: &&Value| rule["syscall"] == "pkey_alloc" && rule["action"] == "allow";
    assert!(
        granted["rules"]
            .as_array()
            .unwrap()
            .iter()
            .any(|rule| jit(&rule))
    );
    assert_eq!(custom["cuts"][0]["calls"], "bpf");
    assert_eq!(missing.status.code(), Some(3), "{missing}");
}

fn object(finished: &Finished) -> Value {
    assert_eq!(finished.status.code(), Some(0), "{finished}");
    serde_json::from_slice(&finished.stdout).unwrap()
}

/// `cordon report` of a plugin that asks, under a policy.
fn confinement(requires: &str, policy: &str) -> Finished {
    let folder = TempDir::with_prefix("cordon-filters-").unwrap();
    let plugin = bare(folder.path(), "");
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("bare.toml", &format!("{MANIFEST}[requires]\n{requires}"));
    write("policy.toml", policy);
    let policy = folder.path().join("policy.toml");
    let options = ["--format", "json", "--policy", policy.to_str().unwrap()];
    Cordon::normal()
        .confinement(&plugin)
        .options(&options)
        .finish()
}

/// One deed of the vandal, under a policy.
fn vandal(deed: &str, data: &str, policy: &str) -> Report {
    let folder = TempDir::with_prefix("cordon-filters-").unwrap();
    let file = folder.path().join("policy.toml");
    fs::write(&file, policy).unwrap();
    let run = Cordon::normal().run(&example("vandal")).call(deed, data);
    run.options(&["--policy", file.to_str().unwrap()]).report()
}
