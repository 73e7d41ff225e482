//! What the demo runs on: sample targets, a configuration for them in a temporary folder, and the real server over it.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;
use tokio::net::TcpListener;

use super::site::Site;
use crate::assemble::{self, Running};
use crate::config::{self, Settings};
use crate::failure::Failure;
use crate::opened::OpenStore;
use crate::output::{printable, say};

/// The configuration, with names in place of addresses.
const CONFIG: &str = include_str!("demo.toml");

/// The targets in it.
pub(super) const SITES: [&str; 6] = ["tokyo", "osaka", "sapporo", "nagoya", "fukuoka", "backoffice"];

/// Any free port of this machine alone.
pub(super) const ANY_PORT: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// A server with sample targets behind it.
pub(super) struct Stage {
    sites: BTreeMap<&'static str, Site>,
    running: Running,
    grace: Duration,
    /// Last, so that everything in it is closed before it is removed.
    folder: TempDir,
}

impl Stage {
    /// Starts all of it; the server listens at `listen`.
    ///
    /// # Errors
    /// If the address is taken, the temporary folder cannot be written, or the server does not start.
    pub(super) async fn start(listen: SocketAddr) -> Result<Self, Failure> {
        let listener = TcpListener::bind(listen).await;
        let listener = listener.map_err(|error| Failure::Listen { address: listen, error })?;
        let mut sites = BTreeMap::new();
        for name in SITES {
            let site = Site::start(name, ANY_PORT).await;
            sites.insert(name, site.map_err(|error| Failure::Listen { address: ANY_PORT, error })?);
        }
        let folder = TempDir::with_prefix("fanfold-demo-")
            .map_err(|error| Failure::File { path: std::env::temp_dir(), error })?;
        let settings = configure(folder.path(), &listener, &sites)?;
        let store = OpenStore::open(&settings.bounded_store()).await.map_err(Failure::Store)?;
        let running = assemble::start(&settings, store, listener).await?;
        Ok(Self { sites, running, grace: settings.server.shutdown_grace, folder })
    }

    /// The URL of the server.
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.running.address())
    }

    /// The folder with its configuration and its store.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The sample targets, in the order of their names here.
    pub(super) fn sites(&self) -> impl Iterator<Item = &Site> {
        SITES.iter().filter_map(|name| self.sites.get(name))
    }

    /// The sample target of this name, one of [`SITES`].
    pub(super) fn site(&self, name: &str) -> &Site {
        self.sites.get(name).expect("every site was started, and their names stand in this module")
    }

    /// Ends when the server has failed by itself.
    pub(super) async fn failed(&mut self) -> Failure {
        self.running.failed().await
    }

    /// Stops everything, and removes the folder.
    ///
    /// # Errors
    /// If the store cannot be closed or the folder not removed.
    pub(super) async fn stop(self) -> Result<(), Failure> {
        self.running.stop(self.grace).await?;
        let path = self.folder.path().to_owned();
        self.folder.close().map_err(|error| Failure::File { path, error })
    }
}

fn configure(folder: &Path, listener: &TcpListener, sites: &BTreeMap<&str, Site>) -> Result<Settings, Failure> {
    let path = folder.join("fanfold.toml");
    let cannot = |error| Failure::File { path: path.clone(), error };
    let listen = listener.local_addr().map_err(cannot)?;
    let text = sites.iter().fold(CONFIG.replace("@listen@", &listen.to_string()), |text, (name, site)| {
        text.replace(&format!("@{name}@"), &site.url())
    });
    std::fs::write(&path, text).map_err(cannot)?;
    config::load(&path).map(|(settings, _)| settings).map_err(|mistakes| {
        mistakes.iter().for_each(|mistake| say(&printable(&mistake.to_string())));
        Failure::Configuration { file: path.clone(), count: mistakes.len() }
    })
}
