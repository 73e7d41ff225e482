//! The stores of this crate against the contract of all stores.

mod export;
mod model;
mod postgres;
mod random;
mod sqlite;
