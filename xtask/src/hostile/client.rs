//! A client that behaves well, and measures how long it waits.

use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use super::GOOD_PATIENCE;

/// Between two requests.
const PAUSE: Duration = Duration::from_millis(10);

/// How long it waited for answers, sorted.
#[derive(Debug, Default)]
pub(super) struct Waits {
    waits: Vec<Duration>,
    pub(super) hangs: u64,
}

/// On which connections it makes its requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Connections {
    /// On the one that it has.
    Kept,
    /// On a new one each.
    New,
}

/// A client with a connection.
#[derive(Debug)]
pub(super) struct Client {
    address: String,
    kept: TcpStream,
    number: u64,
}

impl Client {
    pub(super) async fn open(address: &str) -> Result<Self> {
        let kept = TcpStream::connect(address).await.context("the server takes no connection")?;
        Ok(Self { address: address.to_owned(), kept, number: 0 })
    }

    /// Makes one request after the other for so long: a change, then a look at the list.
    pub(super) async fn measure(&mut self, span: Duration, connections: Connections) -> Result<Waits> {
        let until = Instant::now() + span;
        let mut measured = Waits::default();
        while Instant::now() < until {
            self.number += 1;
            let number = self.number;
            let request = if number.is_multiple_of(2) {
                "GET /api/v1/operations?limit=1 HTTP/1.1\r\nhost: localhost\r\n\r\n".to_owned()
            } else {
                format!("PUT /things/{number} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 2\r\n\r\n{{}}")
            };
            let begun = Instant::now();
            let exchange = async {
                match connections {
                    Connections::Kept => answered(&mut self.kept, &request).await,
                    Connections::New => answered(&mut TcpStream::connect(&self.address).await?, &request).await,
                }
            };
            match timeout(GOOD_PATIENCE, exchange).await {
                Ok(answered) => {
                    answered.with_context(|| format!("no good answer to {request:?}"))?;
                    measured.waits.push(begun.elapsed());
                }
                Err(_) => {
                    measured.hangs += 1;
                    *self = Self { number, ..Self::open(&self.address).await? };
                }
            }
            sleep(PAUSE).await;
        }
        measured.waits.sort_unstable();
        Ok(measured)
    }
}

/// Two clients at once for so long: one with a connection that it keeps, and one that comes anew each time.
pub(super) async fn measure_both(address: &str, span: Duration) -> Result<(Waits, Waits)> {
    let (mut one, mut other) = (Client::open(address).await?, Client::open(address).await?);
    let (kept, new) = tokio::join!(one.measure(span, Connections::Kept), other.measure(span, Connections::New));
    Ok((kept?, new?))
}

/// Sends a request and reads its answer, which has to be a success.
async fn answered(stream: &mut TcpStream, request: &str) -> Result<()> {
    stream.write_all(request.as_bytes()).await?;
    let mut octets = Vec::new();
    loop {
        if stream.read_buf(&mut octets).await? == 0 {
            anyhow::bail!("the connection was closed");
        }
        let Some(end) = octets.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&octets[..end]).to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
        let length = length.with_context(|| format!("no length in {head:?}"))?;
        if octets.len() >= end + 4 + length {
            anyhow::ensure!(head.starts_with("http/1.1 20"), "{head:?}");
            return Ok(());
        }
    }
}

impl Waits {
    pub(super) fn count(&self) -> usize {
        self.waits.len()
    }

    /// How long so many of a hundred waited at the most, in milliseconds.
    pub(super) fn percentile_ms(&self, percent: usize) -> f64 {
        let at = (self.waits.len() * percent / 100).min(self.waits.len().saturating_sub(1));
        self.waits.get(at).map_or(0.0, |wait| wait.as_secs_f64() * 1000.0)
    }
}
