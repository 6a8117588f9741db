//! What a plugin prints and logs: hostile bytes, cut into lines, escaped, and kept
//! within a budget.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The longest line kept, in bytes; longer ones are split.
const MAX_LINE: usize = 4096;
/// Lines kept per plugin.
const KEPT: usize = 256;
/// The span of a budget.
const WINDOW: Duration = Duration::from_secs(60);

/// Makes hostile bytes safe for a terminal and for one line: control characters,
/// including those that turn writing around, become visible escapes.
#[must_use]
pub fn escape(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for character in String::from_utf8_lossy(bytes).chars() {
        let reorders = matches!(character, '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
        if character.is_control() || reorders {
            text.extend(character.escape_default());
        } else {
            text.push(character);
        }
    }
    text
}

/// Where a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// The host's log function.
    Log,
}

/// One line of a plugin, escaped.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Line {
    /// Where it came from.
    pub source: Source,
    /// The text.
    pub text: String,
}

/// Cuts a stream into lines.
#[derive(Debug, Default)]
pub struct Splitter {
    partial: Vec<u8>,
}

impl Splitter {
    /// Takes bytes and gives the lines that they complete, escaped.
    pub fn push(&mut self, bytes: &[u8], mut line: impl FnMut(String)) {
        for byte in bytes {
            if *byte == b'\n' || self.partial.len() >= MAX_LINE {
                line(escape(&self.partial));
                self.partial.clear();
            }
            if *byte != b'\n' {
                self.partial.push(*byte);
            }
        }
    }

    /// The last line, if it had no end.
    pub fn finish(&mut self) -> Option<String> {
        let rest = std::mem::take(&mut self.partial);
        (!rest.is_empty()).then(|| escape(&rest))
    }
}

/// The last lines of a plugin.
#[derive(Debug, Default)]
pub struct Tail {
    lines: VecDeque<Line>,
}

impl Tail {
    /// Keeps a line, and drops the oldest beyond 256.
    pub fn push(&mut self, line: Line) {
        if self.lines.len() == KEPT {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }

    /// Oldest first.
    #[must_use]
    pub fn lines(&self) -> Vec<Line> {
        self.lines.iter().cloned().collect()
    }
}

/// Counts against a limit per minute.
#[derive(Debug)]
pub struct Budget {
    declared: u64,
    hard: u64,
    since: Instant,
    used: u64,
    told: bool,
}

/// What a charge means.
#[derive(Debug, PartialEq, Eq)]
pub struct Charge {
    /// Whether it is still below the hard limit.
    pub allowed: bool,
    /// The amount used, the first time in a minute that it passes the declared limit.
    pub overstep: Option<u64>,
}

impl Budget {
    /// A budget of `declared` to `hard` per minute.
    #[must_use]
    pub fn new(declared: u64, hard: u64, now: Instant) -> Budget {
        Budget {
            declared,
            hard,
            since: now,
            used: 0,
            told: false,
        }
    }

    /// Takes `amount` from it.
    pub fn charge(&mut self, amount: u64, now: Instant) -> Charge {
        if now.duration_since(self.since) >= WINDOW {
            *self = Budget::new(self.declared, self.hard, now);
        }
        self.used = self.used.saturating_add(amount);
        let over = self.used > self.declared && !self.told;
        self.told |= over;
        Charge {
            allowed: self.used <= self.hard,
            overstep: over.then_some(self.used),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminal_escapes_and_reordering_become_visible() {
        let text = escape(b"\x1b[31mred\x07 \xe2\x80\xae \xff\x9b\r\n");
        assert!(text.chars().all(|c| !c.is_control()), "{text}");
        assert!(text.contains("\\u{1b}[31mred"), "{text}");
        assert!(text.contains("\\u{202e}"), "{text}");
    }

    #[test]
    fn long_lines_are_split_and_the_last_one_is_kept() {
        let mut splitter = Splitter::default();
        let mut lines = Vec::new();
        splitter.push(&[b'x'; MAX_LINE + 10], |line| lines.push(line));
        splitter.push(b"y\nlast", |line| lines.push(line));
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[1], format!("{}y", "x".repeat(10)));
        assert_eq!(splitter.finish().unwrap(), "last");
        assert_eq!(splitter.finish(), None);
    }

    #[test]
    fn budget_tells_once_a_minute_and_stops_at_hard() {
        let start = Instant::now();
        let mut budget = Budget::new(10, 12, start);
        assert_eq!(
            budget.charge(10, start),
            Charge {
                allowed: true,
                overstep: None
            }
        );
        assert_eq!(
            budget.charge(1, start),
            Charge {
                allowed: true,
                overstep: Some(11)
            }
        );
        assert_eq!(
            budget.charge(2, start),
            Charge {
                allowed: false,
                overstep: None
            }
        );
        let later = start + WINDOW;
        assert_eq!(
            budget.charge(11, later),
            Charge {
                allowed: true,
                overstep: Some(11)
            }
        );
    }
}
