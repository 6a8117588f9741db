//! Reading the history back, from the oldest line to the latest.

use std::fs::File;
use std::io::{self, BufRead, BufReader};

use rustix::fs::OFlags;
use serde::Deserialize;

use super::{MAX_LINE, file_name};
use crate::manifest::PluginId;
use crate::state::StateDir;
use crate::units::Timestamp;
use crate::violations::Severity;

/// More files than any policy keeps.
const MAX_FILES: u32 = 1000;

/// Which records to read.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Of this plugin alone.
    pub plugin: Option<PluginId>,
    /// From this moment on.
    pub since: Option<Timestamp>,
}

/// A record that was read: what tables show of it, and the whole line.
#[derive(Debug, Clone)]
pub struct Record {
    /// When it was seen.
    pub time: Timestamp,
    /// Whose violation it was.
    pub plugin: PluginId,
    /// What it was: a limit's name, or the kind.
    pub kind: String,
    /// How grave it was.
    pub severity: Severity,
    /// How many more like it came.
    pub repeated: u64,
    /// All of it as a sentence, with figures and evidence. May quote the plugin.
    pub message: String,
    /// Records that couldn't be written before it.
    pub lost: u64,
    /// The line, without its end: a JSON object.
    pub line: String,
}

/// The history can't be read.
#[derive(Debug, thiserror::Error)]
#[error("can't read {path}: {source}")]
pub struct ReadError {
    /// Which file.
    pub path: String,
    /// Why not.
    pub source: io::Error,
}

/// The records of a history that pass a filter.
#[derive(Debug)]
pub struct Records {
    /// The oldest last.
    files: Vec<(String, BufReader<File>)>,
    filter: Filter,
    unreadable: u64,
}

/// As much of a line as is looked at.
#[derive(Deserialize)]
struct Line {
    when_ms: i64,
    plugin: PluginId,
    kind: String,
    #[serde(default)]
    resource: Option<String>,
    severity: Severity,
    #[serde(default)]
    repeated: u64,
    #[serde(default)]
    message: String,
    #[serde(default)]
    lost: u64,
}

impl Records {
    /// Those of the history in that folder, as it is at this moment.
    ///
    /// # Errors
    /// [`ReadError`].
    pub fn open(folder: &StateDir, filter: Filter) -> Result<Records, ReadError> {
        let failed = |name: &str, source| ReadError {
            path: folder.path().join(name).display().to_string(),
            source,
        };
        // No file may get another number between two of them.
        let _alone = folder.lock().map_err(|error| failed("", error))?;
        let mut files = Vec::new();
        for n in 0..MAX_FILES {
            let name = file_name(n);
            match folder.at(&name, OFlags::RDONLY | OFlags::NONBLOCK) {
                Ok(file) => files.push((name, BufReader::new(File::from(file)))),
                // A rotation that was killed leaves one out.
                Err(rustix::io::Errno::NOENT) => {}
                Err(error) => return Err(failed(&name, error.into())),
            }
        }
        Ok(Records {
            files,
            filter,
            unreadable: 0,
        })
    }

    /// Lines so far that are no records. What a killed writer left at the end isn't counted.
    #[must_use]
    pub fn unreadable(&self) -> u64 {
        self.unreadable
    }

    /// The next line of the oldest file, whole.
    fn line(&mut self) -> Option<Result<Vec<u8>, ReadError>> {
        loop {
            let (name, file) = self.files.last_mut()?;
            match next(file) {
                Ok(Some(line)) => return Some(Ok(line)),
                Ok(None) => drop(self.files.pop()),
                Err(source) => {
                    let path = name.clone();
                    self.files.clear();
                    return Some(Err(ReadError { path, source }));
                }
            }
        }
    }

    fn record(&mut self, line: Vec<u8>) -> Option<Record> {
        let text = String::from_utf8(line).ok();
        let parsed = text
            .as_ref()
            .and_then(|text| serde_json::from_str::<Line>(text).ok());
        let (Some(text), Some(line)) = (text, parsed) else {
            self.unreadable += 1;
            return None;
        };
        let Filter { plugin, since } = &self.filter;
        let time = Timestamp::from_millis(line.when_ms);
        let other = plugin.as_ref().is_some_and(|plugin| *plugin != line.plugin);
        let earlier = since.is_some_and(|since| time < since);
        if other || earlier {
            return None;
        }
        Some(Record {
            time,
            plugin: line.plugin,
            kind: line.resource.unwrap_or(line.kind),
            severity: line.severity,
            repeated: line.repeated,
            message: line.message,
            lost: line.lost,
            line: text,
        })
    }
}

