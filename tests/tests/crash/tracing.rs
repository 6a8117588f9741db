//! Being traced changes nothing for a plugin, and costs nobody else.

use std::time::{Duration, Instant};

use cordon_tests::host::{call, load, supervisor};
use cordon_tests::plugins::{fixture, greet};

#[tokio::test]
async fn faults_that_a_plugin_handles_itself_are_no_deaths() {
    let supervisor = supervisor("").await;
    let plugin = load(&supervisor, &fixture("crasher")).await;

    let reply = call(&supervisor, &plugin, "handled", "").await;

    assert_eq!(reply.as_deref(), Ok("handled"));
}

#[tokio::test]
async fn plugin_that_raises_signals_and_makes_threads_without_end_keeps_nobody_waiting() {
    let supervisor = supervisor("").await;
    let flooding = load(&supervisor, &fixture("crasher")).await;
    let other = load(&supervisor, &greet()).await;

    let flood = call(&supervisor, &flooding, "flood", "");
    let (flood, slowest) = tokio::join!(flood, async {
        let mut slowest = Duration::ZERO;
        for _ in 0..100 {
            let start = Instant::now();
            let reply = call(&supervisor, &other, "greet", "you").await;
            slowest = slowest.max(start.elapsed());
            reply.expect("it answers");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        // The launcher serves it too.
        supervisor.unload(&other).await.expect("it goes");
        supervisor.reload(&other).await.expect("it comes back");
        slowest
    });

    assert_eq!(flood.as_deref(), Ok("flooded"));
    assert!(slowest < Duration::from_secs(2), "{slowest:?}");
}
