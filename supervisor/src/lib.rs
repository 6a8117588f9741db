//! Run untrusted native plugins, each in a confined worker process.
#![forbid(unsafe_code)]

pub mod alerts;
pub mod check;
pub mod config;
pub mod connections;
pub mod crash;
pub mod doctor;
pub mod document;
pub mod elf;
pub mod ending;
mod files;
pub mod filters;
pub mod grants;
pub mod history;
mod host;
mod keeper;
pub mod launcher;
pub mod lifecycle;
pub mod limits;
pub mod manifest;
pub mod metrics;
mod mux;
pub mod notice;
pub mod output;
pub mod package;
pub mod paths;
pub mod plugin;
pub mod program;
mod regular;
pub mod restart;
pub mod selftest;
pub mod state;
pub mod supervisor;
pub mod trust;
pub mod uids;
pub mod units;
pub mod usage;
pub mod violations;
pub mod worker;

pub use supervisor::{Builder, Call, CallError, LoadError, PluginStatus, StartError, Supervisor};
