//! A small HTTP client for tests: sends what it is told, follows nothing, keeps nothing.

use std::fmt::Debug;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::certificates::Identity;
use crate::patience::patiently;
use crate::wire::{Framing, Reader, field};

/// A client of one server.
#[derive(Debug, Clone)]
pub struct Http {
    address: String,
    headers: Vec<(String, String)>,
    tls: Option<Arc<ClientConfig>>,
}

/// An answer.
#[derive(Debug, Clone)]
pub struct HttpAnswer {
    /// The status code.
    pub status: u16,
    /// The fields in order; names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
}

/// A connection on which anything may be sent.
#[derive(Debug)]
pub struct RawConnection(Reader<Box<dyn Stream>>);

/// What a connection is made of.
trait Stream: AsyncRead + AsyncWrite + Debug + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Debug + Send + Unpin> Stream for S {}

impl Http {
    /// A client of the server at `base`: `http://host:port`, or `host:port`. One of `https://host:port` has to trust somebody, too.
    pub fn new(base: &str) -> Self {
        let address =
            base.trim_start_matches("http://").trim_start_matches("https://").trim_end_matches('/').to_owned();
        Self { address, headers: Vec::new(), tls: None }
    }

    /// The same, over TLS, trusting this authority (PEM) alone.
    #[must_use]
    pub fn trusting(self, authority: &str) -> Self {
        self.encrypting(authority, None)
    }

    /// The same, and showing a certificate to servers that ask for one.
    #[must_use]
    pub fn trusting_as(self, authority: &str, identity: &Identity) -> Self {
        self.encrypting(authority, Some(identity))
    }

    fn encrypting(mut self, authority: &str, identity: Option<&Identity>) -> Self {
        let mut roots = RootCertStore::empty();
        let authority = CertificateDer::from_pem_slice(authority.as_bytes()).expect("the authority is PEM");
        roots.add(authority).expect("the authority is one");
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the library has both versions")
            .with_root_certificates(roots);
        let config = match identity {
            None => config.with_no_client_auth(),
            Some(identity) => {
                let chain = CertificateDer::pem_slice_iter(identity.chain.as_bytes());
                let chain = chain.map(|one| one.expect("the certificate is PEM")).collect();
                let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).expect("the key is PEM");
                config.with_client_auth_cert(chain, key).expect("they belong together")
            }
        };
        self.tls = Some(Arc::new(config));
        self
    }

    /// The same, with a field that every request carries.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// `GET`.
    pub async fn get(&self, path: &str) -> HttpAnswer {
        self.request("GET", path, b"").await
    }

    /// `DELETE`.
    pub async fn delete(&self, path: &str) -> HttpAnswer {
        self.request("DELETE", path, b"").await
    }

    /// `POST` with a JSON body.
    pub async fn post(&self, path: &str, body: &Value) -> HttpAnswer {
        self.clone().with("content-type", "application/json").request("POST", path, body.to_string().as_bytes()).await
    }

    /// `PUT` with a JSON body.
    pub async fn put(&self, path: &str, body: &Value) -> HttpAnswer {
        self.clone().with("content-type", "application/json").request("PUT", path, body.to_string().as_bytes()).await
    }

    /// `PATCH` with a JSON body.
    pub async fn patch(&self, path: &str, body: &Value) -> HttpAnswer {
        self.clone().with("content-type", "application/json").request("PATCH", path, body.to_string().as_bytes()).await
    }

    /// Any method, any body. Panics if there is no answer; see [`Http::try_request`].
    pub async fn request(&self, method: &str, path: &str, body: &[u8]) -> HttpAnswer {
        let answer = self.try_request(method, path, body).await;
        answer.unwrap_or_else(|error| panic!("no answer to {method} {path}: {error}"))
    }

    /// Any method, any body, and perhaps no answer: while a server is killed, for instance.
    ///
    /// # Errors
    /// If the connection is refused or breaks before the answer is complete.
    pub async fn try_request(&self, method: &str, path: &str, body: &[u8]) -> io::Result<HttpAnswer> {
        let fields: String = self.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let length = if body.is_empty() { String::new() } else { format!("content-length: {}\r\n", body.len()) };
        let host = &self.address;
        let head = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\n{fields}{length}connection: close\r\n\r\n");
        let exchange = async {
            let mut connection = self.connect().await?;
            connection.try_send(&[head.as_bytes(), body].concat()).await?;
            connection.try_answer(method == "HEAD").await
        };
        patiently(exchange, || format!("for the answer to {method} {path}")).await
    }

    /// Opens a connection on which anything may be sent. Panics if it is refused.
    pub async fn open(&self) -> RawConnection {
        let connection = patiently(self.connect(), || format!("for a connection to {}", self.address)).await;
        connection.unwrap_or_else(|error| panic!("no connection to {}: {error}", self.address))
    }

    /// The certificate that the server shows, in DER.
    ///
    /// # Errors
    /// If it shows none that is trusted.
    pub async fn certificate(&self) -> io::Result<Vec<u8>> {
        let config = self.tls.as_ref().expect("certificates are shown to clients that speak TLS");
        let stream = patiently(self.encrypted(config), || format!("for a connection to {}", self.address)).await?;
        let (_, session) = stream.get_ref();
        Ok(session.peer_certificates().expect("servers show one")[0].to_vec())
    }

    async fn connect(&self) -> io::Result<RawConnection> {
        let stream: Box<dyn Stream> = match &self.tls {
            None => Box::new(TcpStream::connect(&self.address).await?),
            Some(config) => Box::new(self.encrypted(config).await?),
        };
        Ok(RawConnection(Reader::new(stream)))
    }

    async fn encrypted(&self, config: &Arc<ClientConfig>) -> io::Result<TlsStream<TcpStream>> {
        let (host, _) = self.address.rsplit_once(':').expect("the address has a port");
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        TlsConnector::from(Arc::clone(config)).connect(name, TcpStream::connect(&self.address).await?).await
    }

    /// Sends these octets on a connection of its own and gives everything that comes back until it is closed.
    pub async fn raw(&self, octets: &[u8]) -> String {
        let mut connection = self.open().await;
        connection.send(octets).await;
        connection.rest().await
    }
}

