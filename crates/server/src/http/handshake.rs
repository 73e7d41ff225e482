//! From a connection that was taken in to one that requests can be read from.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use fanfold_core::dialect::{Refusal, Reply};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::client_certificate::ClientCertificate;
use super::connection;
use super::metrics::Rejected;
use super::patient::Patient;
use super::server::{Server, Shared};
use super::tls::Tls;
use super::wire::{Peer, Wire};

/// How often it is told, at the most, that handshakes do not succeed: anybody can make one fail.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// What came of a connection.
enum Opened {
    /// Requests can be read from it, and this is what the client has shown.
    Ready(Wire, Option<ClientCertificate>),
    /// Its client speaks HTTP without TLS.
    InClear(Wire),
    /// It was closed before it began, as by those who merely look whether somebody listens.
    Nothing,
}

/// Handshakes that did not succeed, as far as that was not told yet.
#[derive(Debug, Default)]
pub(super) struct Troubles(Mutex<Untold>);

#[derive(Debug, Default)]
struct Untold {
    count: u64,
    told_at: Option<Instant>,
}

/// Speaks TLS on a connection where that is configured, within the time for it. `None` if nothing came of it.
pub(super) async fn open(server: &Server, stream: TcpStream, address: SocketAddr) -> Option<(Wire, Peer)> {
    let shared = server.shared();
    let patient = |stream| Patient::new(stream, shared.config.write_idle_max);
    let Some(tls) = shared.tls() else {
        return Some((Wire::Plain(patient(stream)), Peer { address, is_encrypted: false, certificate: None }));
    };
    let opened = tokio::select! {
        opened = timeout(shared.config.handshake_time_max, Box::pin(shake_hands(tls, stream, patient))) => opened,
        () = shared.stopping() => return None,
    };
    match opened {
        Ok(Ok(Opened::Ready(wire, certificate))) => {
            return Some((wire, Peer { address, is_encrypted: true, certificate: certificate.map(Arc::new) }));
        }
        Ok(Ok(Opened::InClear(wire))) => {
            failed(shared, address, "the client speaks no TLS");
            connection::say_last(wire, &speak_tls(shared)).await;
        }
        Ok(Ok(Opened::Nothing)) => {}
        Ok(Err(error)) => failed(shared, address, &error.to_string()),
        Err(_) => failed(shared, address, "the client took too long"),
    }
    None
}

async fn shake_hands(tls: Tls, stream: TcpStream, patient: impl Fn(TcpStream) -> Patient) -> io::Result<Opened> {
    let mut first = [0];
    if stream.peek(&mut first).await? == 0 {
        return Ok(Opened::Nothing);
    }
    // A handshake begins with 22; a request with the name of its method.
    if first[0].is_ascii_alphabetic() {
        return Ok(Opened::InClear(Wire::Plain(patient(stream))));
    }
    let stream = tls.acceptor().accept(patient(stream)).await?;
    let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let certificate = ClientCertificate::new(chain, tls).map_err(io::Error::other)?;
    Ok(Opened::Ready(Wire::Tls(Box::new(stream)), certificate))
}

/// What is said to a client that speaks HTTP without TLS. Its request is not read.
fn speak_tls(shared: &Shared) -> Vec<u8> {
    let detail = "this port speaks HTTPS only".to_owned();
    let Reply { status, headers, body } = shared.front().native().wire().refuse(&Refusal::BadValue { detail });
    let fields: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let length = body.len();
    let head = format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n{fields}\r\n");
    [head.as_bytes(), &body].concat()
}

fn failed(shared: &Shared, peer: SocketAddr, why: &str) {
    shared.metrics.rejected(Rejected::NoHandshake);
    tracing::debug!(http.peer = %peer, why, "a handshake did not succeed");
    if let Some(count) = shared.handshakes.failed(Instant::now()) {
        tracing::info!(http.peer = %peer, why, count, "handshakes do not succeed; this is the latest of them");
    }
}

impl Troubles {
    /// Counts one more; gives how many were not told of yet, if it is time to tell.
    fn failed(&self, now: Instant) -> Option<u64> {
        let mut untold = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        untold.count += 1;
        if untold.told_at.is_some_and(|told_at| now.duration_since(told_at) < TELL_EVERY) {
            return None;
        }
        untold.told_at = Some(now);
        Some(std::mem::take(&mut untold.count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_failures_are_told_of_once_in_a_while() {
        let (troubles, now) = (Troubles::default(), Instant::now());
        assert_eq!(troubles.failed(now), Some(1));
        for _ in 0..1000 {
            assert_eq!(troubles.failed(now + TELL_EVERY / 2), None);
        }
        assert_eq!(troubles.failed(now + TELL_EVERY), Some(1001));
        assert_eq!(troubles.failed(now + TELL_EVERY), None);
    }
}
