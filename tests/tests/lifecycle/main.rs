//! A plugin's life, seen through the library: calls, limits, deaths, and the death of the
//! supervisor itself.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A failed assumption fails the test.

mod calls;
mod deaths;
mod limits;
mod loads;
mod restarts;
mod supervisor_death;
mod violations;