/// The next whole line, without its end; an empty one for one that is longer than any record.
/// What a writer didn't write to its end is none.
fn next(file: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let mut start = io::Read::take(&mut *file, MAX_LINE as u64);
    start.read_until(b'\n', &mut line)?;
    if line.pop_if(|byte| *byte == b'\n').is_some() {
        return Ok(Some(line));
    }
    if line.len() < MAX_LINE {
        return Ok(None);
    }
    let ended = file.skip_until(b'\n')?;
    Ok((ended > 0).then(Vec::new))
}

impl Iterator for Records {
    type Item = Result<Record, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.line()? {
                Ok(line) => {
                    if let Some(record) = self.record(line) {
                        return Some(Ok(record));
                    }
                }
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;
    use crate::history::{HistoryRules, Journal};
    use crate::units::ByteSize;
    use crate::violations::{Kind, Violation};

    fn line(plugin: &str, second: u64) -> Vec<u8> {
        let when = UNIX_EPOCH + Duration::from_secs(second);
        let violation = Violation::new(plugin.parse().unwrap(), Kind::Protocol, when);
        crate::history::line(&violation.seen(&format!("number {second}")), 0)
    }

    fn state() -> (tempfile::TempDir, StateDir) {
        let above = tempfile::tempdir().unwrap();
        let state = StateDir::open(&above.path().join("state")).unwrap();
        (above, state)
    }

    fn seconds(state: &StateDir, filter: Filter) -> Vec<i64> {
        let records = Records::open(state, filter).unwrap();
        records
            .map(|record| record.unwrap().time.as_millis() / 1000)
            .collect()
    }

    #[test]
    fn all_files_are_read_from_the_oldest_line_to_the_latest() {
        let (above, state) = state();
        assert_eq!(seconds(&state, Filter::default()), [0; 0]);
        let rules = HistoryRules {
            size: ByteSize::bytes(1000),
            files: 10,
        };
        let other = StateDir::open(&above.path().join("state")).unwrap();
        let journal = Journal::open(other, rules).unwrap();
        for second in 0..20 {
            let plugin = if second % 2 == 0 { "even" } else { "odd" };
            journal.append(&[line(plugin, second)]).unwrap();
        }
        assert!(above.path().join("state/violations.jsonl.3").exists());
        assert_eq!(
            seconds(&state, Filter::default()),
            (0..20).collect::<Vec<_>>()
        );
        let of_one = Filter {
            plugin: Some("odd".parse().unwrap()),
            since: Some(Timestamp::from_millis(11_000)),
        };
        assert_eq!(seconds(&state, of_one), [11, 13, 15, 17, 19]);
        std::fs::remove_file(above.path().join("state/violations.jsonl.2")).unwrap();
        assert_eq!(seconds(&state, Filter::default())[0], 0);
    }

    #[test]
    fn a_torn_tail_is_passed_over_and_other_lines_that_are_no_records_are_counted() {
        let (above, state) = state();
        let file = above.path().join("state/violations.jsonl");
        let (one, two) = (line("greet", 1), line("greet", 2));
        for length in 0..two.len() {
            fs::write(&file, [&one, &two[..length]].concat()).unwrap();
            let mut records = Records::open(&state, Filter::default()).unwrap();
            assert_eq!(records.by_ref().count(), 1, "{length}");
            assert_eq!(records.unreadable(), 0);
        }
        let long = vec![b'x'; 3 * MAX_LINE];
        let wrong: [&[u8]; 6] = [b"", b"{}", b"\xff", b"[1]", b"null", &long];
        let mut bytes = one.clone();
        for wrong in wrong {
            bytes.extend_from_slice(wrong);
            bytes.push(b'\n');
        }
        bytes.extend_from_slice(&two);
        fs::write(&file, bytes).unwrap();
        let mut records = Records::open(&state, Filter::default()).unwrap();
        assert_eq!(records.by_ref().count(), 2);
        assert_eq!(records.unreadable(), wrong.len() as u64);
    }
}
