//! Files and folders of the host, granted. Seccomp is left out, so that mounts, ids and Landlock
//! are what answers.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A failed assumption fails the test.

mod access;
mod overlay;
mod refused;
mod scene;
