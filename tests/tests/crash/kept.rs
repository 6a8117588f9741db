//! Crashes on disk, and on the command line.

use std::sync::Arc;

use cordon_supervisor::crash::{MAX_CRASHES, Store};
use cordon_supervisor::state::StateDir;
use cordon_tests::command::{Cordon, Fresh};
use cordon_tests::host::{builder, call, load};
use cordon_tests::plugins::fixture;

#[tokio::test]
async fn the_latest_crashes_are_kept_and_no_more() {
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path().join("state");
    let supervisor = builder("")
        .state_dir(&state)
        .start()
        .await
        .expect("a supervisor");
    let plugin = load(&supervisor, &fixture("crasher")).await;
    for _ in 0..MAX_CRASHES + 3 {
        call(&supervisor, &plugin, "segfault", "")
            .await
            .expect_err("it dies");
        supervisor.reload(&plugin).await.expect("it comes back");
    }
    // What was handed in is kept before it ends.
    drop(supervisor);

    let store = Store::open(&StateDir::open(&state).expect("state")).expect("crashes");
    let crashes = store.list(None).expect("they can be read");

    assert_eq!(crashes.len(), MAX_CRASHES);
    assert!(crashes.is_sorted_by_key(|crash| crash.id));
    let last = crashes.last().expect("one");
    assert_eq!(store.find(last.id).expect("read").as_ref(), Some(last));
    assert_eq!(store.list(Some(&plugin)).expect("read"), crashes);
}

#[tokio::test]
async fn crash_is_listed_and_shown_and_a_file_that_was_changed_moves_no_cursor() {
    let state = Arc::new(Fresh::folder());
    let cordon = |arguments: &[&str]| {
        let command = Cordon::normal().crash().options(arguments);
        let done = command.state(&state).finish();
        let text = String::from_utf8_lossy(&done.stdout).into_owned();
        (done.status.code(), text)
    };
    let none = cordon(&["list", "--format", "json"]);
    assert_eq!(none, (Some(0), String::new()));
    assert!(!state.path().exists(), "a listing makes no folder");
    let supervisor = builder("")
        .state_dir(state.path())
        .start()
        .await
        .expect("a supervisor");
    let plugin = load(&supervisor, &fixture("crasher")).await;
    call(&supervisor, &plugin, "segfault", "")
        .await
        .expect_err("it dies");
    drop(supervisor);

    let listed = cordon(&["list", "crasher"]).1;
    let id = listed.lines().find_map(|line| {
        let first = line.split_whitespace().next()?;
        line.contains("SIGSEGV").then(|| first.to_owned())
    });
    let id = id.unwrap_or_else(|| panic!("{listed}"));
    let shown = cordon(&["show", &id]).1;
    for part in [
        "SIGSEGV",
        "address 0xdead0",
        "backtrace",
        "registers",
        "segfault",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let other = cordon(&["show", "0000000000001-1"]);
    assert_eq!(other.0, Some(3), "{}", other.1);

    let file = state.path().join(format!("crashes/crasher/{id}.json"));
    let text = std::fs::read_to_string(&file).expect("a crash");
    let bent = text.replace("\"how\":\"", "\"how\":\"\\u001b[2J\\n");
    assert_ne!(bent, text);
    std::fs::write(&file, bent).expect("changed");
    for arguments in [&["list"][..], &["show", &id]] {
        let printed = cordon(arguments).1;
        assert!(!printed.contains('\u{1b}'), "{printed:?}");
        assert!(printed.contains("\\u{1b}[2J\\n"), "{printed:?}");
    }
}
