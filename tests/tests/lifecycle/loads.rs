//! Loads that are given up, refused, or repeated with another file.

use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use cordon_supervisor::LoadError;
use cordon_supervisor::ending::Ending;
use cordon_supervisor::lifecycle::State;
use cordon_supervisor::state::STATE_DIR;
use cordon_supervisor::worker::LaunchError;
use cordon_tests::command::{Cordon, Fresh};
use cordon_tests::host::{call, eventually, load, status, supervisor};
use cordon_tests::plugins::{EarlyVandal, bare, fixture};
use cordon_tests::setting::is_root;
use nix::sys::signal::Signal;

use crate::deaths::{EARLY_VANDALS, NONE, groups_named};

const A_SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn unload_of_a_plugin_that_is_loading_ends_the_launch_and_leaves_nothing() {
    let _alone = EARLY_VANDALS.lock().await;
    let supervisor = supervisor("").await;
    let plugin = EarlyVandal::build("spin", "20");
    let id = "vandal-early".parse().unwrap();
    let unload = async {
        let loads = || {
            supervisor
                .status(&id)
                .is_some_and(|status| status.state == State::Loading)
        };
        assert!(eventually(A_SECOND, loads).await);
        // It runs by now.
        tokio::time::sleep(Duration::from_millis(200)).await;
        let started = Instant::now();
        supervisor.unload(&id).await.unwrap();
        assert!(started.elapsed() < A_SECOND);
        assert_eq!(status(&supervisor, &id).state, State::Available);
        assert_eq!(groups_named("vandal-early."), NONE);
    };

    let path = plugin.path();
    let (loaded, ()) = tokio::join!(supervisor.load(&path), unload);

    let Err(LoadError::Launch { source, .. }) = loaded else {
        panic!("{loaded:?}")
    };
    let LaunchError::Ended(ending) = source else {
        panic!("{source}")
    };
    assert_eq!(ending, Ending::Unloaded);
}

#[tokio::test]
async fn unload_at_any_moment_of_a_load_leaves_an_available_plugin() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = "id = \"fleeting\"\nversion = \"1.0.0\"\nabi = \"1.0\"\n";
    std::fs::write(folder.path().join("bare.toml"), manifest).unwrap();
    let supervisor = supervisor("").await;
    let plugin = load(&supervisor, &bare(folder.path(), "")).await;
    supervisor.unload(&plugin).await.unwrap();
    for moment in 0..40 {
        let unload = async {
            tokio::time::sleep(Duration::from_micros(moment * 250)).await;
            supervisor.unload(&plugin).await
        };

        let (loaded, unloaded) = tokio::join!(supervisor.reload(&plugin), unload);

        if unloaded.is_err() {
            // It came before the load.
            loaded.unwrap();
            supervisor.unload(&plugin).await.unwrap();
        }
        assert_eq!(status(&supervisor, &plugin).state, State::Available);
        assert_eq!(groups_named("fleeting."), NONE, "after {moment}");
    }
    supervisor.reload(&plugin).await.unwrap();
    assert_eq!(status(&supervisor, &plugin).state, State::Active);
}

#[tokio::test]
async fn unmount_of_a_plugin_that_is_loading_ends_the_launch_and_leaves_nothing() {
    let _alone = EARLY_VANDALS.lock().await;
    let supervisor = supervisor("[violations]\nthreshold = 1").await;
    let plugin = EarlyVandal::build("connect-host", "");

    let error = supervisor.load(&plugin.path()).await.unwrap_err();

    let LoadError::Launch { source, .. } = error else {
        panic!("{error}")
    };
    assert!(matches!(source, LaunchError::Ended(_)), "{source}");
    let [status] = &supervisor.list()[..] else {
        panic!("one plugin was loaded")
    };
    assert!(
        matches!(status.state, State::Unmounted { .. }),
        "{status:?}"
    );
    assert_eq!(groups_named("vandal-early."), NONE);
}

