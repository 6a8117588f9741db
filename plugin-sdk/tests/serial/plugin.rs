//! The plugin.

use std::time::Duration;

use plugin_sdk::manifest::File;
use plugin_sdk::{Context, Error, Verdict, info, make_plugin, warn};

pub(crate) struct Full {
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
        files: &[File::read("/etc/hosts"), File::write("/var/lib/x"), File::overlay("/work")],
        tmp: "16MiB",
        net: "isolated",
        bind: &[80, 8080],
        connect: &[443],
        env: &["LANG"],
        processes: false,
        capabilities: &["NET_BIND_SERVICE", "NET_RAW"],
        locked_memory: "64KiB",
        nice: -5,
        realtime: 10,
    },
    limits: { heap: "50MB", cpu: "1000ms", threads: 4, fds: 32, disk: "0", messages: 10000 },
    dependencies: { "clock" => ">=1, <3" },
    metadata: { "home page" => "https://example.org" },
}
