//! The supervisor's part of a launch in time.

/// When each part of a launch was done, in nanoseconds of `CLOCK_MONOTONIC`, as in the
/// launcher's own [`Stage`](sandbox::launch::Stage)s, which lie between the first two.
#[derive(Debug, Clone, Copy, Default)]
pub struct Timeline {
    /// The launcher is asked for a worker.
    pub asked: u64,
    /// It has answered: the worker is executed.
    pub launched: u64,
    /// The worker has locked itself down and said so.
    pub ready: u64,
    /// What it may do was read back from outside.
    pub attested: u64,
    /// The plugin is mapped, its constructors have run.
    pub loaded: u64,
    /// The plugin's instance is created.
    pub created: u64,
}
