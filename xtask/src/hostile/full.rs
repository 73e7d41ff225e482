//! What it is like with every connection taken: whoever has one is served, and whoever has none waits for one to be free.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use fanfold_testkit::{FakeTarget, Home};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::GOOD_PATIENCE;
use super::client::{Client, Connections, Waits};

/// Connections that there may be.
pub(super) const CONNECTIONS_MAX: usize = 64;

/// How many come beyond that. The operating system keeps more than so many waiting.
const BEYOND: usize = 64;

/// How long is looked what becomes of them.
const LOOKED_AT: Duration = Duration::from_secs(2);

const HELLO: &[u8] = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n";

/// What was seen.
#[derive(Debug)]
pub(super) struct Full {
    /// How many came beyond what there may be, and got no answer.
    pub(super) waited: usize,
    /// How many of these were answered once there was room.
    pub(super) served_after: usize,
    /// How long a client waited that was there before.
    pub(super) within: Waits,
}

impl Full {
    pub(super) fn is_good(&self) -> bool {
        self.waited == BEYOND && self.served_after == BEYOND && self.within.count() > 0 && self.within.hangs == 0
    }
}

/// Takes all connections of a server of its own.
pub(super) async fn look(program: &Path) -> Result<Full> {
    let good = FakeTarget::start().await;
    let home = Home::new(&super::config(&good.url(), &good.url(), CONNECTIONS_MAX));
    let server = home.start(&program.to_string_lossy(), &["serve", "--log", "error", "--config", "fanfold.toml"]);
    let url = server.url().await;
    let address = url.trim_start_matches("http://");
    let mut inside = Client::open(address).await?;
    let mut taken = Vec::new();
    for _ in 1..CONNECTIONS_MAX {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(HELLO).await?;
        timeout(GOOD_PATIENCE, stream.read(&mut [0; 1024])).await.context("one of those there may be waits")??;
        taken.push(stream);
    }
    let mut waiting = Vec::new();
    for _ in 0..BEYOND {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(HELLO).await?;
        waiting.push(stream);
    }
    let within = inside.measure(LOOKED_AT, Connections::Kept).await.context("with no connection free")?;
    // What has come by now is there.
    let waited = waiting.iter().filter(|stream| stream.try_read(&mut [0; 1]).is_err()).count();
    drop(taken);
    let mut served_after = 0;
    for stream in &mut waiting {
        let served = timeout(GOOD_PATIENCE, stream.read(&mut [0; 1024])).await;
        served_after += usize::from(matches!(served, Ok(Ok(1..))));
        // It makes room for the next one.
        stream.shutdown().await?;
    }
    Ok(Full { waited, served_after, within })
}
