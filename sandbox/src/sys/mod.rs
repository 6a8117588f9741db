//! Kernel interfaces that no safe crate offers, one thin wrapper each.
//!
//! All `unsafe` of this crate stands here. Numbers and layouts are the kernel's
//! user ABI (`include/uapi/linux`), checked by the tests of each module.

pub mod clone;
pub mod keyring;
pub mod landlock;
pub mod memory;
pub mod mount;
pub mod namespace;
pub mod network;
pub mod pidfd;
pub mod prctl;
pub mod process;
pub mod ptrace;
#[cfg(feature = "tokio")]
pub mod readiness;
pub mod refusal;
pub mod seccomp;
pub mod socket;
