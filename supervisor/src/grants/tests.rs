use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::config::Policy;

fn grant(manifest: &str, policy: &str) -> Result<Grants, Refused> {
    let manifest = format!("id = \"greet\"\nversion = \"1.0.0\"\nabi = \"1.0\"\n{manifest}");
    let manifest = Manifest::parse(Path::new("greet.toml"), &manifest).unwrap();
    intersect(
        &manifest,
        Policy::parse(Path::new("policy.toml"), policy)
            .unwrap()
            .rules(&manifest.id),
    )
}

#[test]
fn asking_for_nothing_gives_the_defaults_and_no_reach() {
    let grants = grant("", "").unwrap();
    assert_eq!(grants.limits, Limits::default());
    assert_eq!(
        (
            grants.files.len(),
            grants.env.len(),
            grants.capabilities.len()
        ),
        (0, 0, 0)
    );
    assert_eq!(
        (grants.tmp, grants.net, grants.processes, grants.jit),
        (None, Network::Isolated, false, false)
    );
}

#[test]
fn every_excess_is_listed_with_its_field() {
    let refused = grant(
        "[limits]\nheap = \"1GiB\"\nfds = 33\n[requires]\n\
         files = [{ path = \"/etc/hosts\", access = \"read\" }]\ntmp = \"1MiB\"\nnet = \"full\"\n\
         tcp = { bind = [80], connect = [80, 443] }\nenv = [\"HOME\"]\n\
         processes = true\njit = true\ncapabilities = [\"NET_RAW\"]\n\
         locked_memory = \"64KiB\"\nnice = 5\nrealtime = 1",
        "[limits]\nheap = \"64MiB\"\n[grants]\nenv = [\"LANG\"]\ntcp = { connect = [22, 80] }",
    )
    .unwrap_err();
    let shown: Vec<_> = refused.excess.iter().map(Excess::to_string).collect();
    assert_eq!(
        shown,
        [
            "limits.heap: asks 1 GiB, policy allows 64 MiB",
            "limits.fds: asks 33, policy allows 32",
            "requires.files[0]: asks read of /etc/hosts, policy allows none",
            "requires.tmp: asks 1 MiB, policy allows 0 B (limits.disk)",
            "requires.net: asks full, policy allows isolated",
            "requires.tcp.bind: asks 80, policy allows none",
            "requires.tcp.connect: asks 443, policy allows 22, 80",
            "requires.env: asks HOME, policy allows LANG",
            "requires.capabilities: asks NET_RAW, policy allows none",
            "requires.processes: asks true, policy allows false",
            "requires.jit: asks true, policy allows false",
            "requires.locked_memory: asks 64 KiB, policy allows 0 B",
            "requires.nice: asks 5, policy allows none",
            "requires.realtime: asks 1, policy allows none",
        ]
    );
    assert!(
        refused
            .to_string()
            .starts_with("plugin greet asks for more than policy allows: limits.heap")
    );
}

#[test]
fn what_policy_allows_is_granted() {
    let grants = grant(
        "[requires]\ntmp = \"1MiB\"\nenv = [\"LANG\"]\n[limits]\nheap = \"16MiB\"",
        "[limits]\ndisk = \"2MiB\"\n[plugin.greet.grants]\nenv = [\"LANG\", \"TZ\"]",
    )
    .unwrap();
    assert_eq!(grants.tmp, Some(ByteSize::mib(1)));
    assert_eq!(grants.env.len(), 1);
    assert_eq!(grants.limits.heap.hard(), ByteSize::mib(20));
}

/// What `policy` grants of one file, or the sentence that refuses it.
fn file(asked: &str, access: &str, policy: &str) -> Result<FileGrant, String> {
    let manifest = format!("[requires]\nfiles = [{{ path = \"{asked}\", access = \"{access}\" }}]");
    let policy = format!("[limits]\ndisk = \"1MiB\"\n[grants]\nfiles = [{policy}]");
    let granted = grant(&manifest, &policy).map_err(|refused| refused.excess[0].to_string());
    granted.map(|mut grants| grants.files.remove(0))
}

#[test]
fn a_file_is_granted_at_or_below_a_rule_narrowed_to_what_is_asked() {
    let rule = "{ path = \"/data\", source = \"/srv/greet\", access = \"write\", delete = false }";
    let write = policy::FileAccess::Write {
        create: true,
        delete: false,
    };
    for (asked, access, source, granted) in [
        ("/data", "write", "/srv/greet", write),
        ("/data/a/b", "write", "/srv/greet/a/b", write),
        ("/data/a", "read", "/srv/greet/a", policy::FileAccess::Read),
    ] {
        assert_eq!(
            file(asked, access, rule),
            Ok(FileGrant {
                source: source.into(),
                target: asked.into(),
                access: granted,
            })
        );
    }
}

