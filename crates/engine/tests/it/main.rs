//! The engine's tests over real sockets.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod attention;
mod operations;
mod stage;
mod target;
