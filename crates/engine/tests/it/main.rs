//! The engine's tests over real sockets.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod access;
mod attention;
mod callbacks;
mod clock;
mod doubtful;
mod fairness;
mod forbidden;
mod hold;
mod identity;
mod lookups;
mod monitors;
mod nodes;
mod operations;
mod patrol;
mod released;
mod repeated;
mod restore;
mod retry;
mod sent_again;
mod stage;
mod target;
mod unknown;
mod webhooks;
mod within;
