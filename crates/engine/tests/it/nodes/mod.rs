//! Several engines on one store.

mod cluster;
mod lost;
mod together;
