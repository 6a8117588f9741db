//! Messages, frames and limits between the Cordon supervisor and its workers.
//!
//! This crate turns bytes into messages and back. It knows nothing of sockets, plugins or hosts,
//! so the blocking worker and the asynchronous supervisor share every line of it.
//!
//! - [`limits`]: what a frame, and each field that needs a bound of its own, may weigh.
//! - [`version`]: the [`Hello`](version::Hello) that both sides send first.
//! - [`message`]: what is said, as one enum for each direction.
//! - [`frame`]: the header, [`encode`](frame::encode), and what can be wrong with a frame.
//! - [`decoder`]: bytes in, frames out, without I/O.
//! - [`channel`]: blocking halves over any `Read` and `Write`.
//!
//! *Invariant:* no length that a peer declares is allocated before it was compared with the limit
//! of its kind, and nothing here panics or recurses on what a peer sends.

#![forbid(unsafe_code)]

mod codec;

pub mod channel;
pub mod decoder;
pub mod frame;
pub mod limits;
pub mod message;
pub mod version;
