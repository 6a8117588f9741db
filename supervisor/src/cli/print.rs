//! Standard output and standard error: nothing here panics, whatever is at the other end.

use std::io::{self, ErrorKind, Write};

use cordon_supervisor::{PluginStatus, Supervisor};
use serde::Serialize;

use super::Failure;
use super::exit::Code;

/// Who reads standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reader {
    /// Somebody, as far as one can tell.
    There,
    /// Nobody any more: it wanted no more, which is no error.
    Gone,
}

/// Writes to standard output, all of it now.
///
/// # Errors
/// It can't be written to, such as for want of space.
pub(super) fn text(text: impl AsRef<[u8]>) -> Result<Reader, Failure> {
    write(&mut io::stdout().lock(), text.as_ref())
}

/// Writes a value to standard output as JSON, in a line of its own.
///
/// # Errors
/// As for [`text`].
pub(super) fn json(value: &impl Serialize) -> Result<Reader, Failure> {
    let mut line = serde_json::to_vec(value)
        .map_err(|error| Failure::new(Code::Error, format!("no JSON of it: {error}")))?;
    line.push(b'\n');
    text(line)
}

/// Tells of what went wrong, on standard error. If that fails too there is nobody to tell.
pub(super) fn error(error: &impl std::fmt::Display) {
    writeln!(io::stderr(), "cordon: {error}").ok();
}

/// Tells of what a plugin's worker does without, on standard error.
pub(super) fn conceded(plugin: &PluginStatus) {
    for finding in &plugin.conceded {
        error(&format_args!(
            "warning: plugin {}: {}, and policy allows that",
            plugin.id,
            finding.sentence()
        ));
    }
}

/// Tells of what a plugin did that it may not, on standard error, unless policy has its
/// violations not logged.
pub(super) fn violations(supervisor: &Supervisor, plugin: &PluginStatus) {
    if !supervisor
        .policy()
        .rules(&plugin.id)
        .violations
        .log_violations
    {
        return;
    }
    for violation in &plugin.violations {
        error(&format_args!("violation: {violation}"));
    }
}

fn write(out: &mut impl Write, text: &[u8]) -> Result<Reader, Failure> {
    match out.write_all(text).and_then(|()| out.flush()) {
        Ok(()) => Ok(Reader::There),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(Reader::Gone),
        Err(error) => Err(Failure::new(
            Code::Error,
            format!("cannot write to standard output: {error}"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closed_pipe_is_no_error() {
        let (reader, mut writer) = io::pipe().unwrap();
        assert_eq!(write(&mut writer, b"read").unwrap(), Reader::There);
        drop(reader);
        assert_eq!(write(&mut writer, b"unread").unwrap(), Reader::Gone);
    }

    #[test]
    fn full_disk_is_an_error() {
        let mut full = std::fs::File::create("/dev/full").unwrap();
        let failure = write(&mut full, b"text").unwrap_err();
        assert_eq!(failure.code, Code::Error);
        assert!(
            failure
                .sentence
                .starts_with("cannot write to standard output: "),
            "{}",
            failure.sentence
        );
    }
}
