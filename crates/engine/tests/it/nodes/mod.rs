//! Several engines on one store.

mod cluster;
mod coming_and_going;
mod late;
mod lost;
mod permits;
mod together;
