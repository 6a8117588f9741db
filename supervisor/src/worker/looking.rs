//! Looking at a worker from a thread of its own: reading its memory may take as long as it
//! likes, where it has mapped a file of a file system that doesn't answer.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

/// What `look` found, unless it takes longer than `patience`: its thread is left alone then.
pub(super) async fn aside<T: Send + 'static>(
    patience: Duration,
    look: impl FnOnce() -> T + Send + 'static,
) -> Result<T, &'static str> {
    let (tell, told) = oneshot::channel();
    let thread = std::thread::Builder::new().name("cordon-evidence".into());
    // By the time it has seen something nobody may wait.
    let looking = thread.spawn(move || tell.send(look()).ok());
    match timeout(patience, told).await {
        Ok(Ok(seen)) => Ok(seen),
        // Where no thread can be made nobody tells.
        Ok(Err(_)) if looking.is_err() => Err("no thread to look with"),
        _ => Err("its memory didn't answer in time"),
    }
}
