//! The program as a process, over real sockets, with fake targets.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod attention;
mod callbacks;
mod cancel;
mod check;
mod demo;
mod drain;
mod example;
mod examples_msf;
mod examples_plas;
mod examples_tower;
mod follow;
mod full_disk;
mod help;
mod locks;
mod migrate;
mod moving;
mod nodes;
mod notices;
mod operating;
mod ops;
mod program;
mod readme;
mod refusals;
mod reload;
mod restore;
mod retry;
mod send;
mod serve;
mod shell;
mod stop;
mod targets;
