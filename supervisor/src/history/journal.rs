//! The files: appended to, finished at a size, never more than a number of them.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;

use rustix::fs::OFlags;

use super::{HistoryRules, file_name, file_number};
use crate::state::StateDir;

/// Read at a time where a tail is looked for.
const CHUNK: usize = 64 * 1024;

/// The history as its writers have it. Several processes may write to the same.
#[derive(Debug)]
pub(crate) struct Journal {
    folder: StateDir,
    rules: HistoryRules,
}

impl Journal {
    /// The history in that folder. What a writer that was killed left of a line is cut off.
    ///
    /// # Errors
    /// It can't be written to.
    pub(crate) fn open(folder: StateDir, rules: HistoryRules) -> io::Result<Journal> {
        let journal = Journal { folder, rules };
        let _alone = journal.folder.lock()?;
        mend(&journal.current()?)?;
        Ok(journal)
    }

    /// Appends lines, and sees them to the disk. Whatever lies behind the last whole line
    /// is a dead writer's, and cut off first.
    ///
    /// # Errors
    /// Not all of them were written, but nothing in part; how many were, and why no more.
    pub(crate) fn append(&self, lines: &[Vec<u8>]) -> Result<(), (usize, io::Error)> {
        let mut written = 0;
        self.try_append(lines, &mut written)
            .map_err(|error| (written, error))
    }

    fn try_append(&self, lines: &[Vec<u8>], written: &mut usize) -> io::Result<()> {
        let _alone = self.folder.lock()?;
        let mut file = self.current()?;
        let mut length = mend(&file)?;
        while *written < lines.len() {
            if length > 0 && length + lines[*written].len() as u64 > self.rules.size.as_u64() {
                file = self.rotate()?;
                length = 0;
            }
            let (block, count) = self.block(length, &lines[*written..]);
            if let Err(error) = file.write_all(&block).and_then(|()| file.sync_data()) {
                // What the next writer would do; here it frees the space of a full disk.
                file.set_len(length).ok();
                return Err(error);
            }
            length += block.len() as u64;
            *written += count;
        }
        Ok(())
    }

    /// As many lines as the file still takes, the first in any case.
    fn block(&self, length: u64, lines: &[Vec<u8>]) -> (Vec<u8>, usize) {
        let room = self.rules.size.as_u64().saturating_sub(length);
        let (mut block, mut count) = (Vec::new(), 0);
        for line in lines {
            if count > 0 && (block.len() + line.len()) as u64 > room {
                break;
            }
            block.extend_from_slice(line);
            count += 1;
        }
        (block, count)
    }

    fn current(&self) -> io::Result<File> {
        let flags = OFlags::RDWR | OFlags::APPEND | OFlags::CREATE | OFlags::NONBLOCK;
        let file = File::from(self.folder.at(&file_name(0), flags)?);
        match file.metadata()?.is_file() {
            true => Ok(file),
            false => Err(io::Error::other("violations.jsonl is no file")),
        }
    }

    /// Gives each file the next number, and begins anew.
    fn rotate(&self) -> io::Result<File> {
        for step in rotation(&self.numbers()?, self.rules.files) {
            self.take(step)?;
        }
        let file = self.current()?;
        self.folder.sync()?;
        Ok(file)
    }

    fn take(&self, step: Step) -> io::Result<()> {
        match step {
            Step::Next(n) => self.folder.rename(&file_name(n), &file_name(n + 1)),
            Step::Remove(n) => {
                let removed = self.folder.remove(&file_name(n));
                removed.map(drop).map_err(|error| error.source)
            }
        }
    }

    /// The numbers of the files that are there.
    fn numbers(&self) -> io::Result<BTreeSet<u32>> {
        let names = self.folder.names(usize::MAX);
        let names = names.map_err(|error| error.source)?;
        Ok(names.iter().filter_map(|name| file_number(name)).collect())
    }
}

/// One step of a rotation.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// This file gets the next number.
    Next(u32),
    /// This one is beyond policy's number.
    Remove(u32),
}

/// The steps that free number 0 where these are there. A writer killed between two of them leaves
/// a number missing, and files in their order: the next rotation moves them only as far as there.
fn rotation(there: &BTreeSet<u32>, files: u32) -> Vec<Step> {
    let last = files - 1;
    let free = (1..last).find(|n| !there.contains(n)).unwrap_or(last);
    let beyond = there.range(files..).rev().copied().map(Step::Remove);
    let moved = there.range(..free).rev().copied().map(Step::Next);
    beyond.chain(moved).collect()
}

