//! A TOML writer for constants: into a fixed buffer, or with `N` = 0 only counting.

use super::File;

const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// The text so far. A table's header is held back until something follows it.
pub(super) struct Toml<const N: usize> {
    bytes: [u8; N],
    len: usize,
    pending: Option<&'static str>,
}

impl<const N: usize> Toml<N> {
    pub(super) const fn new() -> Self {
        Self {
            bytes: [0; N],
            len: 0,
            pending: None,
        }
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    pub(super) const fn finish(self) -> [u8; N] {
        assert!(
            self.len == N,
            "the buffer is of another length than the manifest"
        );
        self.bytes
    }

    /// Begins a table, if any key follows.
    pub(super) const fn table(&mut self, header: &'static str) {
        self.pending = Some(header);
    }

    /// Begins a table.
    pub(super) const fn header(&mut self, header: &str) {
        self.raw(header);
        self.raw("\n");
    }

    pub(super) const fn string(&mut self, key: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.key(key);
            self.quoted(value);
            self.raw("\n");
        }
    }

    pub(super) const fn number(&mut self, key: &str, value: Option<u32>) {
        if let Some(value) = value {
            self.key(key);
            self.decimal(value);
            self.raw("\n");
        }
    }

    pub(super) const fn boolean(&mut self, key: &str, value: Option<bool>) {
        if let Some(value) = value {
            self.key(key);
            self.raw(if value { "true\n" } else { "false\n" });
        }
    }

    /// An array of strings, unless it is empty.
    pub(super) const fn strings(&mut self, key: &str, values: &[&str]) {
        if values.is_empty() {
            return;
        }
        self.key(key);
        let mut i = 0;
        while i < values.len() {
            self.raw(if i == 0 { "[" } else { ", " });
            self.quoted(values[i]);
            i += 1;
        }
        self.raw("]\n");
    }

    pub(super) const fn files(&mut self, key: &str, files: &[File]) {
        if files.is_empty() {
            return;
        }
        self.key(key);
        let mut i = 0;
        while i < files.len() {
            self.raw(if i == 0 { "[{ path = " } else { ", { path = " });
            self.quoted(files[i].path);
            self.raw(", access = ");
            self.quoted(files[i].access);
            self.raw(" }");
            i += 1;
        }
        self.raw("]\n");
    }

    /// An array of ports, unless it is empty; `key` may be dotted.
    pub(super) const fn ports(&mut self, key: &str, ports: &[u16]) {
        if ports.is_empty() {
            return;
        }
        self.key(key);
        let mut i = 0;
        while i < ports.len() {
            self.raw(if i == 0 { "[" } else { ", " });
            self.decimal(ports[i] as u32);
            i += 1;
        }
        self.raw("]\n");
    }

    pub(super) const fn integer(&mut self, key: &str, value: i32) {
        self.key(key);
        if value < 0 {
            self.byte(b'-');
        }
        self.decimal(value.unsigned_abs());
        self.raw("\n");
    }

    pub(super) const fn pool(&mut self, key: &str, workers: u32) {
        self.key(key);
        self.raw("{ pool = ");
        self.decimal(workers);
        self.raw(" }\n");
    }

    /// A table of free keys and strings, unless it is empty.
    pub(super) const fn pairs(&mut self, header: &'static str, pairs: &[(&str, &str)]) {
        self.table(header);
        let mut i = 0;
        while i < pairs.len() {
            self.open();
            self.quoted(pairs[i].0);
            self.raw(" = ");
            self.quoted(pairs[i].1);
            self.raw("\n");
            i += 1;
        }
        self.pending = None;
    }

    const fn open(&mut self) {
        if let Some(header) = self.pending.take() {
            self.header(header);
        }
    }

    const fn key(&mut self, key: &str) {
        self.open();
        self.raw(key);
        self.raw(" = ");
    }

    /// A basic string: quote, backslash and control characters are escaped (TOML 1.0, "String").
    const fn quoted(&mut self, text: &str) {
        let bytes = text.as_bytes();
        self.byte(b'"');
        let mut i = 0;
        while i < bytes.len() {
            match bytes[i] {
                special @ (b'"' | b'\\') => {
                    self.byte(b'\\');
                    self.byte(special);
                }
                control @ (0..=0x1f | 0x7f) => {
                    self.raw("\\u00");
                    self.byte(HEX[(control >> 4) as usize]);
                    self.byte(HEX[(control & 15) as usize]);
                }
                plain => self.byte(plain),
            }
            i += 1;
        }
        self.byte(b'"');
    }

    const fn decimal(&mut self, value: u32) {
        let mut unit = 1;
        while value / unit >= 10 {
            unit *= 10;
        }
        while unit > 0 {
            self.byte(b'0' + (value / unit % 10) as u8);
            unit /= 10;
        }
    }

    const fn raw(&mut self, text: &str) {
        let bytes = text.as_bytes();
        let mut i = 0;
        while i < bytes.len() {
            self.byte(bytes[i]);
            i += 1;
        }
    }

    const fn byte(&mut self, byte: u8) {
        if self.len < N {
            self.bytes[self.len] = byte;
        }
        self.len += 1;
    }
}
