//! Messages, frames and limits between the Cordon supervisor and its workers.
