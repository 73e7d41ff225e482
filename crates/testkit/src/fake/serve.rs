//! The connections of a fake target.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use super::{Answer, Reply, Seen, Shared};
use crate::latch::Latch;
use crate::wire::{Framing, Reader};

/// What happens to a connection after a reply.
enum Then {
    GoOn,
    Close,
    Reset,
}

/// Speaks as `localhost`, with the certificate that comes with this crate.
pub(super) fn acceptor() -> TlsAcceptor {
    let chain = CertificateDer::pem_slice_iter(include_bytes!("tls/target.pem"));
    let chain = chain.collect::<Result<Vec<_>, _>>().expect("the certificate in this crate is PEM");
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("tls/target.key")).expect("the key in this crate is PEM");
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider supports the default versions")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("the key in this crate belongs to the certificate");
    TlsAcceptor::from(Arc::new(config))
}

/// Accepts connections until it is aborted, and all of them with it.
pub(super) async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        while connections.try_join_next().is_some() {}
        let (tls, shared) = (tls.clone(), Arc::clone(&shared));
        // What goes wrong on a connection is what the other side made of it, and the test looks there.
        connections.spawn(async move { drop(serve(stream, tls, &shared).await) });
    }
}

async fn serve(stream: TcpStream, tls: Option<TlsAcceptor>, shared: &Shared) -> io::Result<()> {
    let open = shared.record.connected();
    let reset = {
        let mut script = shared.script();
        let reset = script.resets > 0;
        script.resets -= usize::from(reset);
        reset
    };
    if reset {
        return stream.set_zero_linger();
    }
    stream.set_nodelay(true)?;
    match tls {
        None => {
            let mut reader = Reader::new(stream);
            match converse(&mut reader, open.number, shared).await? {
                Then::Reset => reader.stream.set_zero_linger(),
                Then::GoOn | Then::Close => reader.stream.shutdown().await,
            }
        }
        Some(tls) => {
            let mut reader = Reader::new(tls.accept(stream).await?);
            match converse(&mut reader, open.number, shared).await? {
                Then::Reset => reader.stream.get_ref().0.set_zero_linger(),
                Then::GoOn | Then::Close => reader.stream.shutdown().await,
            }
        }
    }
}

/// Answers one request after the other until one of them ends the connection.
async fn converse<S>(reader: &mut Reader<S>, connection: u64, shared: &Shared) -> io::Result<Then>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(head) = reader.head().await? {
        let framing = head.framing()?.unwrap_or(Framing::Length(0));
        let body = reader.body(framing).await?;
        let mut line = head.first_line.split(' ');
        let (method, uri) = (line.next().unwrap_or_default(), line.next().unwrap_or_default());
        let request = shared.record.add(connection, method, uri, head.fields, body);
        let reply = shared.script().choose(&request);
        shared.record.decided(request.number, reply.applies());
        match act(reader, reply, &request).await? {
            Then::GoOn => {}
            end => return Ok(end),
        }
    }
    Ok(Then::Close)
}

async fn act<S>(reader: &mut Reader<S>, mut reply: Reply, request: &Seen) -> io::Result<Then>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    while let Reply::After(latch, then) = reply {
        wait_at(&latch, reader).await?;
        reply = *then;
    }
    match reply {
        Reply::After(..) | Reply::Reset { .. } => return Ok(Then::Reset),
        Reply::Close { .. } => return Ok(Then::Close),
        Reply::Never { .. } => {
            // Whatever the other side still sends, or its end.
            reader.body(Framing::UntilClose).await?;
            return Ok(Then::Close);
        }
        Reply::Answer(answer) => {
            let body = if request.method == "HEAD" { Bytes::new() } else { answer.body.clone() };
            say(&mut reader.stream, &head(&answer, &length(&answer, answer.body.len())), &body).await?;
            return Ok(if answer.close { Then::Close } else { Then::GoOn });
        }
        Reply::Half(answer, octets) => {
            let part = answer.body.slice(..octets.min(answer.body.len()));
            say(&mut reader.stream, &head(&answer, &length(&answer, answer.body.len())), &part).await?;
        }
        Reply::WrongLength(answer, claimed) => {
            say(&mut reader.stream, &head(&answer, &length(&answer, claimed)), &answer.body).await?;
        }
        Reply::Slow(answer, piece, latch) => {
            say(&mut reader.stream, &head(&answer, "transfer-encoding: chunked\r\n"), b"").await?;
            for chunk in answer.body.chunks(piece.max(1)) {
                wait_at(&latch, reader).await?;
                say(&mut reader.stream, &format!("{:x}\r\n", chunk.len()), &[chunk, b"\r\n"].concat()).await?;
            }
            wait_at(&latch, reader).await?;
            say(&mut reader.stream, "0\r\n\r\n", b"").await?;
            return Ok(Then::GoOn);
        }
        Reply::Raw(octets) => say(&mut reader.stream, "", &octets).await?,
    }
    Ok(Then::Close)
}

/// Waits to be let through, but no longer than the other side does.
async fn wait_at<S: AsyncRead + Unpin>(latch: &Latch, reader: &mut Reader<S>) -> io::Result<()> {
    tokio::select! {
        () = latch.wait() => Ok(()),
        ended = reader.ended() => Err(ended),
    }
}

async fn say<S: AsyncWrite + Unpin>(stream: &mut S, head: &str, body: &[u8]) -> io::Result<()> {
    stream.write_all(&[head.as_bytes(), body].concat()).await?;
    stream.flush().await
}

fn head(answer: &Answer, framing: &str) -> String {
    let reason = http::StatusCode::from_u16(answer.status).ok().and_then(|status| status.canonical_reason());
    let fields: String = answer.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let close = if answer.close { "connection: close\r\n" } else { "" };
    format!("HTTP/1.1 {} {}\r\n{fields}{close}{framing}\r\n", answer.status, reason.unwrap_or("-"))
}

/// The field that tells the length, where an answer of this status may have one.
fn length(answer: &Answer, length: usize) -> String {
    match answer.status {
        204 | 304 => String::new(),
        _ => format!("content-length: {length}\r\n"),
    }
}
