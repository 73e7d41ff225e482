//! What Fanfold's own tests need of the world around it: targets that answer as told, or rudely ([`fake`]), the real program
//! as a process ([`process`]), a PostgreSQL of their own ([`postgres`]) and a network that breaks ([`Proxy`]), a small HTTP client
//! ([`http`]), and numbers drawn from a seed ([`Random`]).
//!
//! It knows nothing of the engine and the store, so that their tests can use it without building them twice. Everything that
//! waits here waits for a condition, and panics with what it saw if that does not come within [`PATIENCE`].

pub mod fake;
pub mod http;
mod latch;
mod patience;
pub mod postgres;
pub mod process;
mod proxy;
mod random;
mod wire;

pub use fake::{Answer, Controller, Ending, FakeTarget, Reply, Resources, Seen};
pub use http::{Http, HttpAnswer, RawConnection};
pub use latch::Latch;
pub use patience::PATIENCE;
pub use process::{Home, Process};
pub use proxy::Proxy;
pub use random::Random;
