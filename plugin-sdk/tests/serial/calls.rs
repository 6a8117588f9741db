//! Calls and hooks: their results, and how they fail.

use std::time::Duration;

use plugin_sdk::abi::Status;
use plugin_sdk::{Level, Verdict};

use super::plugin::Full;
use super::{failure, host};

#[test]
fn method_sees_caller_and_logs() {
    let host = host();
    let full = host.create::<Full>(b"Hello").unwrap();

    let reply = full.call("greet", b"Bob").unwrap();

    assert_eq!(reply, b"Hello, Bob, ada of acme");
    assert_eq!(host.logs(), [(Level::Info, "greeting Bob".to_owned())]);
}

#[test]
fn missing_method_and_hook_are_named() {
    let host = host();
    let full = host.create::<Full>(b"Hello").unwrap();

    assert_eq!(
        full.call("none", b""),
        Err(failure(Status::NO_METHOD, "no entry point \"none\""))
    );
    assert_eq!(
        full.hook("none", b""),
        Err(failure(Status::NO_METHOD, "no entry point \"none\""))
    );
}

#[test]
fn panic_is_caught_and_poisons_the_instance() {
    let host = host();
    let full = host.create::<Full>(b"Hello").unwrap();

    assert_eq!(
        full.call("panics", b"purpose"),
        Err(failure(Status::PANIC, "on purpose"))
    );

    let poisoned = failure(
        Status::PANIC,
        "the instance is poisoned by an earlier panic",
    );
    assert_eq!(full.call("greet", b"Bob"), Err(poisoned.clone()));
    assert_eq!(full.hook("request", b""), Err(poisoned.clone()));
    assert_eq!(full.health(), Err(poisoned.clone()));
    assert_eq!(full.snapshot(), Err(poisoned));
}

#[test]
fn panic_poisons_no_other_instance() {
    let host = host();
    let (broken, sound) = (
        host.create::<Full>(b"Hello").unwrap(),
        host.create::<Full>(b"Hello").unwrap(),
    );

    broken.call("panics", b"purpose").unwrap_err();

    assert!(sound.call("greet", b"Bob").is_ok());
}

#[test]
fn deadline_and_cancellation_are_seen() {
    let host = host().deadline(Duration::from_secs(60));
    let full = host.create::<Full>(b"Hello").unwrap();

    assert_eq!(full.call("time.left", b"").unwrap(), b"Some(true)");
    host.cancel();
    assert_eq!(
        full.call("time.left", b""),
        Err(failure(Status::CANCELLED, "the call was cancelled"))
    );
}

#[test]
fn result_beyond_the_limit_is_refused_whole() {
    let host = host();
    let full = host.create::<Full>(b"Hello").unwrap();

    let refused = full.call("large", b"").unwrap_err();

    assert_eq!(
        refused,
        failure(Status::TOO_LARGE, "the result is refused by the host")
    );
}

#[test]
fn hook_gives_each_verdict() {
    let host = host();
    let full = host.create::<Full>(b"Hello").unwrap();

    assert_eq!(full.hook("request", b"").unwrap(), Verdict::Continue);
    assert_eq!(
        full.hook("response", b"take").unwrap(),
        Verdict::Intercept(b"taken".into())
    );
    assert_eq!(
        full.hook("request", b"refuse").unwrap(),
        Verdict::Reject("refused".into())
    );
    assert_eq!(
        full.hook("request", b"fail"),
        Err(failure(Status::ERROR, "undecided"))
    );
}
