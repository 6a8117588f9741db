//! Replies: hostile bytes, for a terminal or for a program.

use cordon_supervisor::output::escape;

/// A reply as text that a terminal takes: escaped, but for the ends of lines.
pub(super) fn text(reply: &[u8]) -> String {
    let lines: Vec<String> = reply.split(|byte| *byte == b'\n').map(escape).collect();
    lines.join("\n")
}

/// The bytes of a reply, unless `text` has them as they are.
pub(super) fn hex(reply: &[u8], text: &str) -> Option<String> {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    if text.as_bytes() == reply {
        return None;
    }
    let digits = reply.iter().flat_map(|byte| [byte >> 4, byte & 0xf]);
    Some(
        digits
            .map(|digit| char::from(DIGITS[usize::from(digit)]))
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printable_text_is_given_as_it_is() {
        for reply in ["", "Hello, Ada!", "two\nlines\n", "Ünïcode ✓", r"C:\u{1b}"] {
            let shown = text(reply.as_bytes());
            assert_eq!(shown, reply);
            assert_eq!(hex(reply.as_bytes(), &shown), None, "{reply}");
        }
    }

    #[test]
    fn other_bytes_are_escaped_and_given_in_hex() {
        for (reply, shown, digits) in [
            (&b"\x1b[31m"[..], "\\u{1b}[31m", "1b5b33316d"),
            (b"\x7f", "\\u{7f}", "7f"),
            (b"\xc2\x9b1m", "\\u{9b}1m", "c29b316d"),
            (b"\xe2\x80\xae", "\\u{202e}", "e280ae"),
            (b"\xd8\x9c", "\\u{61c}", "d89c"),
            (b"a\r\n", "a\\r\n", "610d0a"),
            (b"\xff", "\u{fffd}", "ff"),
        ] {
            assert_eq!(text(reply), shown);
            assert_eq!(hex(reply, shown).as_deref(), Some(digits));
        }
    }
}
