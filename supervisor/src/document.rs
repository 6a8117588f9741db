//! TOML documents whose errors say where: line, column and field.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;

use serde::de::{self, Deserialize, DeserializeOwned, Deserializer};
use thiserror::Error;
use toml::de::{DeTable, DeValue};

use crate::output::escape;

/// What is wrong in a TOML document, and where.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub struct DocumentError {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Dotted path of the field, for example `limits.heap`; empty where no field is concerned.
    pub field: String,
    /// What is wrong, one line, safe for a terminal.
    pub message: String,
}

impl fmt::Display for DocumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: ", self.line, self.column)?;
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.message)
    }
}

/// Reads a `T` from TOML. Nesting is bounded by the parser; bounding the length is the caller's
/// part.
pub fn parse<T: DeserializeOwned>(text: &str) -> Result<T, DocumentError> {
    toml::from_str(text).map_err(|error| {
        let span = error.span().unwrap_or(0..0);
        let (line, column) = position(text, span.start);
        DocumentError {
            line,
            column,
            field: printable(&field_at(text, &span)),
            message: printable(error.message()),
        }
    })
}

/// Reads a list in which each key stands once.
pub(crate) fn distinct<'de, D, T, K>(deserializer: D, key: fn(&T) -> &K) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
    K: Ord + fmt::Display,
{
    let list = Vec::<T>::deserialize(deserializer)?;
    let mut seen = BTreeSet::new();
    match list.iter().map(key).find(|key| !seen.insert(*key)) {
        None => Ok(list),
        Some(twice) => Err(de::Error::custom(format!("\"{twice}\" is there twice"))),
    }
}

/// Hostile text for one line of a message: escaped, and cut.
pub(crate) fn printable(text: &str) -> String {
    const MAX_CHARS: usize = 512;
    match text.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => escape(&text.as_bytes()[..end]) + "…",
        None => escape(text.as_bytes()),
    }
}

fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    (
        before.matches('\n').count() + 1,
        before[line_start..].chars().count() + 1,
    )
}

/// The path of the innermost key or value that encloses `span`. A table written under a `[header]`
/// doesn't enclose its keys in the text, so all of the document is searched.
fn field_at(text: &str, span: &Range<usize>) -> String {
    let Ok(root) = DeTable::parse(text) else {
        return String::new();
    };
    let mut best: Option<(usize, String)> = None;
    let mut consider = |place: Range<usize>, path: &str| {
        let encloses = place.start <= span.start && span.end <= place.end && !span.is_empty();
        if encloses
            && best
                .as_ref()
                .is_none_or(|(length, _)| place.len() <= *length)
        {
            best = Some((place.len(), path.to_owned()));
        }
    };
    let mut tables = vec![(String::new(), root.get_ref())];
    while let Some((prefix, table)) = tables.pop() {
        for (key, value) in table {
            let path = format!("{prefix}{}", key.get_ref());
            consider(key.span(), &path);
            consider(value.span(), &path);
            match value.get_ref() {
                DeValue::Table(inner) => tables.push((format!("{path}."), inner)),
                DeValue::Array(items) => {
                    for (index, item) in items.iter().enumerate() {
                        let path = format!("{path}[{index}]");
                        consider(item.span(), &path);
                        if let DeValue::Table(inner) = item.get_ref() {
                            tables.push((format!("{path}."), inner));
                        }
                    }
                }
                _ => {}
            }
        }
    }
    best.map(|(_, path)| path).unwrap_or_default()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Outer {
        inner: Option<Inner>,
        list: Option<Vec<Inner>>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Inner {
        number: u8,
    }

    #[test]
    fn errors_name_line_column_and_field() {
        for (text, error) in [
            (
                "[inner]\nnumber = \"x\"",
                "line 2, column 10: inner.number: invalid type: string \"x\", expected u8",
            ),
            (
                "list = [{ number = 1 }, { number = 999 }]",
                "line 1, column 36: list[1].number: invalid value: integer `999`, expected u8",
            ),
            (
                "\n\n[inner]\nnumber = 1\nnumbre = 2",
                "line 5, column 1: inner.numbre: unknown field `numbre`, expected `number`",
            ),
            (
                "[[list]]\nnumber = 1\n[[list]]\nx = 1",
                "line 4, column 1: list[1].x: unknown field `x`, expected `number`",
            ),
        ] {
            assert_eq!(parse::<Outer>(text).unwrap_err().to_string(), error);
        }
    }

    #[test]
    fn a_missing_field_is_named() {
        let error = parse::<Outer>("[inner]").unwrap_err();
        assert_eq!(
            (error.line, error.message.as_str()),
            (1, "missing field `number`")
        );
    }

    #[test]
    fn broken_syntax_is_located() {
        let error = parse::<Outer>("inner = {\n  number = = 1 }").unwrap_err();
        assert_eq!(error.line, 2, "{error}");
    }

    #[test]
    fn hostile_text_is_escaped_and_cut() {
        let text = format!("\"\\u001b[31m{}\" = 1", "x".repeat(10_000));
        let shown = parse::<Outer>(&text).unwrap_err().to_string();
        assert!(
            shown.contains("\\u{1b}[31m") && shown.chars().count() < 1_200,
            "{shown}"
        );
    }

    proptest! {
        #[test]
        fn any_text_is_a_document_or_an_error(text in ".{0,200}|([\\[\\]{}=.,\"'a-z0-9\n#-]){0,200}") {
            drop(parse::<Outer>(&text));
        }
    }
}
