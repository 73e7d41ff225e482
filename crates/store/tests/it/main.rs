//! The stores of this crate against the contract of all stores.

mod model;
mod postgres;
mod sqlite;