#[tokio::test]
async fn second_file_that_claims_an_id_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("a.so"), folder.path().join("b.so"));
    std::fs::copy(fixture("probe"), &first).unwrap();
    std::fs::copy(fixture("probe"), &second).unwrap();
    let link = folder.path().join("c.so");
    std::os::unix::fs::symlink(&first, &link).unwrap();
    let supervisor = supervisor("").await;
    let probe = load(&supervisor, &first).await;

    let error = supervisor.load(&second).await.unwrap_err();

    let sentence = format!(
        "plugin id probe is taken by {}; {} claims it too",
        first.display(),
        second.display()
    );
    assert_eq!(error.to_string(), sentence);
    assert!(matches!(error, LoadError::Taken { .. }));
    assert_eq!(status(&supervisor, &probe).state, State::Active);
    supervisor.unload(&probe).await.unwrap();
    load(&supervisor, &link).await;
}

#[test]
fn folder_in_which_two_claim_an_id_exits_as_denied() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["a.so", "b.so"] {
        std::fs::copy(fixture("probe"), folder.path().join(name)).unwrap();
    }
    let run = Cordon::normal().run(folder.path());
    let mut run = run.options(&["--format", "json"]).start();
    run.line();

    let (status, _, errors) = run.end(Signal::SIGINT);

    assert_eq!(status.code(), Some(5), "{errors}");
    assert!(errors.contains("claims it too"), "{errors}");
}

#[tokio::test]
async fn changed_file_is_an_update_with_an_empty_context() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("probe.so");
    std::fs::copy(fixture("probe"), &file).unwrap();
    let supervisor = supervisor("").await;
    let probe = load(&supervisor, &file).await;
    call(&supervisor, &probe, "set", "colour=green")
        .await
        .unwrap();
    supervisor.unload(&probe).await.unwrap();
    load(&supervisor, &file).await;
    let kept = call(&supervisor, &probe, "get", "colour").await;
    let before = status(&supervisor, &probe).digest;
    supervisor.unload(&probe).await.unwrap();
    let mut bytes = std::fs::read(&file).unwrap();
    bytes.push(0);
    std::fs::write(&file, bytes).unwrap();

    load(&supervisor, &file).await;

    assert_eq!(kept.unwrap(), "green");
    assert_ne!(status(&supervisor, &probe).digest, before);
    call(&supervisor, &probe, "get", "colour")
        .await
        .unwrap_err();
}

#[tokio::test]
async fn reload_refills_no_budget() {
    let limits = "[limits]\nmessages = { declared = 2, hard = 3 }";
    let supervisor = supervisor(limits).await;
    let probe = load(&supervisor, &fixture("probe")).await;
    for _ in 0..3 {
        call(&supervisor, &probe, "set", "a=b").await.unwrap();
    }

    supervisor.unload(&probe).await.unwrap();
    supervisor.reload(&probe).await.unwrap();

    call(&supervisor, &probe, "set", "a=b").await.unwrap_err();
}

#[test]
fn limit_on_open_files_is_raised_and_where_it_is_too_low_the_launch_says_so() {
    let soft = run_with("ulimit -Sn 32");
    assert!(soft.status.success(), "{soft:?}");

    // Who has that capability raises the hard limit, too.
    let drop = match is_root() {
        true => r#"; set -- setpriv --bounding-set=-sys_resource "$@""#,
        false => "",
    };
    let hard = run_with(&format!("ulimit -n 48{drop}"));

    let errors = String::from_utf8_lossy(&hard.stderr);
    assert_eq!(hard.status.code(), Some(1), "{errors}");
    assert!(
        errors.contains("of 48 file descriptors are in use"),
        "{errors}"
    );
    assert!(errors.contains("ulimit -Hn"), "{errors}");
}

/// A call by `cordon`, after this line of shell.
fn run_with(line: &str) -> Output {
    let cordon = cordon_tests::build_folder().join("cordon");
    let state = Fresh::folder();
    Command::new("sh")
        .env(STATE_DIR, state.path())
        .args(["-c", &format!("{line}; exec \"$@\""), "sh"])
        .args([&cordon, Path::new("run"), &fixture("probe")])
        .args(["--call", "echo", "--data", "x"])
        .output()
        .unwrap()
}
