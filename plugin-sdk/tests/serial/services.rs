//! What a plugin asks of its host.

use plugin_sdk::abi::Status;
use plugin_sdk::testing::Host;

use super::plugin::Full;
use super::{failure, host};

#[test]
fn host_functions_reach_the_host() {
    let host = host()
        .context("seen", "x")
        .service("clock", |method, payload| {
            Ok([method.as_bytes(), payload].concat())
        });
    let full = host.create::<Full>(b"Hello").unwrap();

    assert_eq!(full.call("relay", b"").unwrap(), b"nowutc");
    assert_eq!(host.context_value("seen").unwrap(), b"xx");
    assert_eq!(host.events(), [("relayed".to_owned(), b"x".to_vec())]);
}

#[test]
fn denied_request_names_operation_object_and_remedy() {
    let host = host().deny("seen");
    let full = host.create::<Full>(b"Hello").unwrap();

    let denied = "context_get \"seen\": not granted; the operator's policy has to allow it";
    assert_eq!(full.call("relay", b""), Err(failure(Status::ERROR, denied)));
}

#[test]
fn service_failures_are_told_apart() {
    let absent = host();
    let failing = host().service("clock", |_, _| Err(failure(Status::ERROR, "stopped")));
    let late = host().service("clock", |_, _| Err(failure(Status::DEADLINE, "")));

    let relay = |host: &Host| {
        host.create::<Full>(b"Hello")
            .unwrap()
            .call("relay", b"")
            .unwrap_err()
    };

    assert_eq!(
        relay(&absent),
        failure(Status::ERROR, "call_service \"clock.now\": not found")
    );
    assert_eq!(
        relay(&failing),
        failure(Status::ERROR, "call_service \"clock.now\": stopped")
    );
    assert_eq!(
        relay(&late),
        failure(
            Status::DEADLINE,
            "call_service \"clock.now\": the call's deadline has passed"
        )
    );
}
