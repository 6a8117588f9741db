//! The serve loop in memory: a scripted supervisor on one side, a scripted plugin on the other.

mod script;

use std::time::Duration;

use ipc_proto::message::ToWorker;
use ipc_proto::version::Hello;
use plugin_sdk::abi::Status;

use super::ServeError;
use script::{
    Script, call, due, frame, hello, host_reply, load, method, sent_by_serving, serve, serving,
};

#[test]
fn a_life_from_hello_to_shutdown() {
    let outcome = serve(
        serving()
            .then(&[call(3, "echo")])
            .then(&[frame(4, &ToWorker::Shutdown)]),
    );

    assert!(outcome.result.is_ok());
    assert_eq!(
        outcome.sent,
        [
            "1: Loaded { abi: 65536, optional_features: 5 }",
            "2: Created",
            "3: ok 0 0 \"data\"",
            "4: ok 0 0 \"\"",
        ]
    );
    assert_eq!(
        outcome.diary,
        [
            "load /plugin.so after [\"/lib/libz.so.1\"]",
            "call echo",
            "shutdown",
            "destroy"
        ]
    );
}

#[test]
fn a_peer_of_another_version_is_refused_before_anything_else() {
    let theirs = Hello {
        version: Hello::OURS.version + 1,
        ..Hello::OURS
    };

    let outcome = serve(Script::default().then(&[frame(0, &ToWorker::Hello(theirs))]));

    assert!(matches!(outcome.result, Err(ServeError::Handshake(_))));
    assert!(outcome.sent.is_empty());
}

#[test]
fn a_failed_load_says_why_and_spends_the_worker() {
    let outcome = serve(
        hello()
            .then(&[load("/alien.so")])
            .then(&[load("/plugin.so")]),
    );

    assert!(matches!(
        outcome.result,
        Err(ServeError::OutOfSequence {
            message: "a load",
            stage: "loading has failed"
        })
    ));
    assert_eq!(outcome.diary.len(), 1);
    assert_eq!(
        outcome.sent,
        ["1: LoadFailed { reason: AbiMismatch, plugin_abi: 131072, \
             detail: \"the plugin has ABI 2.0, this host 1.0: build it for the host's\" }"]
    );
}

#[test]
fn a_refused_configuration_may_be_followed_by_a_better_one() {
    let outcome = serve(hello().then(&[
        load("/plugin.so"),
        frame(2, &ToWorker::Create { config: b"bad" }),
        frame(3, &ToWorker::Create { config: b"good" }),
    ]));

    assert_eq!(
        outcome.sent[1..],
        ["2: error 0 0 \"bad configuration\"", "3: Created"]
    );
}

#[test]
fn a_call_without_an_instance_is_out_of_sequence() {
    let outcome = serve(hello().then(&[load("/plugin.so")]).then(&[call(2, "echo")]));

    assert!(matches!(
        outcome.result,
        Err(ServeError::OutOfSequence { .. })
    ));
}

#[test]
fn a_supervisor_that_closes_ends_the_loop() {
    assert!(matches!(serve(serving()).result, Err(ServeError::Closed)));
}

#[test]
fn every_kind_of_request_is_answered() {
    let hook = |name| ToWorker::Hook {
        name,
        payload: b"",
        tenant: "",
        user: "",
    };
    let restore = ToWorker::Restore {
        schema: 3,
        state: b"12",
    };

    let sent = sent_by_serving(
        serving()
            .then(&[call(3, "who"), call(4, "none")])
            .then(&[frame(5, &hook("guard")), frame(6, &hook("odd"))])
            .then(&[frame(7, &ToWorker::Snapshot), frame(8, &restore)])
            .then(&[frame(9, &ToWorker::Health)]),
    );

    assert_eq!(
        sent,
        [
            "3: ok 0 0 \"acme/ann/3\"",
            "4: no such method 0 0 \"\"",
            "5: ok 2 0 \"no\"",
            "6: invalid 0 0 \"no\"",
            "7: ok 0 3 \"state\"",
            "8: ok 0 0 \"\"",
            "9: unsupported 0 0 \"\"",
        ]
    );
}

#[test]
fn requests_of_one_read_are_answered_with_one_write() {
    let calls: Vec<_> = (3..67).map(|id| call(id, "echo")).collect();

    let outcome = serve(serving().then(&calls));

    assert_eq!(outcome.sent.len(), 66);
    // How many exactly depends on how busy the machine is.
    assert!(outcome.writes < 66);
}

#[test]
fn a_reply_never_waits_for_another_method() {
    let alone = serve(serving().then(&[call(3, "echo")]));

    let mixed = serve(serving().then(&[call(3, "echo"), call(4, "who"), call(5, "echo")]));

    assert_eq!(mixed.writes, alone.writes + 2);
}

