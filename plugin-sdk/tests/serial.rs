//! A plugin that declares everything, through its table.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use plugin_sdk::abi::Status;
use plugin_sdk::manifest::File;
use plugin_sdk::testing::{Failure, Host, Snapshot};
use plugin_sdk::{Context, Error, Level, Plugin, Verdict, info, make_plugin, warn};

struct Full {
    greeting: String,
    calls: u32,
}

impl Full {
    fn new(_: &Context<'_>, config: &[u8]) -> Result<Self, Error> {
        assert!(config != b"panic", "panic in init");
        let greeting = str::from_utf8(config)?;
        if greeting.is_empty() {
            return Err(Error::new("no greeting"));
        }
        Ok(Self {
            greeting: greeting.into(),
            calls: 0,
        })
    }

    fn greet(&mut self, context: &Context<'_>, payload: &[u8]) -> Result<String, Error> {
        self.calls += 1;
        let name = String::from_utf8_lossy(payload);
        info!(context, "greeting {name}");
        Ok(format!(
            "{}, {name}, {} of {}",
            self.greeting,
            context.user(),
            context.tenant()
        ))
    }

    fn panics(&mut self, _: &Context<'_>, payload: &[u8]) -> Result<&'static str, Error> {
        self.calls += 1;
        panic!("on {}", String::from_utf8_lossy(payload));
    }

    fn relay(&mut self, context: &Context<'_>, _: &[u8]) -> Result<Vec<u8>, Error> {
        let seen = context.context_get("seen")?.unwrap_or_default();
        context.context_set("seen", [seen.as_slice(), b"x"].concat())?;
        context.emit("relayed", seen)?;
        Ok(context.call_service("clock", "now", "utc")?)
    }

    fn time_left(&mut self, context: &Context<'_>, _: &[u8]) -> Result<String, Error> {
        if context.cancelled() {
            return Err(Error::cancelled());
        }
        Ok(format!(
            "{:?}",
            context
                .deadline()
                .map(|left| left <= Duration::from_secs(60) && !left.is_zero())
        ))
    }

    fn large(&mut self, _: &Context<'_>, _: &[u8]) -> Result<Vec<u8>, Error> {
        Ok(vec![0; (16 << 20) + 1])
    }

    fn decide(&mut self, _: &Context<'_>, payload: &[u8]) -> Result<Verdict, Error> {
        match payload {
            b"take" => Ok(Verdict::Intercept(b"taken".into())),
            b"refuse" => Ok(Verdict::Reject("refused".into())),
            b"fail" => Err(Error::new("undecided")),
            _ => Ok(Verdict::Continue),
        }
    }

    fn save(&self, _: &Context<'_>) -> Result<[u8; 4], Error> {
        Ok(self.calls.to_le_bytes())
    }

    fn restore(&mut self, _: &Context<'_>, schema: u32, state: &[u8]) -> Result<(), Error> {
        if schema != 7 {
            return Err(Error::unsupported(format!("schema {schema}")));
        }
        self.calls = u32::from_le_bytes(state.try_into()?);
        Ok(())
    }

    fn health(&self, _: &Context<'_>) -> Result<String, Error> {
        Ok(format!("{} calls", self.calls))
    }

    fn shutdown(&mut self, context: &Context<'_>) -> Result<(), Error> {
        warn!(context, "ending");
        Err(Error::new("not saved"))
    }
}

make_plugin! {
    plugin: Full,
    id: "full",
    version: "2.1.0-rc.1",
    author: "O'Hara \"the\\first\" é\t\u{7f}",
    description: "Everything",
    concurrency: pool(4),
    init: Full::new,
    shutdown: Full::shutdown,
    methods: {
        "greet" => Full::greet,
        "panics" => Full::panics,
        "relay" => Full::relay,
        "time.left" => Full::time_left,
        "large" => Full::large,
    },
    hooks: { "request" at 200 => Full::decide, "response" at 0 => Full::decide },
    snapshot: { schema: 7, save: Full::save, restore: Full::restore },
    health: Full::health,
    requires: {
        files: &[File::read("/etc/hosts"), File::write("/var/lib/x")],
        tmp: "16MiB",
        net: "isolated",
        env: &["LANG"],
        processes: false,
    },
    limits: { heap: "50MB", cpu: "1000ms", threads: 4, fds: 32, disk: "0", messages: 10000 },
    dependencies: { "clock" => ">=1, <3" },
    metadata: { "home page" => "https://example.org" },
}

fn host() -> Host {
    Host::new().tenant("acme").user("ada")
}

fn failure(status: Status, text: &str) -> Failure {
    Failure {
        status,
        text: text.into(),
    }
}

#[test]
fn manifest_is_the_toml_of_what_is_declared() {
    let expected: toml::Table = r#"
        id = "full"
        version = "2.1.0-rc.1"
        abi = "1.0"
        author = "O'Hara \"the\\first\" é\t\u007f"
        description = "Everything"
        concurrency = { pool = 4 }
        methods = ["greet", "panics", "relay", "time.left", "large"]
        [[hooks]]
        name = "request"
        priority = 200
        [[hooks]]
        name = "response"
        priority = 0
        [requires]
        files = [{ path = "/etc/hosts", access = "read" }, { path = "/var/lib/x", access = "write" }]
        tmp = "16MiB"
        net = "isolated"
        env = ["LANG"]
        processes = false
        [limits]
        heap = "50MB"
        cpu = "1000ms"
        threads = 4
        fds = 32
        disk = "0"
        messages = 10000
        [dependencies]
        clock = ">=1, <3"
        [metadata]
        "home page" = "https://example.org"
    "#
    .parse()
    .unwrap();

    assert_eq!(Full::MANIFEST.parse::<toml::Table>().unwrap(), expected);
}

#[test]
fn init_refuses_with_its_text() {
    assert_eq!(
        host().create::<Full>(b"").err(),
        Some(failure(Status::ERROR, "no greeting"))
    );
}

#[test]
fn panic_in_init_is_caught() {
    assert_eq!(
        host().create::<Full>(b"panic").err(),
        Some(failure(Status::PANIC, "panic in init"))
    );
}

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

#[test]
fn state_moves_to_another_instance() {
    let host = host();
    let (old, new) = (
        host.create::<Full>(b"Hello").unwrap(),
        host.create::<Full>(b"Hello").unwrap(),
    );
    old.call("greet", b"Bob").unwrap();

    let snapshot = old.snapshot().unwrap();
    new.restore(&snapshot).unwrap();

    assert_eq!(
        snapshot,
        Snapshot {
            schema: 7,
            state: vec![1, 0, 0, 0]
        }
    );
    assert_eq!(new.health().unwrap(), "1 calls");
}

#[test]
fn unknown_schema_is_unsupported_and_logged() {
    let host = host();
    let full = host.create::<Full>(b"Hello").unwrap();

    let refused = full
        .restore(&Snapshot {
            schema: 8,
            state: Vec::new(),
        })
        .unwrap_err();

    assert_eq!(refused.status, Status::UNSUPPORTED);
    assert_eq!(
        host.logs(),
        [(Level::Error, "restore: schema 8".to_owned())]
    );
}

#[test]
fn failed_shutdown_is_logged() {
    let host = host();
    let full = host.create::<Full>(b"Hello").unwrap();

    assert_eq!(full.shutdown().unwrap_err().status, Status::ERROR);
    assert_eq!(
        host.logs(),
        [
            (Level::Warn, "ending".to_owned()),
            (Level::Error, "shutdown: not saved".to_owned())
        ]
    );
}
