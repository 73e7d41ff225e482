//! The server over real sockets, with the real engine, SQLite and fake targets.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod acceptance;
mod admin;
mod browsers;
mod clients;
mod events;
mod lists;
mod operation;
mod pass;
mod prefer;
mod refusals;
mod release;
mod rig;
mod stop;