impl HttpAnswer {
    /// The first field of this name (in lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        field(&self.headers, name)
    }

    /// The body as text, as far as it is.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON. Panics with the body if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {:?}", self.text()))
    }
}

impl RawConnection {
    /// Sends octets. Panics if the connection is closed.
    pub async fn send(&mut self, octets: &[u8]) {
        self.try_send(octets).await.expect("the connection is open");
    }

    /// Sends octets.
    ///
    /// # Errors
    /// If the connection is closed.
    pub async fn try_send(&mut self, octets: &[u8]) -> io::Result<()> {
        self.0.stream.write_all(octets).await?;
        // Within TLS what was written may wait here.
        self.0.stream.flush().await
    }

    /// Sends a request and reads its answer, if there is one.
    ///
    /// # Errors
    /// If the connection is closed, or breaks before the answer is complete.
    pub async fn exchange(&mut self, octets: &[u8]) -> io::Result<HttpAnswer> {
        let exchange = async {
            self.0.stream.write_all(octets).await?;
            self.try_answer(false).await
        };
        patiently(exchange, || "for an answer".to_owned()).await
    }

    /// Reads an answer. Panics if there is none.
    pub async fn answer(&mut self) -> HttpAnswer {
        let answer = patiently(self.try_answer(false), || "for an answer".to_owned()).await;
        answer.unwrap_or_else(|error| panic!("no answer: {error}"))
    }

    /// Reads up to and including `pattern`: the next event of a stream, for instance. Panics if the connection ends before.
    pub async fn until(&mut self, pattern: &str) -> String {
        let found = patiently(self.0.until(pattern.as_bytes()), || format!("for {pattern:?}")).await;
        let found = found.unwrap_or_else(|error| panic!("no {pattern:?}: {error}"));
        String::from_utf8_lossy(&found).into_owned()
    }

    /// Reads everything until the connection is closed, or reset.
    pub async fn rest(&mut self) -> String {
        let rest = patiently(self.0.body(Framing::UntilClose), || "for the end of a connection".to_owned()).await;
        rest.map(|rest| String::from_utf8_lossy(&rest).into_owned()).unwrap_or_default()
    }

    async fn try_answer(&mut self, to_head: bool) -> io::Result<HttpAnswer> {
        loop {
            let head = self.0.head().await?.ok_or(io::ErrorKind::UnexpectedEof)?;
            let status = head.first_line.split(' ').nth(1).and_then(|status| status.parse().ok());
            let status: u16 = status.ok_or_else(|| io::Error::other(format!("no status: {}", head.first_line)))?;
            if (100..200).contains(&status) && status != 101 {
                continue;
            }
            let framing = match status {
                101 | 204 | 304 => Framing::Length(0),
                _ if to_head => Framing::Length(0),
                _ => head.framing()?.unwrap_or(Framing::UntilClose),
            };
            let body = self.0.body(framing).await?;
            return Ok(HttpAnswer { status, headers: head.fields, body });
        }
    }
}
