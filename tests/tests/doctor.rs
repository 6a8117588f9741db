//! `cordon doctor` on hosts that lack something: as far as such a host can be made here.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A failed assumption fails the test.

use cordon_tests::command::{Cordon, Invocation, copy};
use cordon_tests::filtered::{Refusal, without};
use cordon_tests::plugins::example;
use cordon_tests::setting::{cgroup_parent, is_root, skip};
use sandbox::support::Facility;
use serde_json::Value;

#[test]
fn strict_policy_can_run_here_and_what_is_missing_is_no_core_facility() {
    let (code, object) = examine(doctor());

    assert_eq!(
        (code, &object["strict"]),
        (0, &Value::Bool(true)),
        "{object:#}"
    );
    let offers = object["offers"].as_array().unwrap();
    assert_eq!(offers.len(), Facility::ALL.len(), "{object:#}");
    for offer in offers {
        if offer["state"] == "available" {
            continue;
        }
        assert_ne!(offer["need"], "core", "{offer:#}");
        assert_ne!(offer["why"], "", "{offer:#}");
    }
}

#[test]
fn table_has_a_line_for_each_facility_then_mends_then_the_verdict() {
    let table = doctor().finish();

    assert_eq!(table.status.code(), Some(0), "{table}");
    let text = String::from_utf8(table.stdout).unwrap();
    assert!(text.is_ascii(), "{text}");
    let (_, object) = examine(doctor());
    for offer in object["offers"].as_array().unwrap() {
        let words = [&offer["facility"], &offer["need"], &offer["found"]];
        let words = words.map(|word| word.as_str().unwrap());
        let line = text
            .lines()
            .find(|line| words.iter().all(|word| line.contains(word)));
        assert!(line.is_some(), "{words:?} in {text}");
        for fix in offer["fix"].as_array().unwrap() {
            assert!(text.contains(fix.as_str().unwrap()), "{fix} in {text}");
        }
    }
    assert!(text.ends_with("\nStrict policy can run here.\n"), "{text}");
}

#[test]
fn ordinary_user_without_delegation_is_told_so() {
    let (code, object) = examine(doctor().as_nobody());

    assert_eq!((code, &object["strict"]), (10, &Value::Bool(false)));
    let cgroup = offer(&object, "cgroup");
    assert_eq!(cgroup["state"], "missing", "{cgroup:#}");
    let fixes = cgroup["fix"].to_string();
    for fix in ["--cgroup-parent", "--allow-degraded cgroup"] {
        assert!(fixes.contains(fix), "{fix}: {fixes}");
    }
}

#[test]
fn forbidden_user_namespaces_are_named_with_their_setting() {
    let forbid = "echo 0 > /proc/sys/user/max_user_namespaces";

    let (code, object) = examine(doctor().after(&["-Ur"], forbid));

    assert_eq!(code, 10);
    let namespaces = offer(&object, "namespaces");
    let found = namespaces["found"].as_str().unwrap();
    assert!(found.ends_with("user.max_user_namespaces is 0"), "{found}");
    let fix = namespaces["fix"][0].as_str().unwrap();
    assert!(
        fix.starts_with("sysctl -w user.max_user_namespaces="),
        "{fix}"
    );
    // What rests on them isn't called missing.
    assert_eq!(offer(&object, "nesting")["state"], "untried");
}

#[test]
fn root_without_the_capabilities_of_a_launcher_is_told_so_and_rightly() {
    if !is_root() {
        return skip("all of it", "only root has them");
    }
    for capability in ["dac_override", "setgid", "setuid", "sys_admin"] {
        let less =
            format!("exec setpriv --bounding-set -{capability} --inh-caps -{capability} \"$@\"");

        let (code, object) = examine(doctor().after(&["-m"], &less));

        let privilege = offer(&object, "privilege");
        assert_eq!(
            (code, &privilege["state"]),
            (10, &"missing".into()),
            "{privilege:#}"
        );
        let found = privilege["found"].as_str().unwrap();
        assert!(found.contains(&capability.to_uppercase()), "{found}");
        let run = Cordon::normal()
            .run(&example("deflate"))
            .call("compress", "x");
        let run = run.after(&["-m"], &less).finish();
        assert_eq!(run.status.code(), Some(10), "{run}");
    }
}

#[test]
fn doctor_and_launch_agree_on_a_host_that_lacks_something() {
    if !is_root() {
        return skip("all of it", "only root can take it away");
    }
    let pids = ["-fpm", "--mount-proc"];
    for (unshare, harm, facility) in [
        (&["-m"][..], "mount -t tmpfs none /dev", "devices"),
        (&["-m"], "mount -t tmpfs none /sys/fs/cgroup", "cgroup"),
        (&["-m"], "mount -t tmpfs -o ro none /run", "ids"),
        // Who has that capability raises the limit again.
        (
            &["-m"],
            r#"ulimit -n 60; set -- setpriv --bounding-set=-sys_resource "$@""#,
            "open-files",
        ),
        // This setting is a pid namespace's own.
        (
            &pids,
            "echo 2 > /proc/sys/vm/memfd_noexec",
            "worker-program",
        ),
    ] {
        let (code, object) = examine(doctor().after(unshare, harm));

        let offer = offer(&object, facility);
        assert_eq!(
            (code, &offer["state"]),
            (10, &"missing".into()),
            "{offer:#}"
        );
        assert_ne!(offer["fix"], Value::Array(Vec::new()), "{offer:#}");
        let run = Cordon::normal()
            .run(&example("deflate"))
            .call("compress", "x");
        let run = run.after(unshare, harm).finish();
        assert_ne!(run.status.code(), Some(0), "{run}");
    }
}

