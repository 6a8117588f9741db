//! A crash's backtrace.

use std::sync::Arc;

use super::Shared;
use crate::crash::{Backtrace, Scene};
use crate::package::Package;

impl Shared {
    /// The functions that a thread was in.
    pub(super) async fn backtrace(
        self: &Arc<Self>,
        _package: &Arc<Package>,
        scene: Scene,
    ) -> Backtrace {
        Backtrace::without_symbols(Some(scene.place()), "not worked out")
    }
}
