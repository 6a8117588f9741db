//! Crashes on disk, and on the command line.

use cordon_supervisor::crash::{MAX_CRASHES, Store};
use cordon_supervisor::state::StateDir;
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
