//! Unmounted is kept by plugin id: whoever has the same folder for state refuses the plugin,
//! until an operator enables it.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A failed assumption fails the test.

use std::sync::Arc;

use cordon_supervisor::lifecycle::State;
use cordon_supervisor::{LoadError, Supervisor};
use cordon_tests::command::{Cordon, Finished, Fresh};
use cordon_tests::host::{builder, call, load, status};
use cordon_tests::plugins::{example, fixture};

const ONE: &str = "[violations]\nthreshold = 1";

fn enable(state: &Arc<Fresh>, plugin: &str) -> Finished {
    Cordon::normal().enable(plugin).state(state).finish()
}

fn run(state: &Arc<Fresh>, path: Option<&str>) -> Finished {
    let policy = state.path().with_file_name("policy.toml");
    std::fs::write(&policy, ONE).unwrap();
    let run = Cordon::normal().run(&fixture("denier")).state(state);
    let run = run.options(&["--policy", policy.to_str().unwrap()]);
    match path {
        Some(path) => run.call("open", path).finish(),
        None => run.call("none", "").finish(),
    }
}

fn stderr(finished: &Finished) -> String {
    String::from_utf8_lossy(&finished.stderr).into_owned()
}

async fn supervisor(state: &Fresh) -> Supervisor {
    let started = builder(ONE).state_dir(state.path()).start().await;
    started.unwrap_or_else(|error| panic!("{error}"))
}

/// Has the plugin do what unmounts it.
async fn unmount(supervisor: &Supervisor) {
    let denier = load(supervisor, &fixture("denier")).await;
    call(supervisor, &denier, "open", "/etc/shadow").await.ok();
    assert!(matches!(
        status(supervisor, &denier).state,
        State::Unmounted { .. }
    ));
}

#[test]
fn a_later_run_refuses_it_with_7_until_it_is_enabled() {
    let state = Arc::new(Fresh::folder());
    assert_eq!(enable(&state, "denier").status.code(), Some(3));

    let first = run(&state, Some("/etc/shadow"));
    assert_eq!(first.status.code(), Some(7), "{first}");
    // Without the rest of it, too.
    let second = run(&state, None);
    assert_eq!(second.status.code(), Some(7), "{second}");
    let errors = stderr(&second);
    let expected = "plugin denier is unmounted: 1 violations, the last one: denied-syscall";
    assert!(errors.contains(expected), "{errors}");
    assert!(errors.contains("cordon enable denier"), "{errors}");
    let report = Cordon::normal()
        .confinement(&fixture("denier"))
        .state(&state)
        .finish();
    assert_eq!(report.status.code(), Some(7), "{report}");
    let check = Cordon::normal()
        .check(&fixture("denier"))
        .state(&state)
        .finish();
    assert_eq!(check.status.code(), Some(7), "{check}");
    let other = Cordon::normal().run(&example("deflate")).state(&state);
    let other = other.call("compress", "x").finish();
    assert_eq!(other.status.code(), Some(0), "{other}");

    assert_eq!(enable(&state, "other").status.code(), Some(3));
    let enabled = enable(&state, "denier");
    assert_eq!(enabled.status.code(), Some(0), "{enabled}");
    let check = Cordon::normal()
        .check(&fixture("denier"))
        .state(&state)
        .finish();
    assert_eq!(check.status.code(), Some(0), "{check}");
    let third = run(&state, None);
    // It has no such method: it runs.
    assert_eq!(third.status.code(), Some(3), "{third}");
    assert_eq!(enable(&state, "denier").status.code(), Some(3));
}

#[test]
fn a_file_that_says_nothing_refuses_the_plugin_and_is_named() {
    let state = Arc::new(Fresh::folder());
    run(&state, Some("/etc/shadow"));
    let file = state.path().join("unmounted/denier.json");
    for text in ["", "{}", "\0\0\0\0"] {
        std::fs::write(&file, text).unwrap();
        let refused = run(&state, None);
        assert_eq!(refused.status.code(), Some(1), "{refused}");
        let errors = stderr(&refused);
        assert!(errors.contains(&file.display().to_string()), "{errors}");
        assert!(errors.contains("cordon enable denier"), "{errors}");
    }
    assert_eq!(enable(&state, "denier").status.code(), Some(0));
    assert_eq!(run(&state, None).status.code(), Some(3));
}

#[test]
fn what_the_supervisor_was_killed_at_is_no_mark() {
    let state = Arc::new(Fresh::folder());
    run(&state, Some("/etc/shadow"));
    let folder = state.path().join("unmounted");
    std::fs::rename(folder.join("denier.json"), folder.join(".new")).unwrap();
    assert_eq!(run(&state, None).status.code(), Some(3));
    assert_eq!(run(&state, Some("/etc/shadow")).status.code(), Some(7));
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), 1);
}

#[tokio::test]
async fn a_supervisor_that_runs_sees_at_the_next_load_that_an_operator_enabled_it() {
    let state = Arc::new(Fresh::folder());
    let supervisor = supervisor(&state).await;
    unmount(&supervisor).await;
    let refused = supervisor.load(&fixture("denier")).await;
    assert!(
        matches!(refused, Err(LoadError::Unmounted { .. })),
        "{refused:?}"
    );

    let enabled = loop {
        // The file is written by a thread, a moment after the state is known.
        let enabled = enable(&state, "denier");
        if enabled.status.code() != Some(3) {
            break enabled;
        }
    };

    assert_eq!(enabled.status.code(), Some(0), "{enabled}");
    let denier = load(&supervisor, &fixture("denier")).await;
    assert_eq!(status(&supervisor, &denier).counted, 0);
    assert_eq!(status(&supervisor, &denier).state, State::Active);
}

#[tokio::test]
async fn the_host_enables_it_for_all_of_the_same_folder() {
    let state = Arc::new(Fresh::folder());
    let supervisor = supervisor(&state).await;
    unmount(&supervisor).await;
    let id = "denier".parse().unwrap();
    supervisor.enable(&id).unwrap();
    assert_eq!(run(&state, None).status.code(), Some(3));
    load(&supervisor, &fixture("denier")).await;
    supervisor.enable(&id).unwrap_err();
}

#[tokio::test]
async fn one_supervisor_refuses_what_another_has_unmounted() {
    let state = Arc::new(Fresh::folder());
    let (one, other) = (supervisor(&state).await, supervisor(&state).await);
    let denier = load(&other, &fixture("denier")).await;
    other.unload(&denier).await.unwrap();
    unmount(&one).await;
    drop(one);

    let refused = other.load(&fixture("denier")).await;
    assert!(
        matches!(refused, Err(LoadError::Unmounted { .. })),
        "{refused:?}"
    );
    let State::Unmounted { reason } = status(&other, &denier).state else {
        panic!("it isn't shown as unmounted");
    };
    assert_eq!(reason.counted, 1);
    // One that never loaded it enables it all the same.
    let third = supervisor(&state).await;
    third.enable(&denier).unwrap();
    load(&other, &fixture("denier")).await;
}
