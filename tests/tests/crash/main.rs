//! What is known of a worker that died.

mod deaths;
mod kept;
mod symbols;
mod tracing;
