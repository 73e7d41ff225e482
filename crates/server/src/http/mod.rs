//! The HTTP server.
//!
//! A request comes in through a connection (`listen`, `connection`), and is judged and led to its door by `service`: who it
//! is from (`auth`, `origin`), how large it is (`head`, `body`), and which rule answers it (`door`). Behind the doors are
//! `accept` (operations), `own` (a dialect's operations), `pass` (passing through), `native` (the API of Fanfold itself) and
//! `system` (monitoring). `live` is what streams of events send, `feed` where the newest of them come from. `outcome` is the one place where errors become refusals and replies become responses.
//!
//! Nothing here decides about an operation, and nothing keeps state beyond a request, except what is counted.

mod accept;
mod auth;
mod body;
mod config;
mod connection;
mod door;
mod error;
mod feed;
mod followers;
mod front;
mod head;
mod listen;
mod listing;
mod live;
mod metrics;
mod native;
mod origin;
mod outcome;
mod own;
mod page;
mod pass;
mod patient;
mod prefer;
mod record;
mod server;
mod service;
mod sse;
mod system;
mod visit;

pub use config::ServerConfig;
pub use error::Error;
pub use front::Front;
pub use server::{Parts, Server};
