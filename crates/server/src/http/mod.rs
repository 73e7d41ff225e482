//! The HTTP server.
//!
//! A request comes in through a connection (`listen`, `connection`), within TLS where that is configured (`handshake`, `tls`,
//! `wire`), that is watched for octets which could be read in two ways
//! (`watched`, `framing`), and is judged and led to its door by `service`: who it is from (`auth`, `origin`), how often they come
//! (`pace`), how large it is (`head`, `body`), and which rule answers it (`door`). Behind the doors are
//! `accept` (operations), `own` (a dialect's operations), `pass` (passing through), `native` (the API of Fanfold itself), `ui`
//! (the console) and `system` (monitoring, and the document that `openapi` puts together). `live` is what streams of events send,
//! `feed` where the newest of them come from. `outcome` is the one place where errors become refusals and replies become
//! responses.
//!
//! Nothing here decides about an operation, and nothing keeps state beyond a request, except what is counted. `metrics` counts
//! what happens, `rates` how much of it each second, `standing` looks up how things stand when that is asked for, `exposition`
//! writes what is counted down.

mod accept;
mod audited;
mod auth;
mod body;
mod client_certificate;
mod config;
mod connection;
mod door;
mod error;
mod exposition;
mod feed;
mod followers;
mod framing;
mod front;
mod handshake;
mod head;
#[cfg(feature = "hostile")]
pub mod hostile;
mod listen;
mod listing;
mod live;
mod metrics;
mod native;
mod openapi;
mod origin;
mod outcome;
mod own;
mod pace;
mod page;
mod pass;
mod patient;
mod prefer;
mod rates;
mod record;
mod server;
mod service;
mod sse;
mod standing;
mod system;
mod tls;
mod ui;
mod visit;
mod watched;
mod wire;

pub use auth::{Authentication, CertificateName, FixedCertificate, FixedToken};
pub use config::ServerConfig;
pub use error::Error;
pub use front::Front;
pub use pace::Pace;
pub use server::{Parts, Server};
pub use tls::{BadServerTls, ClientCertificates, Tls, Validity};
