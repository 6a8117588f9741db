//! Files and folders of the host, granted. But for `product`, seccomp is left out, so that mounts,
//! ids and Landlock are what answers.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A failed assumption fails the test.

mod access;
mod landlock;
mod mounts;
mod overlay;
mod product;
mod refused;
mod scene;