#[test]
fn a_panic_poisons_the_instance_and_nothing_reaches_it_any_more() {
    let outcome = serve(serving().then(&[
        call(3, "panic"),
        call(4, "echo"),
        frame(5, &ToWorker::Shutdown),
    ]));

    assert!(outcome.result.is_ok());
    assert_eq!(
        outcome.sent[2..],
        [
            "3: panic 0 0 \"\"",
            "4: panic 0 0 \"\"",
            "5: panic 0 0 \"\""
        ]
    );
    assert_eq!(outcome.diary[1..], ["call panic"]);
}

#[test]
fn a_cancelled_request_that_waits_never_runs() {
    let outcome = serve(serving().then(&[
        call(3, "echo"),
        call(4, "echo"),
        frame(4, &ToWorker::Cancel),
        frame(99, &ToWorker::Cancel),
    ]));

    assert_eq!(
        outcome.sent[2..],
        [
            "4: cancelled 0 0 \"cancelled before it ran\"",
            "3: ok 0 0 \"data\""
        ]
    );
    assert_eq!(outcome.diary[1..], ["call echo"]);
}

#[test]
fn a_request_past_its_deadline_never_runs() {
    let late = due(3, &method("echo", b""), Some(Duration::from_micros(1)));

    let outcome = serve(serving().then(&[late]));

    assert_eq!(outcome.sent[2..], ["3: deadline passed 0 0 \"\""]);
    assert_eq!(outcome.diary.len(), 1);
}

#[test]
fn a_cancel_on_the_way_is_seen_by_a_call_that_polls() {
    let sent = sent_by_serving(
        serving()
            .then(&[call(3, "poll")])
            .then_nothing()
            .then(&[call(4, "echo")])
            .then(&[frame(3, &ToWorker::Cancel)]),
    );

    assert_eq!(
        sent,
        ["3: ok 0 0 \"false false true\"", "4: ok 0 0 \"data\""]
    );
}

#[test]
fn a_host_call_is_nested_and_requests_that_come_meanwhile_wait() {
    let sent = sent_by_serving(
        serving()
            .then(&[call(3, "get")])
            .then(&[call(4, "echo")])
            .then(&[host_reply(1, Status::OK, b"value")]),
    );

    assert_eq!(
        sent,
        [
            "3: HostCall { seq: 1, op: ContextGet { key: \"data\" } }",
            "3: ok 0 0 \"value\"",
            "4: ok 0 0 \"data\"",
        ]
    );
}

#[test]
fn a_host_call_gives_the_hosts_status() {
    let sent = sent_by_serving(serving().then(&[call(3, "get")]).then(&[host_reply(
        1,
        Status::DENIED,
        b"",
    )]));

    assert_eq!(sent[1], "3: denied 0 0 \"\"");
}

#[test]
fn a_cancel_ends_a_host_call_and_its_late_answer_means_nothing() {
    let sent = sent_by_serving(
        serving()
            .then(&[call(3, "get")])
            .then(&[frame(3, &ToWorker::Cancel)])
            .then(&[host_reply(1, Status::OK, b"late"), call(4, "get")])
            .then(&[host_reply(2, Status::OK, b"mine")]),
    );

    assert_eq!(sent[1], "3: cancelled 0 0 \"\"");
    assert_eq!(sent[3], "4: ok 0 0 \"mine\"");
}

#[test]
fn an_answer_to_a_host_call_never_made_ends_the_loop() {
    let outcome = serve(serving().then(&[host_reply(5, Status::OK, b"")]));

    assert!(matches!(
        outcome.result,
        Err(ServeError::UnknownHostCall { seq: 5 })
    ));
}

#[test]
fn a_host_call_over_the_limit_or_with_a_name_that_is_no_text_is_not_sent() {
    let get = frame(4, &method("get", b"\xff"));

    let sent = sent_by_serving(serving().then(&[call(3, "emit huge"), get]));

    assert_eq!(sent, ["3: too large 0 0 \"\"", "4: invalid 0 0 \"\""]);
}

#[test]
fn a_log_line_goes_out_before_the_reply_with_its_level_in_range() {
    let sent = sent_by_serving(serving().then(&[call(3, "log")]));

    assert_eq!(
        sent,
        [
            "3: Log { level: 5, text: \"a \u{fffd} line\" }",
            "3: ok 0 0 \"\""
        ]
    );
}

#[test]
fn a_connection_lost_in_a_host_call_ends_the_loop_after_the_call() {
    let outcome = serve(serving().then(&[call(3, "get")]));

    assert!(matches!(outcome.result, Err(ServeError::Closed)));
    assert_eq!(outcome.sent.len(), 3);
}