#[test]
fn root_of_a_user_namespace_is_told_that_ids_are_missing() {
    if !is_root() {
        return skip("all of it", "it has no ids of its own to miss");
    }
    let (code, object) = examine(doctor().after(&["-Ur"], "true"));

    let namespaces = offer(&object, "namespaces");
    assert_eq!(
        (code, &namespaces["state"]),
        (10, &"missing".into()),
        "{namespaces:#}"
    );
    let found = namespaces["found"].as_str().unwrap();
    assert!(
        found.ends_with("a worker's ids aren't in this user namespace"),
        "{found}"
    );
}

#[test]
fn proc_that_is_gone_covered_or_read_only_is_named_and_the_mend_mends_it() {
    if !is_root() {
        return skip("all of it", "only root can cover /proc");
    }
    // Nothing is unmounted: in the VM what lies below is the /proc of its host.
    let gone = "mount -t tmpfs none /proc";
    let covered = "mount -t tmpfs none /proc/sys";
    let read_only = "mount --bind /proc/sys /proc/sys; mount -o remount,bind,ro /proc/sys";
    for (harm, found) in [
        (gone, "no /proc"),
        (covered, "tmpfs over /proc/sys"),
        (read_only, "proc over /proc/sys, read-only"),
    ] {
        let (code, object) = examine(doctor().after(&["-m"], harm));

        let procfs = offer(&object, "procfs");
        assert_eq!(
            (code, &procfs["state"]),
            (10, &"missing".into()),
            "{procfs:#}"
        );
        assert!(
            procfs["found"].as_str().unwrap().contains(found),
            "{procfs:#}"
        );

        let mend = procfs["fix"][0].as_str().unwrap();
        let (code, object) = examine(doctor().after(&["-m"], &format!("{harm}\n{mend}")));
        assert_eq!(code, 0, "{mend}: {object:#}");
    }
}

#[test]
fn filter_above_us_is_named_with_what_it_refuses() {
    for (refusal, facility, state, word) in [
        (
            Refusal::LANDLOCK,
            "landlock",
            "missing",
            "a filter above us",
        ),
        (Refusal::KEYCTL, "keyring", "refused", "a filter above us"),
        (
            Refusal::UNSHARE,
            "system-calls",
            "missing",
            "refused: unshare; 1 seccomp filter(s) above us",
        ),
    ] {
        let run = || {
            Cordon::normal()
                .run(&example("deflate"))
                .call("compress", "x")
        };
        let ((code, object), run) = without(refusal, || (examine(doctor()), run().finish()));

        let offer = offer(&object, facility);
        assert_eq!((code, &offer["state"]), (10, &state.into()), "{offer:#}");
        assert_eq!(run.status.code(), Some(10), "{run}");
        assert!(offer["found"].as_str().unwrap().contains(word), "{offer:#}");
    }
}

#[test]
fn hardening_that_the_kernel_lacks_is_told_and_stands_in_no_ones_way() {
    let (code, object) = without(Refusal::MDWE, || examine(doctor()));

    let mdwe = offer(&object, "mdwe");
    assert_eq!((code, &mdwe["state"]), (0, &"missing".into()), "{mdwe:#}");
}

#[test]
fn missing_worker_program_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let alone = folder.path().join("cordon");
    copy("cordon", folder.path());

    let (code, object) = examine(Cordon::at(&alone).doctor());

    let program = offer(&object, "worker-program");
    assert_eq!(
        (code, &program["state"]),
        (10, &"missing".into()),
        "{program:#}"
    );
    assert!(
        program["fix"][0]
            .as_str()
            .unwrap()
            .contains("CORDON_WORKER"),
        "{program:#}"
    );
}

#[test]
fn doctor_leaves_no_group_behind() {
    let note = tempfile::NamedTempFile::new().unwrap();
    let write = format!("echo $$ > {}", note.path().display());

    // The shell becomes the doctor, and keeps its pid.
    let shell = ["-ec", &format!("{write}\nexec \"$@\""), "sh"];
    let (_, object) = examine(doctor().through("sh", &shell));

    // It made one.
    assert_eq!(offer(&object, "cgroup")["state"], "available");
    let pid = std::fs::read_to_string(note.path()).unwrap();
    let ours = format!("{}-", pid.trim());
    let layout = sandbox::cgroup::Layout::detect().unwrap();
    for mount in layout.mounts() {
        let shared = cgroup_parent(&mount.point).join("cordon");
        // Without it there is nothing below it.
        for group in std::fs::read_dir(shared).into_iter().flatten() {
            let name = group.unwrap().file_name();
            assert!(
                !name.as_encoded_bytes().starts_with(ours.as_bytes()),
                "{name:?}"
            );
        }
    }
}

fn doctor() -> Invocation {
    Cordon::normal().doctor()
}

/// Exit code and object.
fn examine(doctor: Invocation) -> (i32, Value) {
    let finished = doctor.options(&["--format", "json"]).finish();
    let object = serde_json::from_slice(&finished.stdout);
    let object = object.unwrap_or_else(|error| panic!("{error}: {finished}"));
    (finished.status.code().unwrap(), object)
}

fn offer<'a>(object: &'a Value, facility: &str) -> &'a Value {
    let mut offers = object["offers"].as_array().unwrap().iter();
    let found = offers.find(|offer| offer["facility"] == facility);
    found.unwrap_or_else(|| panic!("no {facility} in {object:#}"))
}
