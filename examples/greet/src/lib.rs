//! The Rust example plugin.
