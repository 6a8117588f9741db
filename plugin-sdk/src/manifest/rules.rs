//! The rules of a manifest, as `const` predicates.

/// Units of a size.
pub(super) const SIZE: &[&str] = &["B", "kB", "MB", "GB", "KiB", "MiB", "GiB"];
/// Units of a duration.
pub(super) const DURATION: &[&str] = &["us", "ms", "s"];
/// The unit of a share.
pub(super) const SHARE: &[&str] = &["%"];

/// `[a-z0-9][a-z0-9._-]{0,63}`.
pub(super) const fn is_id(text: &str) -> bool {
    let bytes = text.as_bytes();
    if bytes.is_empty() || bytes.len() > 64 || matches!(bytes[0], b'.' | b'_' | b'-') {
        return false;
    }
    let mut i = 0;
    while i < bytes.len() {
        if !matches!(bytes[i], b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-') {
            return false;
        }
        i += 1;
    }
    true
}

/// 1 to 64 printable ASCII characters, without spaces.
pub(super) const fn is_name(text: &str) -> bool {
    let bytes = text.as_bytes();
    let mut i = 0;
    while i < bytes.len() {
        if !bytes[i].is_ascii_graphic() {
            return false;
        }
        i += 1;
    }
    !bytes.is_empty() && bytes.len() <= 64
}

/// `/…`, without a NUL.
pub(super) const fn is_absolute(path: &str) -> bool {
    let bytes = path.as_bytes();
    let mut i = 0;
    while i < bytes.len() {
        if bytes[i] == 0 {
            return false;
        }
        i += 1;
    }
    !bytes.is_empty() && bytes[0] == b'/'
}

/// Three numbers, then perhaps `-pre.release` and `+build`; the host checks the last two closer.
pub(super) const fn is_semver(text: &str) -> bool {
    let bytes = text.as_bytes();
    let mut at = 0;
    let mut part = 0;
    while part < 3 {
        let digits = digits(bytes, at);
        let leading_zero = digits > 1 && bytes[at] == b'0';
        if digits == 0 || leading_zero {
            return false;
        }
        at += digits;
        if part < 2 {
            if at == bytes.len() || bytes[at] != b'.' {
                return false;
            }
            at += 1;
        }
        part += 1;
    }
    if at == bytes.len() {
        return true;
    }
    if !matches!(bytes[at], b'-' | b'+') || at + 1 == bytes.len() {
        return false;
    }
    while at < bytes.len() {
        if !bytes[at].is_ascii_alphanumeric() && !matches!(bytes[at], b'-' | b'+' | b'.') {
            return false;
        }
        at += 1;
    }
    true
}

/// A number of up to 12 digits and one of the units; zero needs none.
pub(super) const fn is_quantity(text: &str, units: &[&str]) -> bool {
    let bytes = text.as_bytes();
    let digits = digits(bytes, 0);
    if digits == 0 || digits > 12 {
        return false;
    }
    let (_, unit) = text.split_at(digits);
    among(unit, units, units.len()) || equal(text, "0")
}

/// Whether `text` is one of the first `count` of `texts`.
pub(super) const fn among(text: &str, texts: &[&str], count: usize) -> bool {
    let mut i = 0;
    while i < count {
        if equal(text, texts[i]) {
            return true;
        }
        i += 1;
    }
    false
}

/// Whether each is a port, and there once.
pub(super) const fn are_ports(ports: &[u16]) -> bool {
    let mut i = 0;
    while i < ports.len() {
        if ports[i] == 0 {
            return false;
        }
        let mut before = 0;
        while before < i {
            if ports[before] == ports[i] {
                return false;
            }
            before += 1;
        }
        i += 1;
    }
    true
}

/// Whether no key occurs twice.
pub(super) const fn keys_differ(pairs: &[(&str, &str)]) -> bool {
    let mut i = 0;
    while i < pairs.len() {
        let mut before = 0;
        while before < i {
            if equal(pairs[before].0, pairs[i].0) {
                return false;
            }
            before += 1;
        }
        i += 1;
    }
    true
}

pub(super) const fn equal(a: &str, b: &str) -> bool {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut i = 0;
    while i < a.len() && i < b.len() {
        if a[i] != b[i] {
            return false;
        }
        i += 1;
    }
    a.len() == b.len()
}

/// How many digits there are from `at` on.
const fn digits(bytes: &[u8], at: usize) -> usize {
    let mut end = at;
    while end < bytes.len() && bytes[end].is_ascii_digit() {
        end += 1;
    }
    end - at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids() {
        assert!(is_id("a") && is_id("0.b_c-d") && is_id(&"a".repeat(64)));
        assert!(
            !is_id("") && !is_id("-a") && !is_id("A") && !is_id("a b") && !is_id(&"a".repeat(65))
        );
    }

    #[test]
    fn versions() {
        assert!(is_semver("1.0.0") && is_semver("10.20.30-rc.1+build-5"));
        for wrong in [
            "", "1", "1.0", "1.0.", "01.0.0", "1.0.0.0", "1.0.0-", "1.0.0 ", "v1.0.0", "1.0.0-é",
        ] {
            assert!(!is_semver(wrong), "{wrong}");
        }
    }

    #[test]
    fn quantities() {
        assert!(
            is_quantity("50MB", SIZE) && is_quantity("0", SIZE) && is_quantity("1000ms", DURATION)
        );
        for wrong in [
            "",
            "MB",
            "50",
            "50 MB",
            "50mb",
            "-1B",
            "1.5MB",
            "1234567890123B",
        ] {
            assert!(!is_quantity(wrong, SIZE), "{wrong}");
        }
    }

    #[test]
    fn ports() {
        assert!(are_ports(&[]) && are_ports(&[1, 65535]));
        assert!(!are_ports(&[0]) && !are_ports(&[80, 443, 80]));
    }

    #[test]
    fn names() {
        assert!(
            is_name("a.B/c-1")
                && !is_name("")
                && !is_name("a b")
                && !is_name("é")
                && !is_name(&"a".repeat(65))
        );
    }
}
