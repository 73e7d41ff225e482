//! A target that answers everything with 200 and remembers nothing itself, however much is asked of it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// The longest body that it reads.
const BODY_MAX: u64 = 1024 * 1024;

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";

/// Hears the first line of each request as it comes.
type Ear = Arc<dyn Fn(&str) + Send + Sync>;

/// It answers until this is dropped.
pub(crate) struct Target {
    pub(crate) address: SocketAddr,
    _serving: JoinSet<()>,
}

impl Target {
    /// One that takes so long for each answer.
    pub(crate) async fn start(takes: Duration, ear: impl Fn(&str) + Send + Sync + 'static) -> Result<Self> {
        let ear: Ear = Arc::new(ear);
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let ear = Arc::clone(&ear);
                connections.spawn(async move {
                    // It ends when the other side closes it.
                    drop(answer_all(stream, takes, &ear).await);
                });
            }
        });
        Ok(Self { address, _serving: serving })
    }
}

async fn answer_all(stream: TcpStream, takes: Duration, ear: &Ear) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    let (mut line, mut body, mut length, mut is_first) = (String::new(), Vec::new(), 0, true);
    loop {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        if is_first {
            ear(line.trim_end());
            is_first = false;
        }
        let line = line.trim().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0).min(BODY_MAX);
        }
        if line.is_empty() {
            body.clear();
            (&mut stream).take(length).read_to_end(&mut body).await?;
            (length, is_first) = (0, true);
            if !takes.is_zero() {
                tokio::time::sleep(takes).await;
            }
            stream.write_all(ANSWER).await?;
        }
    }
}
