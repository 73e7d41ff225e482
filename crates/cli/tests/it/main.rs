//! The program as a process, over real sockets, with fake targets.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod attention;
mod browser;
mod bulk;
mod callbacks;
mod cancel;
mod check;
mod demo;
mod documents;
mod drain;
mod example;
mod examples_msf;
mod examples_plas;
mod examples_tower;
mod follow;
mod forbidden;
mod full_disk;
mod help;
mod hostile;
mod install;
mod keys;
mod limits;
mod locks;
mod metrics;
mod migrate;
mod moving;
mod nodes;
mod notices;
mod ops;
mod plan;
mod program;
mod refusals;
mod reload;
mod restore;
mod retry;
#[cfg(feature = "otlp")]
mod secrets;
mod send;
mod serve;
mod stop;
mod targets;
mod tls;
mod tokens;
#[cfg(feature = "otlp")]
mod traces;
mod vouched;
