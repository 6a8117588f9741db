//! What a plugin asks for, and what policy makes of it.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A failed assumption fails the test.

use std::fs;
use std::path::PathBuf;

use cordon_tests::command::{Cordon, Finished};
use cordon_tests::plugins::bare;
use serde_json::Value;
use tempfile::TempDir;

const MANIFEST: &str = "id = \"bare\"\nversion = \"1.0.0\"\nabi = \"1.0\"\n";

#[test]
fn inspect_shows_what_is_asked_and_what_is_granted() {
    let asks = Asks::new(
        "files = [{ path = \"/data/a\", access = \"read\" }]\ntcp = { bind = [80] }",
        "files = [{ path = \"/data\", source = \"/srv\" }]\ntcp = { bind = [80, 81] }",
    );

    let table = asks.inspect("table");
    let object: Value = serde_json::from_slice(&asks.inspect("json").stdout).unwrap();

    let text = String::from_utf8(table.stdout).unwrap();
    for line in [
        "files: read of /data/a",
        "tcp.bind: 80",
        "all that it asks for",
        "/data/a is /srv/a of the host",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    assert_eq!(object["granted"]["files"][0]["source"], "/srv/a");
    assert_eq!(object["granted"]["tcp"]["bind"], serde_json::json!([80]));
    assert_eq!(object["excess"], Value::Null);
}

#[test]
fn inspect_shows_what_is_refused() {
    let asks = Asks::new("net = \"full\"\nnice = -1", "nice = 0");

    let table = asks.inspect("table");
    let object: Value = serde_json::from_slice(&asks.inspect("json").stdout).unwrap();

    let text = String::from_utf8(table.stdout).unwrap();
    for excess in [
        "requires.net: asks full, policy allows isolated",
        "requires.nice: asks -1, policy allows 0",
    ] {
        assert!(text.contains(excess), "{excess}: {text}");
    }
    assert_eq!(object["excess"][0]["field"], "requires.net");
    assert_eq!(object["granted"], Value::Null);
}

#[test]
fn restricted_network_is_refused_to_plugin_and_policy() {
    let later = "comes later; until then it is refused, not approximated";
    for (asked, granted, field) in [
        ("net = \"restricted\"", "net = \"full\"", "requires.net: "),
        ("", "net = \"restricted\"", "policy, grants.net: "),
    ] {
        let refused = Asks::new(asked, granted).run();

        assert_eq!(refused.status.code(), Some(5), "{refused}");
        let text = String::from_utf8_lossy(&refused.stderr);
        assert!(text.contains(field) && text.contains(later), "{refused}");
    }
}

/// A plugin that asks, and a policy that grants.
struct Asks {
    folder: TempDir,
    plugin: PathBuf,
}

impl Asks {
    fn new(requires: &str, grants: &str) -> Self {
        let folder = TempDir::with_prefix("cordon-grants-").unwrap();
        let plugin = bare(folder.path(), "");
        let write = |name: &str, text: String| fs::write(folder.path().join(name), text).unwrap();
        write("bare.toml", format!("{MANIFEST}[requires]\n{requires}"));
        write("policy.toml", format!("[grants]\n{grants}"));
        Self { folder, plugin }
    }

    fn inspect(&self, format: &str) -> Finished {
        let policy = self.folder.path().join("policy.toml");
        let options = ["--policy", policy.to_str().unwrap(), "--format", format];
        let inspected = Cordon::normal().inspect(&self.plugin);
        let finished = inspected.options(&options).finish();
        assert_eq!(finished.status.code(), Some(0), "{finished}");
        finished
    }

    fn run(&self) -> Finished {
        let policy = self.folder.path().join("policy.toml");
        let run = Cordon::normal().run(&self.plugin).call("m", "");
        run.options(&["--policy", policy.to_str().unwrap()])
            .finish()
    }
}
