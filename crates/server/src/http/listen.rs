//! Takes connections in, as many at a time as configured, and sees them through to their end.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::connection;
use super::server::{Server, report};

/// How long to wait after the operating system refused to give a connection: it is out of file descriptors or memory, and
/// asking again at once would only burn time.
const ACCEPT_PAUSE: Duration = Duration::from_millis(500);

/// Takes connections in until the server is asked to stop. Gives the number of those that were cut off at the end.
pub(super) async fn run(server: Server, listener: TcpListener) -> usize {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            biased;
            () = server.shared().stopping() => break,
            Some(ended) = connections.join_next() => report(ended),
            (stream, peer, permit) = next(&server, &listener) => {
                let server = server.clone();
                connections.spawn(async move {
                    connection::serve(server, stream, peer).await;
                    drop(permit);
                });
            }
        }
    }
    // From here on the operating system refuses further connections.
    drop(listener);
    end(connections, server.shared().config.shutdown_grace).await
}

/// The next connection, once there is room for it.
async fn next(server: &Server, listener: &TcpListener) -> (TcpStream, SocketAddr, OwnedSemaphorePermit) {
    let connections = Arc::clone(&server.shared().connections);
    let permit = connections.acquire_owned().await.expect("nobody closes the semaphore");
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => return (stream, peer, permit),
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::error!(%error, "cannot take a connection in");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Whether it was the connection that broke before it was taken in; the next one may be well.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// Lets connections end for as long as `grace`, and then cuts off those that are left.
async fn end(mut connections: JoinSet<()>, grace: Duration) -> usize {
    let all = async {
        while let Some(ended) = connections.join_next().await {
            report(ended);
        }
    };
    if timeout(grace, all).await.is_ok() {
        return 0;
    }
    let cut_off = connections.len();
    tracing::warn!(connections = cut_off, "requests did not end in time, and are cut off");
    connections.shutdown().await;
    cut_off
}