/// Cuts off what lies behind the last newline; the length that is left.
fn mend(file: &File) -> io::Result<u64> {
    let length = file.metadata()?.len();
    let mut end = length;
    let mut chunk = vec![0; CHUNK];
    // A whole tail is seen by its last byte.
    let mut size = 1;
    while end > 0 {
        let part = &mut chunk[..size.min(end as usize)];
        let start = end - part.len() as u64;
        file.read_exact_at(part, start)?;
        if let Some(at) = part.iter().rposition(|byte| *byte == b'\n') {
            end = start + at as u64 + 1;
            break;
        }
        (end, size) = (start, CHUNK);
    }
    if end < length {
        tracing::warn!(
            "history: {} bytes of a line that was not written to its end are cut off",
            length - end
        );
        file.set_len(end)?;
    }
    Ok(end)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;
    use std::path::PathBuf;

    use super::*;
    use crate::units::ByteSize;

    struct Scene {
        above: tempfile::TempDir,
        rules: HistoryRules,
    }

    impl Scene {
        fn new(size: u64, files: u32) -> Scene {
            let size = ByteSize::bytes(size);
            Scene {
                above: tempfile::tempdir().unwrap(),
                rules: HistoryRules { size, files },
            }
        }

        fn journal(&self) -> Journal {
            let state = StateDir::open(&self.above.path().join("state")).unwrap();
            Journal::open(state, self.rules).unwrap()
        }

        fn path(&self, n: u32) -> PathBuf {
            self.above.path().join("state").join(file_name(n))
        }

        fn text(&self, n: u32) -> String {
            fs::read_to_string(self.path(n)).unwrap_or_default()
        }
    }

    fn lines(texts: &[&str]) -> Vec<Vec<u8>> {
        texts
            .iter()
            .map(|text| format!("{text}\n").into_bytes())
            .collect()
    }

    #[test]
    fn a_writer_killed_at_any_byte_of_a_line_leaves_the_lines_before() {
        let scene = Scene::new(1 << 20, 2);
        let before = "{\"a\":1}\n";
        let torn = format!("{{\"b\":\"{}\"}}\n", "x".repeat(200));
        for length in 0..torn.len() {
            fs::remove_file(scene.path(0)).ok();
            drop(scene.journal());
            fs::write(scene.path(0), format!("{before}{}", &torn[..length])).unwrap();
            // At its next start, and by a writer that was there all the while.
            let journal = scene.journal();
            assert_eq!(scene.text(0), before, "start, {length}");
            fs::write(scene.path(0), format!("{before}{}", &torn[..length])).unwrap();
            journal.append(&lines(&["{\"c\":3}"])).unwrap();
            assert_eq!(
                scene.text(0),
                format!("{before}{{\"c\":3}}\n"),
                "append, {length}"
            );
        }
    }

    #[test]
    fn a_tail_longer_than_what_is_read_at_a_time_is_cut_and_one_without_any_line_too() {
        let scene = Scene::new(1 << 30, 2);
        drop(scene.journal());
        for before in ["", "{}\n", "{}\n{}\n"] {
            for length in [CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK] {
                fs::write(scene.path(0), format!("{before}{}", "x".repeat(length))).unwrap();
                drop(scene.journal());
                assert_eq!(scene.text(0), before, "{length}");
            }
        }
    }

    #[test]
    fn files_are_finished_at_their_size_and_the_oldest_is_removed() {
        let scene = Scene::new(20, 3);
        let journal = scene.journal();
        for n in 0..9 {
            journal.append(&lines(&[&format!("line {n:04}")])).unwrap();
        }
        assert_eq!(scene.text(0), "line 0008\n");
        assert_eq!(scene.text(1), "line 0006\nline 0007\n");
        assert_eq!(scene.text(2), "line 0004\nline 0005\n");
        assert!(!scene.path(3).exists());
    }

    #[test]
    fn many_lines_at_once_go_into_as_many_files_as_they_fill() {
        let scene = Scene::new(20, 4);
        let many: Vec<String> = (0..5).map(|n| format!("line {n:04}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        scene.journal().append(&lines(&many)).unwrap();
        assert_eq!(
            scene.text(2) + &scene.text(1) + &scene.text(0),
            many.join("\n") + "\n"
        );
        let longer = "x".repeat(100);
        scene.journal().append(&lines(&[&longer])).unwrap();
        assert_eq!(scene.text(0), longer + "\n");
    }

    #[test]
    fn fewer_files_by_policy_remove_the_others() {
        let mut scene = Scene::new(20, 5);
        let write = |scene: &Scene| {
            let journal = scene.journal();
            (0..12).for_each(|n| journal.append(&lines(&[&format!("line {n:04}")])).unwrap());
        };
        write(&scene);
        assert!(scene.path(4).exists());
        scene.rules.files = 2;
        write(&scene);
        assert!(scene.path(1).exists() && !scene.path(2).exists() && !scene.path(4).exists());
    }

    #[test]
    fn a_writer_killed_at_any_step_of_a_rotation_hides_nothing_and_keeps_the_bound() {
        for killed in 0..=5 {
            let mut scene = Scene::new(10, 6);
            let journal = scene.journal();
            for n in 0..6 {
                journal.append(&lines(&[&format!("line {n:04}")])).unwrap();
            }
            // What is beyond the bound goes first, then each moves on.
            scene.rules.files = 4;
            let journal = scene.journal();
            let steps = rotation(&journal.numbers().unwrap(), 4);
            assert_eq!(steps.len(), 5);
            for step in steps.into_iter().take(killed) {
                journal.take(step).unwrap();
            }
            let all = |scene: &Scene| (0..6).rev().map(|n| scene.text(n)).collect::<String>();
            let kept = "line 0003\nline 0004\nline 0005\n";
            assert!(all(&scene).ends_with(kept), "{killed}");

            journal.append(&lines(&["line 0006"])).unwrap();

            assert!(all(&scene).ends_with(&format!("{kept}line 0006\n")));
            assert!(journal.numbers().unwrap().len() <= 4, "{killed}");
        }
    }

    #[test]
    fn two_writers_tear_no_line_of_each_other_not_even_while_files_change() {
        let scene = Scene::new(2000, 90);
        std::thread::scope(|scope| {
            for writer in ["a", "b"] {
                let journal = scene.journal();
                scope.spawn(move || {
                    for n in 0..100 {
                        let text = format!("{writer} {n:04} {}", writer.repeat(n % 50));
                        journal.append(&lines(&[&text, &text])).unwrap();
                    }
                });
            }
        });
        let all: String = (0..90).rev().map(|n| scene.text(n)).collect();
        for writer in ["a", "b"] {
            let own = all.lines().filter(|line| line.starts_with(writer));
            let expected = (0..100)
                .flat_map(|n| [n, n])
                .map(|n| format!("{writer} {n:04} {}", writer.repeat(n % 50)));
            assert!(own.eq(expected), "{all}");
        }
        assert_eq!(all.lines().count(), 400);
    }
}
