//! Limits that bite: each just below, between its tiers, and above them.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A failed assumption fails the test.

mod matrix;
mod resources;