#[test]
fn what_no_rule_covers_is_refused_with_the_rules_that_are_near() {
    let rule = "{ path = \"/data\" }, { path = \"/work\", access = \"overlay\" }";
    for (asked, access, allowed) in [
        ("/data2", "read", "none"),
        ("/", "read", "none"),
        ("/data/x", "write", "read of /data"),
        ("/data/x", "overlay", "read of /data"),
        ("/work", "write", "overlay of /work"),
    ] {
        let sentence =
            format!("requires.files[0]: asks {access} of {asked}, policy allows {allowed}");
        assert_eq!(file(asked, access, rule), Err(sentence));
    }
    assert!(file("/work/x", "read", rule).is_ok());
}

#[test]
fn rules_add_up_and_the_longest_path_places_the_file() {
    let rules = "{ path = \"/a\", source = \"/1\", access = \"write\" }, \
                 { path = \"/a/b\", source = \"/2\" }, { path = \"/\", source = \"/3\" }";
    for (asked, access, source) in [
        ("/a/b/c", "read", "/2/c"),
        ("/a/b/c", "write", "/1/b/c"),
        ("/x", "read", "/3/x"),
    ] {
        assert_eq!(
            file(asked, access, rules).unwrap().source,
            Path::new(source)
        );
    }
}

#[test]
fn an_overlay_brings_the_caps_of_its_rule() {
    let rule = "{ path = \"/w\", access = \"overlay\", bytes = \"1MiB\", inodes = 9 }";
    let caps = policy::Tmpfs {
        bytes: 1 << 20,
        inodes: 9,
    };
    assert_eq!(
        file("/w/x", "overlay", rule).unwrap().access,
        policy::FileAccess::Overlay(caps)
    );
}

#[test]
fn writing_needs_room_on_disk() {
    let asks = "[requires]\nfiles = [{ path = \"/data\", access = \"write\" }]";
    let refused = grant(
        asks,
        "[grants]\nfiles = [{ path = \"/data\", access = \"write\" }]",
    );
    assert_eq!(
        refused.unwrap_err().excess[0].allowed,
        "0 B of writing (limits.disk)"
    );
}

#[test]
fn restricted_is_refused_whatever_policy_grants() {
    for net in ["isolated", "full"] {
        let policy = format!("[grants]\nnet = \"{net}\"");
        let refused = grant("[requires]\nnet = \"restricted\"", &policy).unwrap_err();
        assert_eq!(
            refused.excess[0].to_string(),
            format!(
                "requires.net: asks restricted, policy allows {net}; {}",
                Network::RESTRICTED
            )
        );
    }
}

#[test]
fn ports_capabilities_and_priorities_are_granted_up_to_what_policy_has() {
    let policy = "[grants]\nnet = \"isolated\"\ntcp = { bind = [80, 81] }\n\
                  capabilities = [\"NET_BIND_SERVICE\"]\nlocked_memory = \"64KiB\"\nnice = -5\nrealtime = 10";
    let asks = |nice: i8, realtime: u8, memory: &str| {
        let manifest = format!(
            "[requires]\ntcp = {{ bind = [80] }}\ncapabilities = [\"NET_BIND_SERVICE\"]\n\
             locked_memory = \"{memory}\"\nnice = {nice}\nrealtime = {realtime}"
        );
        grant(&manifest, policy)
    };
    let grants = asks(-5, 10, "64KiB").unwrap();
    assert_eq!((grants.tcp.bind.len(), grants.capabilities.len()), (1, 1));
    assert_eq!(grants.locked_memory, ByteSize::bytes(65_536));
    for (beyond, field) in [
        (asks(-6, 10, "64KiB"), "requires.nice"),
        (asks(19, 11, "64KiB"), "requires.realtime"),
        (asks(19, 1, "65KiB"), "requires.locked_memory"),
    ] {
        let refused = beyond.unwrap_err();
        assert_eq!(
            (refused.excess.len(), &*refused.excess[0].field),
            (1, field)
        );
    }
}

#[test]
fn a_tmp_must_fit_the_disk_that_the_plugin_itself_asks_for() {
    let refused = grant(
        "[requires]\ntmp = \"2MiB\"\n[limits]\ndisk = \"1MiB\"",
        "[limits]\ndisk = \"4MiB\"",
    );
    assert_eq!(
        refused.unwrap_err().excess[0].allowed,
        "1 MiB (limits.disk)"
    );
}

proptest! {
    #[test]
    fn no_manifest_gets_more_than_policy_has(heap in 4u64..2048, allowed in 4u64..2048, threads in 1u64..20) {
        let granted = grant(
            &format!("[limits]\nheap = \"{heap}MiB\"\nthreads = {threads}"),
            &format!("[limits]\nheap = \"{allowed}MiB\""),
        );
        prop_assert_eq!(granted.is_ok(), heap <= allowed && threads <= 4);
        if let Ok(grants) = granted {
            prop_assert_eq!(grants.limits.heap.declared(), ByteSize::mib(heap));
            prop_assert!(grants.limits.heap.hard().as_u64() <= (ByteSize::mib(allowed).as_u64() * 5).div_ceil(4));
        }
    }
}
