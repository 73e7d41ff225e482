//! The server over real sockets, with the real engine, SQLite and fake targets.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod acceptance;
mod access;
mod admin;
mod browsers;
mod bulk;
mod certificates;
mod clients;
mod console;
mod events;
mod lists;
mod openapi;
mod operation;
mod pass;
mod plan;
mod prefer;
mod refusals;
mod release;
mod rig;
mod scopes;
mod sign_in;
mod stop;
mod tenants;
mod tls;
mod trail;
