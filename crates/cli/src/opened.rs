//! The store that is configured, opened.

use std::sync::Arc;

use fanfold_store::postgres::{self, Postgres};
use fanfold_store::sqlite::{self, Sqlite};
use fanfold_store::{Error, KeyCount, Metrics, Nodes, Read, ReadAll, Store};

use crate::config::{StoreSettings, StoreUrl};

/// How a database is opened that nodes share.
fn of_nodes(url: &postgres::Url, settings: &StoreSettings) -> Result<postgres::Config, Error> {
    let Some(node) = &settings.node else {
        // The configuration refuses it with a better hint.
        return Err(Error::Unavailable { detail: "the store has no key".to_owned(), may_have_committed: false });
    };
    Ok(postgres::Config {
        other_keys: node.other_keys.clone(),
        limits: settings.limits.clone(),
        readers: node.readers,
        require_sync_standby: node.require_sync_standby,
        ..postgres::Config::new(url.clone(), node.key.0)
    })
}

/// An open store, whichever it is.
#[derive(Debug, Clone)]
pub(crate) enum OpenStore {
    /// A file that belongs to this process.
    Sqlite(Arc<Sqlite>),
    /// A database that nodes share.
    Postgres(Arc<Postgres>),
}

impl OpenStore {
    /// Opens the store; a file is locked for this process by that. Blocks for as long as the disk takes.
    ///
    /// # Errors
    /// If it is locked, damaged, not writable, not reachable, or not one.
    pub(crate) async fn open(settings: &StoreSettings) -> Result<Self, Error> {
        match &settings.url {
            StoreUrl::Sqlite { path } => {
                let limits = settings.limits.clone();
                Ok(Self::Sqlite(Sqlite::open(sqlite::Config { limits, ..sqlite::Config::new(path) })?))
            }
            StoreUrl::Postgres { url } => Ok(Self::Postgres(Postgres::open(of_nodes(url, settings)?).await?)),
        }
    }

    /// The keys of the store, and how many messages each has sealed; it is read alone, whether servers run or not.
    ///
    /// # Errors
    /// If it is not reachable, not one, or a key is missing.
    pub(crate) async fn list_keys(settings: &StoreSettings) -> Result<Vec<KeyCount>, Error> {
        match &settings.url {
            StoreUrl::Sqlite { path } => sqlite::list_keys(path),
            StoreUrl::Postgres { url } => postgres::list_keys(of_nodes(url, settings)?).await,
        }
    }

    /// What the engine gets.
    pub(crate) fn store(&self) -> Arc<dyn Store> {
        match self {
            Self::Sqlite(store) => Arc::clone(store) as Arc<dyn Store>,
            Self::Postgres(store) => Arc::clone(store) as Arc<dyn Store>,
        }
    }

    /// What the front doors get.
    pub(crate) fn read(&self) -> Arc<dyn Read> {
        match self {
            Self::Sqlite(store) => Arc::clone(store) as Arc<dyn Read>,
            Self::Postgres(store) => Arc::clone(store) as Arc<dyn Read>,
        }
    }

    /// What whoever moves operations gets.
    pub(crate) fn read_all(&self) -> Arc<dyn ReadAll> {
        match self {
            Self::Sqlite(store) => Arc::clone(store) as Arc<dyn ReadAll>,
            Self::Postgres(store) => Arc::clone(store) as Arc<dyn ReadAll>,
        }
    }

    /// The other nodes, where there may be some.
    pub(crate) fn nodes(&self) -> Option<Arc<dyn Nodes>> {
        match self {
            Self::Sqlite(_) => None,
            Self::Postgres(store) => Some(Arc::clone(store) as Arc<dyn Nodes>),
        }
    }

    /// What it counts about its work.
    pub(crate) fn metrics(&self) -> &Metrics {
        match self {
            Self::Sqlite(store) => store.metrics(),
            Self::Postgres(store) => store.metrics(),
        }
    }

    /// What repeated requests are recognised by.
    pub(crate) fn fingerprint_key(&self) -> [u8; 32] {
        match self {
            Self::Sqlite(store) => store.fingerprint_key(),
            Self::Postgres(store) => store.fingerprint_key(),
        }
    }

    /// Finishes what is queued and closes it.
    ///
    /// # Errors
    /// If it was not closed cleanly. Nothing is lost then.
    pub(crate) async fn close(&self) -> Result<(), Error> {
        match self {
            Self::Sqlite(store) => store.close().await,
            Self::Postgres(store) => {
                store.close().await;
                Ok(())
            }
        }
    }
}
