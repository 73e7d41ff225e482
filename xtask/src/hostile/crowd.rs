//! Many connections that do nothing, or that send a head or a body an octet at a time, and come again when they are closed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// Between two octets of one that is slow.
const DRIP: Duration = Duration::from_secs(2);

/// How many are opened at the same time.
const AT_ONCE: usize = 64;

/// How long all of them may take to be taken in.
const GATHERED: Duration = Duration::from_secs(60);

/// How long one that was closed waits where it is not taken in again.
const AGAIN: Duration = Duration::from_millis(100);

/// How many answers are asked for by one that takes none, and for how long it takes none.
const DEAF_TO: usize = 4;
const DEAF_FOR: Duration = Duration::from_secs(40);

/// What each of them does.
#[derive(Debug, Clone, Copy)]
enum Way {
    /// Makes a request, and then nothing.
    Idle,
    /// Never comes to the end of its head.
    Head,
    /// Never comes to the end of its body.
    Body,
    /// Asks for an answer that it does not take.
    Deaf,
}

impl Way {
    /// One in fifty is deaf: what it does not take fills the buffers of the machine.
    fn of(number: usize) -> Self {
        match (number % 50, number % 3) {
            (0, _) => Self::Deaf,
            (_, 0) => Self::Idle,
            (_, 1) => Self::Head,
            _ => Self::Body,
        }
    }
}

/// All of them. They are gone when this is dropped.
#[derive(Debug)]
pub(super) struct Crowd {
    all: JoinSet<()>,
    reopened: Arc<AtomicU64>,
}

impl Crowd {
    /// Opens so many, and gives them once all have been taken in.
    pub(super) async fn gather(address: &str, count: usize) -> Result<Self> {
        let mut crowd = Self { all: JoinSet::new(), reopened: Arc::default() };
        let gathering = async {
            for begin in (0..count).step_by(AT_ONCE) {
                let mut opening = JoinSet::new();
                for number in begin..count.min(begin + AT_ONCE) {
                    let address = address.to_owned();
                    opening.spawn(async move { (number, TcpStream::connect(address).await) });
                }
                while let Some(opened) = opening.join_next().await {
                    let (number, stream) = opened.context("nothing panics there")?;
                    let way = Way::of(number);
                    let stream = stream.with_context(|| format!("connection {number} was refused"))?;
                    crowd.all.spawn(stay(address.to_owned(), stream, way, Arc::clone(&crowd.reopened)));
                }
            }
            Ok::<_, anyhow::Error>(())
        };
        timeout(GATHERED, gathering).await.context("not all connections were taken in")??;
        Ok(crowd)
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// How often one was closed and came again.
    pub(super) fn reopened(&self) -> u64 {
        self.reopened.load(Ordering::Relaxed)
    }
}

/// Does what it does for as long as it is let.
async fn stay(address: String, mut stream: TcpStream, way: Way, reopened: Arc<AtomicU64>) {
    loop {
        // It ends when the server has had enough.
        drop(be(&mut stream, way).await);
        reopened.fetch_add(1, Ordering::Relaxed);
        stream = loop {
            match TcpStream::connect(&address).await {
                Ok(stream) => break stream,
                Err(_) => sleep(AGAIN).await,
            }
        };
    }
}

async fn be(stream: &mut TcpStream, way: Way) -> std::io::Result<()> {
    let beginning: &[u8] = match way {
        Way::Idle => b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n",
        Way::Head => b"GET / HTTP/1.1\r\nhost: localhost\r\nx-a: ",
        Way::Body => b"PUT /things/slow HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100000\r\n\r\n",
        Way::Deaf => {
            let request = b"GET /openapi.json HTTP/1.1\r\nhost: localhost\r\n\r\n";
            stream.write_all(&request.repeat(DEAF_TO)).await?;
            sleep(DEAF_FOR).await;
            return Ok(());
        }
    };
    stream.write_all(beginning).await?;
    let mut octets = [0; 1024];
    loop {
        tokio::select! {
            read = stream.read(&mut octets) => if read? == 0 { return Ok(()) },
            () = sleep(DRIP) => if !matches!(way, Way::Idle) { stream.write_all(b"y").await? },
        }
    }
}
