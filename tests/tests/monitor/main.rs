//! What the supervisor sees of its plugins: events of the kernel, audits, metrics.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A failed assumption fails the test.

mod audit;
mod events;
mod metrics;

/// So that no poll sees what an event should tell.
const NO_POLLS: &str = "[monitor]\ninterval = \"24h\"\n";
