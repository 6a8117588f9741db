//! The hostile suite on the user's own host: plugins that try one deed each, and whether each
//! is stopped by the control that it names.
//!
//! ```text
//! Suite ─► Deed       what a plugin's manifest says of its deed, read without running it
//!            ├─► Stop     how a deed is stopped, and by which barrier
//!            └─► Shown    how an act ended
//!       ─► attempt    twin, then deed, in a worker
//!            ├─► Scene    what a deed may reach for outside, and whether it was touched
//!            └─► judge    the verdict, from what was seen; pure
//! ```

mod attempt;
mod barrier;
mod deed;
mod scene;
mod shown;
mod suite;
mod verdict;

pub use barrier::{Barrier, UnknownBarrier};
pub use deed::{Deed, DeedError, Stop, Through};
pub use shown::{NotShown, Shown};
pub use suite::{Settings, Suite, SuiteError, Totals};
pub use verdict::{Outcome, Verdict};
