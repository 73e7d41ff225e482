//! Where connections come from: the machine's own network, or one that a simulation makes up.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;

use tokio::io::{AsyncRead, AsyncWrite};

/// A network that is made up. Everything above the bare stream of octets is as it always is.
pub trait Network: Send + Sync + fmt::Debug {
    /// Connects to `host:port`.
    fn connect(&self, to: &str) -> Connecting;
}

/// A connection in the making.
pub type Connecting = Pin<Box<dyn Future<Output = io::Result<Box<dyn Socket>>> + Send>>;

/// One connection of such a network.
pub trait Socket: AsyncRead + AsyncWrite + Send + Unpin {
    /// Whether the other side has closed, as far as can be told here and now.
    fn other_side_closed(&self) -> bool;
}
