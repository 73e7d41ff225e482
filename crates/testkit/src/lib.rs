//! What Fanfold's own tests need of the world around it: targets that answer as told, or rudely ([`fake`]), those who issue
//! credentials ([`FakeIssuer`], [`FakeKeystone`]), the real program
//! as a process ([`process`]), certificates ([`certificates`]), a PostgreSQL of their own ([`postgres`]) and a network that breaks
//! ([`Proxy`]), a small HTTP client ([`http`]), a browser (`browser`, with the feature of that name), numbers drawn from a seed
//! ([`Random`]), clients and targets that mean harm ([`hostile`]), and schemas that answers are
//! held against ([`Schemas`]).
//!
//! It knows nothing of the engine and the store, so that their tests can use it without building them twice. Everything that
//! waits here waits for a condition, and panics with what it saw if that does not come within [`PATIENCE`].

#[cfg(feature = "browser")]
pub mod browser;
pub mod certificates;
pub mod fake;
pub mod hostile;
pub mod http;
mod issuer;
mod keystone;
mod latch;
mod machine;
mod patience;
pub mod postgres;
pub mod process;
pub mod programs;
mod proxy;
mod random;
mod schema;
mod wire;

pub use fake::{Answer, Controller, Ending, FakeTarget, Reply, Resources, Seen};
pub use http::{Http, HttpAnswer, RawConnection};
pub use issuer::{FakeIssuer, SigningKey};
pub use keystone::FakeKeystone;
pub use latch::Latch;
pub use patience::PATIENCE;
pub use process::{Home, Process};
pub use proxy::Proxy;
pub use random::Random;
pub use schema::Schemas;
