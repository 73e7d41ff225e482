//! Developer commands, and the rules of the house that a program can check.

pub mod adoption;
mod caller;
pub mod defects;
pub mod failover;
pub mod flood;
pub mod followers;
pub mod fuzz;
pub mod hardened;
pub mod hostile;
mod machine;
pub mod moving;
pub mod package;
pub mod pages;
pub mod schemathesis;
mod sorted;
mod target;
pub mod tidy;
pub mod torn;
pub mod torture;
