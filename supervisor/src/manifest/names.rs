//! Names and texts of a manifest, checked once and safe to print, compare and use in paths from
//! then on.

use std::fmt;
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::document::printable;
use crate::output::escape;

/// A text that breaks the rule of its kind.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("\"{text}\" is no {kind}: {rule}")]
pub struct NameError {
    /// What was given, cut and escaped.
    pub text: String,
    /// What it should be.
    pub kind: &'static str,
    /// The rule in words.
    pub rule: &'static str,
}

macro_rules! names {
    ($($(#[doc = $doc:literal])+ $name:ident, $kind:literal, $rule:literal, $valid:expr;)+) => {$(
        $(#[doc = $doc])+
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String")]
        pub struct $name(String);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, NameError> {
                let valid: fn(&str) -> bool = $valid;
                if valid(&text) {
                    Ok(Self(text))
                } else {
                    Err(NameError { text: printable(&text), kind: $kind, rule: $rule })
                }
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                text.to_owned().try_into()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    )+};
}

names! {
    /// A plugin's id. Fit for a file name: no slash, no leading dot.
    PluginId, "plugin id",
    "1 to 64 of a-z, 0-9, '.', '_' and '-', the first a letter or digit",
    |text| is_word(text, |c| matches!(c, 'a'..='z' | '0'..='9'), "._-");

    /// The name of a hook.
    HookName, "hook name",
    "1 to 64 of a-z, 0-9, '.', '_' and '-', the first a letter or digit",
    |text| is_word(text, |c| matches!(c, 'a'..='z' | '0'..='9'), "._-");

    /// The name of a method that `call` takes.
    MethodName, "method name",
    "1 to 64 of letters, digits, '.', '_' and '-', the first a letter or digit",
    |text| is_word(text, |c| c.is_ascii_alphanumeric(), "._-");

    /// The name of an environment variable.
    EnvName, "environment variable",
    "1 to 64 of A-Z, a-z, 0-9 and '_', the first not a digit",
    |text| is_word(text, |c| c.is_ascii_alphanumeric() || c == '_', "") && !text.starts_with(|c: char| c.is_ascii_digit());
}

/// A text of at most `MAX` bytes without control characters, those included that turn writing
/// around.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Text<const MAX: usize>(String);

impl<const MAX: usize> Text<MAX> {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why a text can't be taken.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TextError {
    /// It is too long.
    #[error("the text has {len} bytes, {max} are allowed")]
    TooLong {
        /// Its length in bytes.
        len: usize,
        /// The greatest length in bytes.
        max: usize,
    },
    /// It could disturb a terminal or a log.
    #[error("the text has a control character: {text}")]
    Control {
        /// What was given, cut and escaped.
        text: String,
    },
}

impl<const MAX: usize> TryFrom<String> for Text<MAX> {
    type Error = TextError;

    fn try_from(text: String) -> Result<Self, TextError> {
        if text.len() > MAX {
            return Err(TextError::TooLong {
                len: text.len(),
                max: MAX,
            });
        }
        if escape(text.as_bytes()) != text {
            return Err(TextError::Control {
                text: printable(&text),
            });
        }
        Ok(Self(text))
    }
}

impl<const MAX: usize> fmt::Display for Text<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// An absolute path without `.`, `..` and control characters, at most 4095 bytes (`PATH_MAX`).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct AbsolutePath(PathBuf);

impl AbsolutePath {
    /// The path.
    pub fn as_path(&self) -> &Path {
        &self.0
    }
}

impl TryFrom<String> for AbsolutePath {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        let path = Path::new(&text);
        // `components` swallows inner `.`, so those are looked for in the text.
        let plain = path
            .components()
            .skip(1)
            .all(|part| matches!(part, Component::Normal(_)));
        let dots = text.split('/').any(|part| part == ".");
        if path.is_absolute()
            && plain
            && !dots
            && text.len() < 4096
            && escape(text.as_bytes()) == text
        {
            return Ok(Self(path.to_owned()));
        }
        Err(NameError {
            text: printable(&text),
            kind: "absolute path",
            rule: "it starts with '/', has no '.' or '..' component, no control character, and fewer than 4096 bytes",
        })
    }
}

impl fmt::Display for AbsolutePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.display().fmt(f)
    }
}

/// Whether `text` has 1 to 64 characters, the first one of `start`, the others of `start` or
/// `also`.
fn is_word(text: &str, start: fn(char) -> bool, also: &str) -> bool {
    text.len() <= 64
        && text.starts_with(start)
        && text.chars().all(|c| start(c) || also.contains(c))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn plugin_ids() {
        for good in ["greet", "a", "0", "my.plugin-2_x", &"a".repeat(64)] {
            assert!(good.parse::<PluginId>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "../etc",
            "a/b",
            ".hidden",
            "-x",
            "Greet",
            "a b",
            "a\n",
            "ä",
            &"a".repeat(65),
        ] {
            assert!(bad.parse::<PluginId>().is_err(), "{bad}");
        }
        assert_eq!(
            "a/b".parse::<PluginId>().unwrap_err().to_string(),
            "\"a/b\" is no plugin id: 1 to 64 of a-z, 0-9, '.', '_' and '-', the first a letter or digit"
        );
    }

    #[test]
    fn environment_names() {
        for good in ["LANG", "_X", "a1"] {
            assert!(good.parse::<EnvName>().is_ok(), "{good}");
        }
        for bad in ["", "1A", "A=B", "A.B", "_A-B", "A\0"] {
            assert!(bad.parse::<EnvName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn paths_that_could_mean_another_place_are_refused() {
        for (path, good) in [
            ("/etc/hosts", true),
            ("/", true),
            ("etc", false),
            ("", false),
            ("/etc/../root", false),
            ("/etc/./x", false),
            ("/a\0b", false),
        ] {
            assert_eq!(
                AbsolutePath::try_from(path.to_owned()).is_ok(),
                good,
                "{path:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn an_accepted_id_is_one_plain_path_component(text in ".{0,70}|[./a-z]{0,6}") {
            if let Ok(id) = text.parse::<PluginId>() {
                let path = Path::new(id.as_str());
                prop_assert!(path.components().eq([Component::Normal(path.as_os_str())]));
            }
        }
    }
}
