//! Denied system calls as evidence: what was tried, by whom, from where, for which call.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A failed assumption fails the test.

use cordon_supervisor::manifest::PluginId;
use cordon_supervisor::violations::{Answer, Denial, Frame, Kind, Severity, Violation};
use cordon_supervisor::{Call, Supervisor};
use cordon_tests::host::{call, load, status, supervisor};
use cordon_tests::plugins::{EarlyVandal, example, fixture};
use nix::errno::Errno;
use sandbox::seccomp::Phase;

const EPERM: &str = "-1";
const COUNTING: &str = "[violations]\nauto_unmount = false";

async fn denier() -> (Supervisor, PluginId) {
    let supervisor = supervisor(COUNTING).await;
    let denier = load(&supervisor, &fixture("denier")).await;
    (supervisor, denier)
}

/// Does one deed; the one denial that comes of it.
async fn denied(method: &str, payload: &str) -> (Violation, Denial) {
    let (supervisor, denier) = denier().await;
    let reply = call(&supervisor, &denier, method, payload).await.unwrap();
    assert_eq!(reply, EPERM, "{method}");
    let kept = status(&supervisor, &denier).violations;
    assert_eq!(kept.len(), 1, "{kept:?}");
    let violation = Violation::clone(&kept[0]);
    let denial = *violation.denial.clone().expect("no evidence");
    (violation, denial)
}

fn function(denial: &Denial) -> (&str, &str) {
    match &denial.frame {
        Frame::Found {
            library,
            symbol: Some(symbol),
            ..
        } => (library, symbol),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn denied_open_names_path_flags_function_thread_and_call() {
    let (violation, denial) = denied("open", "/etc/shadow").await;

    let kind = Kind::DeniedSyscall {
        syscall: "openat".into(),
        dangerous: false,
    };
    assert_eq!(
        (violation.kind, violation.severity),
        (kind, Severity::Medium)
    );
    let flags = "O_RDWR|O_CREAT|O_CLOEXEC";
    assert_eq!(denial.args, ["AT_FDCWD", "\"/etc/shadow\"", flags, "0o640"]);
    assert_eq!(function(&denial), ("libdenier.so", "open_path"));
    assert_eq!(denial.phase, Phase::Serving);
    let errno = Errno::EPERM;
    assert_eq!(denial.answer, Answer::Refused { errno });
    assert_eq!(violation.calls.len(), 1);
    let rule = violation.allowed_by.as_deref();
    assert_eq!(rule, Some("grants.files, to be written"));
    let evidence = violation.evidence;
    assert!(
        evidence.starts_with("openat(AT_FDCWD, \"/etc/shadow\", "),
        "{evidence}"
    );
    assert!(
        evidence.contains("at libdenier.so!open_path+0x"),
        "{evidence}"
    );
}

#[tokio::test]
async fn place_is_found_however_the_call_is_made() {
    for (method, syscall, symbol) in [
        ("inline", "memfd_create", "call_inline"),
        ("call-back", "socket", "compare"),
        ("thread", "openat", "open_path"),
        ("connect", "connect", "connect_to"),
    ] {
        let (violation, denial) = denied(method, "name").await;

        assert_eq!(function(&denial), ("libdenier.so", symbol), "{method}");
        let kind = violation.kind.to_string();
        assert_eq!(kind, format!("denied system call {syscall}"));
    }
}

#[tokio::test]
async fn arguments_behind_pointers_are_read_and_escaped() {
    let (_, connect) = denied("connect", "").await;
    let (_, memfd) = denied("inline", "a\x1b[31m\nb").await;
    let (violation, long) = denied("open", &"x".repeat(4000)).await;

    assert!(
        connect.args[0].starts_with("1<pipe:["),
        "{:?}",
        connect.args
    );
    assert_eq!(connect.args[1..], ["{169.254.169.254:80}", "16"]);
    assert_eq!(memfd.args, [r#""a\x1b[31m\nb""#, "MFD_CLOEXEC"]);
    assert_eq!(long.args[1], format!("\"{}\"…", "x".repeat(512)));
    assert!(violation.evidence.len() < 600, "{}", violation.evidence);
}

#[tokio::test]
async fn path_that_is_rewritten_while_its_call_waits_gets_nothing_through() {
    let (supervisor, denier) = denier().await;

    let reply = call(&supervisor, &denier, "race", "/etc/shadow").await;

    assert_eq!(reply.unwrap(), EPERM);
    assert_eq!(status(&supervisor, &denier).by_kind["denied-syscall"], 300);
}

#[tokio::test]
async fn denial_is_laid_to_the_call_that_runs_not_to_those_that_wait() {
    let (supervisor, denier) = denier().await;
    let denier = &denier;
    let ask = |method: &'static str| {
        let call = Call {
            method,
            payload: b"/etc/shadow",
            ..Call::default()
        };
        supervisor.call(denier, call)
    };

    // In the order of their numbers: one that rests, one that is denied, two that wait.
    let (rested, opened, waited, last) =
        tokio::join!(ask("rest"), ask("open"), ask("rest"), ask("open"));

    for result in [rested, opened, waited, last] {
        result.unwrap();
    }
    let kept = status(&supervisor, denier).violations;
    let calls: Vec<u64> = kept.iter().flat_map(|kept| kept.calls.clone()).collect();
    assert_eq!(calls.len(), 2, "{kept:?}");
    assert_eq!(calls[1] - calls[0], 2, "{kept:?}");
}

#[tokio::test]
async fn dangerous_call_kills_with_its_evidence_kept() {
    let supervisor = supervisor(COUNTING).await;
    let vandal = load(&supervisor, &example("vandal")).await;

    let error = call(&supervisor, &vandal, "unshare", "").await.unwrap_err();

    assert!(error.to_string().contains("it tried unshare"), "{error}");
    let kept = status(&supervisor, &vandal).violations;
    let violation = kept.last().unwrap();
    assert_eq!(violation.severity, Severity::Critical);
    let denial = violation.denial.as_deref().expect("no evidence");
    assert_eq!(denial.answer, Answer::Killed);
    assert!(denial.args[0].contains("CLONE_NEW"), "{:?}", denial.args);
    assert_eq!(function(denial).0, "libvandal.so");
}

#[tokio::test]
async fn denial_of_a_constructor_is_one_of_loading() {
    let early = EarlyVandal::build("connect-host", "80");
    let supervisor = supervisor(COUNTING).await;
    let vandal = load(&supervisor, &early.path()).await;

    let kept = status(&supervisor, &vandal).violations;
    let denial = kept[0].denial.as_deref().expect("no evidence");
    assert_eq!(denial.phase, Phase::Loading);
    assert_eq!(function(denial).1, "connect_host");
}
