//! What a plugin prints and logs: hostile bytes, cut into lines, escaped, and kept
//! within a budget.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::violations::Tier;

/// The longest line kept, in bytes; longer ones are split.
const MAX_LINE: usize = 4096;
/// Lines kept per plugin.
const KEPT: usize = 256;
/// How far beyond twice the hard limit a flood begins.
const FLOOD: u64 = 1000;
/// Bytes kept per plugin.
const KEPT_BYTES: usize = 256 * 1024;
/// The span of a budget.
const WINDOW: Duration = Duration::from_secs(60);

/// Makes hostile bytes safe for a terminal and for one line: control characters,
/// including those that turn writing around, become visible escapes.
#[must_use]
pub fn escape(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for character in String::from_utf8_lossy(bytes).chars() {
        let reorders = matches!(character, '\u{61c}' | '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
        if character.is_control() || reorders {
            text.extend(character.escape_default());
        } else {
            text.push(character);
        }
    }
    text
}

/// The beginning of hostile bytes as one line, escaped.
#[must_use]
pub fn escape_line(bytes: &[u8]) -> String {
    escape(&bytes[..bytes.len().min(MAX_LINE)])
}

/// Where a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
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
    bytes: usize,
}

impl Tail {
    /// Keeps a line, and drops the oldest beyond 256 lines or 256 KiB.
    pub fn push(&mut self, line: Line) {
        self.bytes += line.text.len();
        self.lines.push_back(line);
        while self.lines.len() > KEPT || self.bytes > KEPT_BYTES {
            let Some(oldest) = self.lines.pop_front() else {
                return;
            };
            self.bytes -= oldest.text.len();
        }
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
    told: Option<Tier>,
}

/// What a charge means.
#[derive(Debug, PartialEq, Eq)]
pub struct Charge {
    /// What was taken in this minute, this charge included.
    pub used: u64,
    /// Whether it is still below the hard limit.
    pub allowed: bool,
    /// The tier that it passes for the first time in this minute, and the amount used.
    pub overstep: Option<(Tier, u64)>,
    /// Whether it is so far beyond the hard limit that nobody errs that much.
    pub flood: bool,
    /// When the next minute begins.
    pub renewed: Instant,
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
            told: None,
        }
    }

    /// Takes `amount` from it.
    pub fn charge(&mut self, amount: u64, now: Instant) -> Charge {
        if now.duration_since(self.since) >= WINDOW {
            *self = Budget::new(self.declared, self.hard, now);
        }
        self.used = self.used.saturating_add(amount);
        let passed = match self.used {
            used if used > self.hard => Some(Tier::Hard),
            used if used > self.declared => Some(Tier::Declared),
            _ => None,
        };
        let news = passed.filter(|_| passed != self.told);
        self.told = passed;
        Charge {
            used: self.used,
            allowed: self.used <= self.hard,
            overstep: news.map(|tier| (tier, self.used)),
            flood: self.used > self.hard.saturating_mul(2).saturating_add(FLOOD),
            renewed: self.since + WINDOW,
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
    fn budget_tells_each_tier_once_a_minute_and_stops_at_hard() {
        let start = Instant::now();
        let mut budget = Budget::new(10, 12, start);
        let mut charge = |amount, now| {
            let charge = budget.charge(amount, now);
            (charge.allowed, charge.overstep)
        };
        assert_eq!(charge(10, start), (true, None));
        assert_eq!(charge(1, start), (true, Some((Tier::Declared, 11))));
        assert_eq!(charge(1, start), (true, None));
        assert_eq!(charge(1, start), (false, Some((Tier::Hard, 13))));
        assert_eq!(charge(1, start), (false, None));
        assert_eq!(charge(99, start + WINDOW), (false, Some((Tier::Hard, 99))));
    }

    #[test]
    fn flood_is_far_beyond_hard() {
        let now = Instant::now();
        let mut budget = Budget::new(10, 12, now);
        assert!(!budget.charge(24 + FLOOD, now).flood);
        assert!(budget.charge(1, now).flood);
    }

    #[test]
    fn tail_is_bounded_in_lines_and_bytes() {
        let mut tail = Tail::default();
        let line = |text: String| Line {
            source: Source::Log,
            text,
        };
        (0..1000).for_each(|n| tail.push(line(n.to_string())));
        assert_eq!(tail.lines().len(), KEPT);
        (0..100).for_each(|_| tail.push(line("x".repeat(KEPT_BYTES / 4))));
        assert_eq!(tail.lines().len(), 4);
    }
}
