//! Greets whoever is named, counts the greetings, and turns away strangers.
//!
//! The configuration is the greeting; without one it is "Hello".

#![forbid(unsafe_code)]

use plugin_sdk::{Context, Error, Verdict, info, make_plugin};

const LONGEST_NAME: usize = 256;

struct Greeter {
    greeting: String,
    count: u64,
}

impl Greeter {
    fn new(_: &Context<'_>, config: &[u8]) -> Result<Self, Error> {
        let greeting = if config.is_empty() {
            "Hello"
        } else {
            str::from_utf8(config)?
        };
        Ok(Self {
            greeting: greeting.into(),
            count: 0,
        })
    }

    fn greet(&mut self, context: &Context<'_>, payload: &[u8]) -> Result<String, Error> {
        let name = str::from_utf8(payload)?.trim();
        if name.is_empty() || name.len() > LONGEST_NAME {
            return Err(Error::invalid(format!(
                "a name has 1 to {LONGEST_NAME} bytes"
            )));
        }
        self.count += 1;
        info!(context, "greeting {name:?}");
        Ok(format!(
            "{}, {name}! You are number {}.",
            self.greeting, self.count
        ))
    }

    fn on_request(&mut self, _: &Context<'_>, payload: &[u8]) -> Result<Verdict, Error> {
        Ok(match payload {
            b"ping" => Verdict::Intercept(b"pong".into()),
            b"stranger" => Verdict::Reject("strangers are not greeted".into()),
            _ => Verdict::Continue,
        })
    }

    fn save(&self, _: &Context<'_>) -> Result<[u8; 8], Error> {
        Ok(self.count.to_le_bytes())
    }

    fn restore(&mut self, _: &Context<'_>, schema: u32, state: &[u8]) -> Result<(), Error> {
        if schema != 1 {
            return Err(Error::unsupported(format!(
                "snapshot schema {schema}, known is 1"
            )));
        }
        self.count = u64::from_le_bytes(state.try_into()?);
        Ok(())
    }
}

make_plugin! {
    plugin: Greeter,
    id: "greet",
    author: "The Cordon project",
    description: "Greets whoever is named",
    init: Greeter::new,
    methods: { "greet" => Greeter::greet },
    hooks: { "request" at 200 => Greeter::on_request },
    snapshot: { schema: 1, save: Greeter::save, restore: Greeter::restore },
    limits: { heap: "10MB", cpu: "100ms", threads: 1 },
}

#[cfg(test)]
mod tests {
    use plugin_sdk::testing::Host;

    use super::*;

    #[test]
    fn greets_by_name_and_counts() {
        let host = Host::new();
        let greeter = host.create::<Greeter>(b"Good morning").unwrap();

        assert_eq!(
            greeter.call("greet", b"Ada").unwrap(),
            b"Good morning, Ada! You are number 1."
        );
        assert_eq!(
            greeter.call("greet", b"Bob").unwrap(),
            b"Good morning, Bob! You are number 2."
        );
    }

    #[test]
    fn nameless_is_invalid() {
        let host = Host::new();
        let greeter = host.create::<Greeter>(b"").unwrap();

        assert_eq!(
            greeter.call("greet", b" ").unwrap_err().text,
            "a name has 1 to 256 bytes"
        );
    }

    #[test]
    fn count_survives_a_reload() {
        let host = Host::new();
        let old = host.create::<Greeter>(b"").unwrap();
        old.call("greet", b"Ada").unwrap();
        let new = host.create::<Greeter>(b"").unwrap();

        new.restore(&old.snapshot().unwrap()).unwrap();

        assert_eq!(
            new.call("greet", b"Bob").unwrap(),
            b"Hello, Bob! You are number 2."
        );
    }

    #[test]
    fn hook_answers_pings_and_turns_strangers_away() {
        let host = Host::new();
        let greeter = host.create::<Greeter>(b"").unwrap();

        assert_eq!(
            greeter.hook("request", b"ping").unwrap(),
            Verdict::Intercept(b"pong".into())
        );
        assert_eq!(
            greeter.hook("request", b"stranger").unwrap(),
            Verdict::Reject("strangers are not greeted".into())
        );
        assert_eq!(
            greeter.hook("request", b"friend").unwrap(),
            Verdict::Continue
        );
    }
}
