//! A plugin that declares everything, through its table.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod calls;
mod life;
mod plugin;
mod services;

use plugin_sdk::abi::Status;
use plugin_sdk::testing::{Failure, Host};

fn host() -> Host {
    Host::new().tenant("acme").user("ada")
}

fn failure(status: Status, text: &str) -> Failure {
    Failure {
        status,
        text: text.into(),
    }
}
