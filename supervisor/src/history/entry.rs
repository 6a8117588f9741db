//! One violation as a line.

use std::io;

use serde::Serialize;
use serde_json::ser::Formatter;

use super::MAX_LINE;
use crate::document::printable;
use crate::manifest::PluginId;
use crate::units::Timestamp;
use crate::violations::{Class, Severity, Violation};

const SCHEMA: u32 = 1;

/// A line of the history.
#[derive(Serialize)]
pub(crate) struct Entry<'a> {
    schema: u32,
    time: Timestamp,
    #[serde(flatten)]
    violation: &'a Violation,
    message: String,
    #[serde(skip_serializing_if = "is_zero")]
    lost: u64,
}

/// What is left of a line that would be too long.
#[derive(Serialize)]
struct Cut<'a> {
    schema: u32,
    time: Timestamp,
    plugin: &'a PluginId,
    kind: Class,
    severity: Severity,
    when_ms: i64,
    repeated: u64,
    message: String,
    lost: u64,
    cut: bool,
}

impl<'a> Entry<'a> {
    /// A violation, after so many that were lost.
    pub(crate) fn new(violation: &'a Violation, lost: u64) -> Self {
        Self {
            schema: SCHEMA,
            time: violation.when.into(),
            violation,
            message: violation.to_string(),
            lost,
        }
    }

    /// As one JSON object in ASCII, with a newline at its end and none before.
    pub(crate) fn line(&self) -> Vec<u8> {
        let whole = ascii(self);
        if !whole.is_empty() && whole.len() <= MAX_LINE {
            return whole;
        }
        let violation = self.violation;
        ascii(&Cut {
            schema: self.schema,
            time: self.time,
            plugin: &violation.plugin,
            kind: violation.kind.class(),
            severity: violation.severity,
            when_ms: self.time.as_millis(),
            repeated: violation.repeated,
            message: printable(&self.message),
            lost: self.lost,
            cut: true,
        })
    }
}

fn ascii(value: &impl Serialize) -> Vec<u8> {
    let mut line = Vec::new();
    let mut serializer = serde_json::Serializer::with_formatter(&mut line, Ascii);
    if value.serialize(&mut serializer).is_err() {
        // Only a map whose keys are no texts, which none of ours is.
        return Vec::new();
    }
    line.push(b'\n');
    line
}

/// Compact JSON with every character beyond ASCII escaped: nothing in it ends a line for
/// anybody, not even what Unicode calls a line separator, and nothing moves a terminal's cursor.
struct Ascii;

impl Formatter for Ascii {
    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = rest.find(|c: char| !matches!(c, ' '..='~')) {
            let (plain, special) = rest.split_at(at);
            writer.write_all(plain.as_bytes())?;
            let mut characters = special.chars();
            if let Some(character) = characters.next() {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    write!(writer, "\\u{unit:04x}")?;
                }
            }
            rest = characters.as_str();
        }
        writer.write_all(rest.as_bytes())
    }
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use nix::errno::Errno;
    use proptest::prelude::*;
    use sandbox::seccomp::Phase;
    use serde_json::Value;

    use super::*;
    use crate::violations::{Answer, Denial, Frame, Kind};

    fn violation(text: &str) -> Violation {
        let kind = Kind::DeniedConnect {
            address: text.to_owned(),
        };
        let when = UNIX_EPOCH + Duration::from_millis(1_795_230_671_123);
        let mut violation = Violation::new("greet".parse().unwrap(), kind, when);
        text.clone_into(&mut violation.evidence);
        violation.allowed_by(text)
    }

    #[test]
    fn a_line_of_schema_1() {
        let mut violation = violation("x").during([7]);
        violation.repeated = 2;
        let line = String::from_utf8(Entry::new(&violation, 3).line()).unwrap();
        assert_eq!(
            line,
            r#"{"schema":1,"time":"2026-11-21T03:11:11.123Z","plugin":"greet","kind":"denied-connect","address":"x","severity":"medium","when_ms":1795230671123,"calls":[7],"repeated":2,"evidence":"x","allowed_by":"x","message":"greet: medium: denied connection to x: x, and 2 more (would be allowed by x)","lost":3}"#
                .to_owned()
                + "\n"
        );
    }

    #[test]
    fn a_line_too_long_is_cut_to_what_is_known_to_be_short() {
        for length in [MAX_LINE / 4, MAX_LINE, 1 << 20] {
            let line = Entry::new(&violation(&"\u{2028}".repeat(length)), 0).line();
            assert!(line.len() <= MAX_LINE, "{}", line.len());
            let value: Value = serde_json::from_slice(&line).unwrap();
            assert_eq!(value["plugin"], "greet");
            assert_eq!(value["severity"], "medium");
            assert_eq!(value["cut"], true);
        }
    }

    #[test]
    fn a_denial_with_the_longest_evidence_is_a_line() {
        let denial = Denial {
            args: vec![printable(&"\u{1b}".repeat(100_000)); 6],
            thread: 7,
            phase: Phase::Serving,
            answer: Answer::Refused {
                errno: Errno::EPERM,
            },
            frame: Frame::unknown("x"),
            ip: 1,
        };
        let kind = Kind::DeniedSyscall {
            syscall: "openat".into(),
            dangerous: false,
        };
        let violation = Violation::new("greet".parse().unwrap(), kind, UNIX_EPOCH).denial(denial);
        let value: Value = serde_json::from_slice(&Entry::new(&violation, 0).line()).unwrap();
        assert_eq!(value["denial"]["thread"], 7);
    }

    proptest! {
        #[test]
        fn hostile_text_makes_no_line_and_is_read_back_as_it_was(
            text in "(?s)\\PC{0,20}|.{0,200}|[\\n\\r\\u{85}\\u{2028}\\u{2029}\\u{1b}\"\\\\{}]{0,50}",
        ) {
            let line = Entry::new(&violation(&text), 0).line();
            let (end, rest) = line.split_last().unwrap();
            prop_assert_eq!(*end, b'\n');
            prop_assert!(rest.iter().all(|byte| (b' '..=b'~').contains(byte)));
            let value: Value = serde_json::from_slice(rest).unwrap();
            prop_assert_eq!(value["address"].as_str(), Some(&*text));
        }
    }
}
