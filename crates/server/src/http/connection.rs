//! One connection, from the first byte to the last.

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::metrics::Rejected;
use super::server::Server;
use super::watched::Watched;
use super::wire::Wire;
use super::{ServerConfig, handshake, outcome};

/// What the parser takes beyond the configured size of a head, so that heads which are a little too large are refused in the
/// words of the dialect.
const PARSER_MARGIN: usize = 16 * 1024;

/// How long what a client still sends is read and thrown away after the last answer. Closing at once would reset the
/// connection, and the client might lose the answer that it has not read yet.
const LINGER: Duration = Duration::from_secs(2);

/// How much of it, at the most.
const LINGER_BYTES_MAX: usize = 8 * 1024 * 1024;

/// What is said to a client whose head does not come to an end (RFC 9110, section 15.5.9).
const TOO_SLOW: &[u8] = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// Answers the requests of one connection until it ends or the server stops.
pub(super) async fn serve(server: Server, stream: TcpStream, address: SocketAddr) {
    let _connected = server.shared().metrics.connected();
    // Answers are written whole, and waiting to fill a packet helps nobody.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(http.peer = %address, %error, "the connection broke before its first request");
        return;
    }
    let Some((wire, peer)) = handshake::open(&server, stream, address).await else { return };
    let (stream, doubts) = Watched::new(wire);
    let answering = server.clone();
    let service = service_fn(move |mut request: Request<Incoming>| {
        let (server, peer) = (answering.clone(), peer.clone());
        let doubt = doubts.of_next();
        if let Some(doubt) = doubt {
            server.shared().metrics.rejected(Rejected::Malformed);
            // It goes the way of every request, and is refused in the words of its dialect by `head::check`.
            request.extensions_mut().insert(doubt);
        }
        // On the heap, because it is large and has to stay where it is.
        Box::pin(async move {
            let response = server.answer(peer, request).await;
            // What follows on the connection may be a part of what was refused.
            let is_last = doubt.is_some() || server.shared().is_stopping();
            Ok::<_, Infallible>(if is_last { outcome::closing(response) } else { response })
        })
    });
    let mut connection = builder(&server.shared().config).serve_connection(TokioIo::new(stream), service);
    let ended = tokio::select! {
        ended = poll_fn(|cx| connection.poll_without_shutdown(cx)) => Some(ended),
        () = server.shared().stopping() => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            Pin::new(&mut connection).graceful_shutdown();
            poll_fn(|cx| connection.poll_without_shutdown(cx)).await
        }
    };
    let parts = connection.into_parts();
    let stream = parts.io.into_inner().into_inner();
    if let Err(error) = ended {
        tracing::debug!(http.peer = %address, %error, "a connection ended before its time");
        count(&server, &error);
        // One that merely was idle has nothing to be told.
        if error.is_timeout() && !parts.read_buf.is_empty() {
            return say_last(stream, TOO_SLOW).await;
        }
    }
    linger(stream).await;
}

/// Says this on a connection that is closed then. Whether the client hears it is its own business.
pub(super) async fn say_last(mut stream: Wire, words: &[u8]) {
    let _ = timeout(LINGER, stream.write_all(words)).await;
    linger(stream).await;
}

fn builder(config: &ServerConfig) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(config.head_time_max)
        .max_headers(config.header_fields_max.saturating_mul(2))
        .max_buf_size(config.head_bytes_max.saturating_mul(2).saturating_add(PARSER_MARGIN));
    builder
}

fn count(server: &Server, error: &hyper::Error) {
    let metrics = &server.shared().metrics;
    if error.is_timeout() {
        metrics.rejected(Rejected::TooSlow);
    } else if error.is_parse_too_large() {
        metrics.rejected(Rejected::HeadTooLarge);
    } else if error.is_parse() {
        metrics.rejected(Rejected::Malformed);
    }
}

/// Closes our side, and waits a little for the other one.
async fn linger(mut stream: Wire) {
    let drain = async {
        // Within TLS this writes, for which the client has to read.
        if stream.shutdown().await.is_err() {
            return;
        }
        let mut thrown_away = [0; 8 * 1024];
        let mut left = LINGER_BYTES_MAX;
        while let Ok(read @ 1..) = stream.read(&mut thrown_away).await {
            left = left.saturating_sub(read);
            if left == 0 {
                break;
            }
        }
    };
    // On time or not, that was the last of it.
    let _ = timeout(LINGER, Box::pin(drain)).await;
}
