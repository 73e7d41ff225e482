//! A node that may not send a notice any more when it is at last connected to the receiver.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use fanfold_engine::{Connecting, Network, RouteCallback, Socket};
use fanfold_testkit::{Latch, PATIENCE};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::super::stage::Setting;
use super::super::webhooks::{OLD, secret};
use super::cluster::{Cluster, SHORT};

/// The machine's own network, on which connecting takes as long as a test wants.
#[derive(Debug)]
struct Slow {
    connecting: Latch,
    connected: Latch,
    closed: Latch,
}

impl Slow {
    fn new() -> Arc<Self> {
        let [connecting, connected, closed] = [(); 3].map(|()| Latch::new());
        Arc::new(Self { connecting, connected, closed })
    }
}

impl Network for Slow {
    fn connect(&self, to: &str) -> Connecting {
        let (connecting, connected, closed) = (self.connecting.clone(), self.connected.clone(), self.closed.clone());
        let to = to.to_owned();
        Box::pin(async move {
            connecting.let_through(1);
            connected.wait().await;
            let stream = TcpStream::connect(to).await?;
            Ok(Box::new(Closing { stream, closed }) as Box<dyn Socket>)
        })
    }
}

/// A connection that tells when it is closed.
struct Closing {
    stream: TcpStream,
    closed: Latch,
}

impl Drop for Closing {
    fn drop(&mut self) {
        self.closed.let_through(1);
    }
}

impl Socket for Closing {
    fn other_side_closed(&self) -> bool {
        false
    }
}

impl AsyncRead for Closing {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Closing {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_stood_still_while_it_connected_does_not_send_the_notice_again() {
    let cluster = Cluster::new(SHORT).await;
    let receiver = &cluster.fakes[2];
    let url = format!("{}/hooks", receiver.url());
    let told = move |setting: &mut Setting<'_>| {
        let callback = RouteCallback { url: url.parse().unwrap(), secrets: Vec::new() };
        setting.config.notices.callbacks.insert("things".to_owned(), callback);
        setting.config.notices.secrets = vec![secret(OLD)];
        setting.config.notices.timeout = PATIENCE;
    };
    let (slow, told_slowly) = (Slow::new(), told.clone());
    let network = Arc::clone(&slow);
    let a = cluster.node("a", move |setting| {
        told_slowly(setting);
        setting.config.network = Some(network);
    });
    let (a, b) = (a.await, cluster.node("b", told).await);
    let id = a.accept("POST", "/things").await;
    b.ended(id).await;
    let within = async |latch: &Latch| tokio::time::timeout(PATIENCE, latch.wait()).await.unwrap();
    within(&slow.connecting).await;
    a.wire.cut(true);
    a.clock.stand_still(2 * SHORT);
    receiver.wait_for(1).await;
    slow.connected.open();
    within(&slow.closed).await;
    assert_eq!(receiver.seen().len(), 1, "only the one that took it over has sent it");
    // Nothing was recorded of the try that was called off, so the node still takes itself for one that is not fenced off.
    assert_eq!(a.stage.engine.metrics().leases_lost(), 0);
}
