//! A TCP proxy that stops forwarding when told: a partition between a client and its server.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Connections forwarded at the same time; more wait to be accepted.
const CONNECTIONS_MAX: usize = 256;

/// Octets read before they are written on.
const CHUNK_BYTES: usize = 16 * 1024;

/// A proxy on a free port of the loopback interface. All its connections close when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    state: watch::Sender<State>,
    _running: JoinSet<()>,
}

#[derive(Debug, Clone, Copy)]
struct State {
    mode: Mode,
    /// A connection ends when this is not what it was at its start. The mode alone would not do: who looks late would miss a
    /// cut that has been resumed.
    cuts: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Forward,
    Hang,
    Refuse,
}

impl Proxy {
    /// Forwards to an address, from now on.
    pub async fn start(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let (state, watched) = watch::channel(State { mode: Mode::Forward, cuts: 0 });
        let mut running = JoinSet::new();
        running.spawn(accept(listener, to, watched));
        Self { address, state, _running: running }
    }

    /// Where clients connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Forwards nothing, either way, and closes nothing. New connections are accepted, and hang as well.
    pub fn pause(&self) {
        self.state.send_modify(|state| state.mode = Mode::Hang);
    }

    /// Forwards again. What hung goes on without a loss.
    pub fn resume(&self) {
        self.state.send_modify(|state| state.mode = Mode::Forward);
    }

    /// Closes all connections, and each new one at once, until [`Proxy::resume`]. The port stays open, as another process could
    /// take it otherwise.
    pub fn cut(&self) {
        self.state.send_modify(|state| *state = State { mode: Mode::Refuse, cuts: state.cuts + 1 });
    }
}

async fn accept(listener: TcpListener, to: SocketAddr, state: watch::Receiver<State>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if connections.len() < CONNECTIONS_MAX => {
                // A client that is gone before it was accepted is none.
                let Ok((client, _)) = accepted else { continue };
                let born = *state.borrow();
                match born.mode {
                    Mode::Forward | Mode::Hang => {
                        connections.spawn(connection(client, to, state.clone(), born.cuts));
                    }
                    Mode::Refuse => drop(client),
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Both streams close with this.
async fn connection(client: TcpStream, to: SocketAddr, state: watch::Receiver<State>, cuts: u64) {
    let mut cut = state.clone();
    tokio::select! {
        // An error of either side ends the connection, which the other side sees.
        _ = forward(client, to, state) => {}
        _ = cut.wait_for(|state| state.cuts != cuts) => {}
    }
}

async fn forward(client: TcpStream, to: SocketAddr, mut state: watch::Receiver<State>) -> io::Result<()> {
    until_open(&mut state).await;
    let server = TcpStream::connect(to).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::try_join!(copy(from_client, to_server, state.clone()), copy(from_server, to_client, state))?;
    Ok(())
}

async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut state: watch::Receiver<State>) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let read = from.read(&mut chunk).await?;
        // After reading: what was read when the pause began must not pass, nor an end.
        until_open(&mut state).await;
        match read {
            0 => return to.shutdown().await,
            read => to.write_all(&chunk[..read]).await?,
        }
    }
}

async fn until_open(state: &mut watch::Receiver<State>) {
    // It fails only if the proxy was dropped, and this is dropped with it.
    drop(state.wait_for(|state| state.mode == Mode::Forward).await);
}
