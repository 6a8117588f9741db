//! Confines one process: policy, plan, launch, cgroups, seccomp.
//!
//! Data flows one way. A [`policy::Policy`] says what a worker may take; the
//! supervisor resolves it into a [`plan::Plan`]; the launcher checks the plan
//! against its [`plan::Ceiling`] and runs the [`steps`] in their order; then
//! [`attest`] reads back from outside what the kernel really enforces and gives
//! the [`report::Report`].

#[cfg(not(target_os = "linux"))]
compile_error!("Cordon confines processes with Linux kernel features only");

pub mod attest;
pub mod capabilities;
pub mod ceiling;
pub mod cgroup;
pub mod codec;
pub mod files;
pub mod hardening;
pub mod image;
pub mod landlock;
pub mod launch;
pub mod mounts;
pub mod plan;
pub mod policy;
mod pseudofile;
pub mod report;
pub mod rlimits;
pub mod seccomp;
pub mod steps;
pub mod support;
pub mod sys;
pub mod trace;
pub mod weaken;
