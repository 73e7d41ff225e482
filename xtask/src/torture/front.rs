//! One address in front of several nodes: each connection goes to the next one that is there, as any balancer would do.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Result;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// The nodes that take connections now. Dropping it closes the address.
#[derive(Debug)]
pub(super) struct Front {
    nodes: Arc<Mutex<Vec<Option<SocketAddr>>>>,
    _serving: JoinSet<()>,
}

impl Front {
    pub(super) async fn start(address: &str, nodes: usize) -> Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let nodes = Arc::new(Mutex::new(vec![None; nodes]));
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, Arc::clone(&nodes)));
        Ok(Self { nodes, _serving: serving })
    }

    /// Whether connections go to a node, and where that is.
    pub(super) fn set(&self, node: usize, address: Option<SocketAddr>) {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)[node] = address;
    }
}

async fn serve(listener: TcpListener, nodes: Arc<Mutex<Vec<Option<SocketAddr>>>>) {
    let next = AtomicUsize::new(0);
    let mut connections = JoinSet::new();
    loop {
        let Ok((client, _)) = listener.accept().await else { continue };
        while connections.try_join_next().is_some() {}
        let turn = next.fetch_add(1, Ordering::Relaxed);
        let there: Vec<SocketAddr> =
            nodes.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().flatten().collect();
        connections.spawn(forward(client, there, turn));
    }
}

/// A client that reaches nobody, or whose node is lost, sees its connection closed.
async fn forward(mut client: TcpStream, there: Vec<SocketAddr>, turn: usize) {
    for place in 0..there.len() {
        if let Ok(mut node) = TcpStream::connect(there[(turn + place) % there.len()]).await {
            drop(copy_bidirectional(&mut client, &mut node).await);
            return;
        }
    }
}
