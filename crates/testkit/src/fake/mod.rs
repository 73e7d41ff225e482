//! Targets over real sockets that answer as they are told, politely or not, and record everything that reaches them.
//!
//! One server for all manners, over plain TCP: what a polite target says is put together by pure functions ([`Resources`],
//! [`Controller`]), and what a rude one does needs the bare connection anyway.

mod controller;
mod record;
mod reply;
mod resources;
mod serve;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

pub use controller::{Controller, Ending};
pub use record::Seen;
pub use reply::{Answer, Reply};
pub use resources::Resources;

use record::Record;
use reply::Script;

/// The certificate, in PEM, of the authority that vouches for fake targets with TLS.
pub const AUTHORITY: &str = include_str!("tls/authority.pem");

/// The polite part of a fake target.
pub trait Service: Send + Sync {
    /// What is answered to a request; `None`: the service has no opinion.
    fn answer(&self, request: &Seen) -> Option<Reply>;
}

/// A target on a port of its own. It is gone when this is dropped.
pub struct FakeTarget {
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
    shared: Arc<Shared>,
    /// One task; none while it is stopped.
    server: JoinSet<()>,
}

/// What the server's tasks and the test have in common.
#[derive(Default)]
pub(crate) struct Shared {
    script: Mutex<Script>,
    pub(crate) record: Record,
}

impl FakeTarget {
    /// Starts one at `127.0.0.1`. Until told otherwise it answers everything with 200 and `{}`.
    pub async fn start() -> Self {
        Self::start_at("127.0.0.1:0", None).await
    }

    /// Starts one at `[::1]`.
    pub async fn start_v6() -> Self {
        Self::start_at("[::1]:0", None).await
    }

    /// Starts one that speaks TLS, as `localhost`, with a certificate of [`AUTHORITY`].
    pub async fn start_tls() -> Self {
        Self::start_at("127.0.0.1:0", Some(serve::acceptor())).await
    }

    async fn start_at(address: &str, tls: Option<TlsAcceptor>) -> Self {
        let listener = TcpListener::bind(address).await.expect("the loopback interface has free ports");
        let address = listener.local_addr().expect("a listener has an address");
        let shared = Arc::new(Shared::default());
        let mut server = JoinSet::new();
        server.spawn(serve::accept(listener, tls.clone(), Arc::clone(&shared)));
        Self { address, tls, shared, server }
    }

    /// Where it listens, or listened.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL, without a slash at the end.
    pub fn url(&self) -> String {
        match self.tls {
            Some(_) => format!("https://localhost:{}", self.address.port()),
            None => format!("http://{}", self.address),
        }
    }

    /// Answers the next request of this method (`*`: any) and path (with `*` at the end: this and everything below) so. Each
    /// reply is used once, in the order given, before those of [`FakeTarget::on`].
    pub fn once(&self, method: &str, path: &str, reply: impl Into<Reply>) {
        self.script().once(method, path, reply.into());
    }

    /// Answers every request of this method and path so. What was said last counts.
    pub fn on(&self, method: &str, path: &str, reply: impl Into<Reply>) {
        self.script().always(method, path, reply.into());
    }

    /// Lets a service answer what no rule answers. The one that was added first is asked first.
    pub fn serve(&self, service: impl Service + 'static) {
        self.script().services.push(Arc::new(service));
    }

    /// Resets the next so many connections before anything is read.
    pub fn reset_connections(&self, count: usize) {
        self.script().resets += count;
    }

    /// Everything that was received so far, in order.
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.record.all()
    }

    /// Waits until so many requests were received in all, and gives them.
    pub async fn wait_for(&self, count: usize) -> Vec<Seen> {
        self.shared.record.wait_for(count).await
    }

    /// How many connections were made to it so far.
    pub fn connections(&self) -> u64 {
        self.shared.record.connections()
    }

    /// Waits until all its connections are closed.
    pub async fn wait_until_left_alone(&self) {
        self.shared.record.wait_until_left_alone().await;
    }

    /// Closes all connections and listens no more: connections to it are refused.
    pub async fn stop(&mut self) {
        // This waits for the end of the task, and so for the port to be closed.
        self.server.shutdown().await;
    }

    /// Listens again, at the same port.
    pub async fn start_again(&mut self) {
        self.stop().await;
        let listener = TcpListener::bind(self.address).await.expect("the port was ours a moment ago");
        self.server.spawn(serve::accept(listener, self.tls.clone(), Arc::clone(&self.shared)));
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.shared.script()
    }
}

impl Shared {
    pub(crate) fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for FakeTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FakeTarget").field("address", &self.address).finish_non_exhaustive()
    }
}
