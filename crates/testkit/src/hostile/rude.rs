//! A target that answers so that whoever reads on is lost.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;

/// 10 MiB of nothing, in 10 KB.
const BOMB: &[u8] = include_bytes!("bomb.gz");

/// Between two octets of an answer that drips.
const DRIP: Duration = Duration::from_millis(100);

/// A target whose answer is that of the last segment of the path; see [`Rude::WAYS`].
#[derive(Debug)]
pub struct Rude {
    address: SocketAddr,
    _serving: JoinSet<()>,
}

impl Rude {
    /// How it can answer.
    pub const WAYS: [&'static str; 8] =
        ["bomb", "endless", "chunks", "drip", "drip-head", "head", "interim", "nonsense"];

    /// Starts one at `127.0.0.1`.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("there is a port left");
        let address = listener.local_addr().expect("it listens");
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            // Ended with all that it has taken in.
            let mut connections = JoinSet::new();
            loop {
                let Ok((stream, _)) = listener.accept().await else { continue };
                while connections.try_join_next().is_some() {}
                connections.spawn(async move {
                    // Whoever has had enough closes.
                    drop(answer(stream).await);
                });
            }
        });
        Self { address, _serving: serving }
    }

    /// Where it is.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

async fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.windows(4).any(|four| four == b"\r\n\r\n") {
        if stream.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let path = head.split(' ').nth(1).unwrap_or_default();
    match path.rsplit('/').next().unwrap_or_default() {
        "bomb" => {
            let fields = format!("content-encoding: gzip\r\ncontent-length: {}\r\nconnection: close\r\n", BOMB.len());
            stream
                .write_all(format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n{fields}\r\n").as_bytes())
                .await?;
            stream.write_all(BOMB).await?;
            stream.shutdown().await
        }
        "endless" => {
            stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
            forever(&mut stream, &[b'x'; 64 * 1024]).await
        }
        "chunks" => {
            stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await?;
            forever(&mut stream, &b"1\r\nx\r\n".repeat(4096)).await
        }
        "drip" => {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n").await?;
            drip(&mut stream).await
        }
        "drip-head" => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nx-a: ").await?;
            drip(&mut stream).await
        }
        "head" => {
            stream.write_all(b"HTTP/1.1 200 OK\r\n").await?;
            forever(&mut stream, b"x-a: b\r\n").await
        }
        "interim" => forever(&mut stream, b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n").await,
        _ => stream.write_all(b"\0\xff\xfe nonsense\r\n\r\n").await,
    }
}

async fn forever(stream: &mut TcpStream, octets: &[u8]) -> std::io::Result<()> {
    loop {
        stream.write_all(octets).await?;
    }
}

async fn drip(stream: &mut TcpStream) -> std::io::Result<()> {
    loop {
        stream.write_all(b"x").await?;
        sleep(DRIP).await;
    }
}
