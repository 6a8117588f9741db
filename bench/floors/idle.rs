//! The least that a worker could be: a dynamic program that maps the plugin and waits.
//!
//!     idle PLUGIN     maps it, says so by one line, and waits for the end of stdin

use std::ffi::{CString, c_char, c_int, c_void};
use std::io::{Read, Write};

unsafe extern "C" {
    fn dlopen(file: *const c_char, flags: c_int) -> *mut c_void;
}

const RTLD_NOW: c_int = 2;

fn main() {
    let plugin = std::env::args().nth(1).unwrap_or_default();
    let plugin = CString::new(plugin).unwrap_or_default();
    // SAFETY: a string that ends in NUL and outlives the call; the file is the benchmark's own
    // plugin, which has no constructors.
    let handle = unsafe { dlopen(plugin.as_ptr(), RTLD_NOW) };
    assert!(!handle.is_null(), "can't map {plugin:?}");
    let mut output = std::io::stdout();
    writeln!(output, "mapped").expect("stdout");
    std::io::stdin().read_to_end(&mut Vec::new()).expect("stdin");
}
