//! Random histories.

use std::sync::Arc;

use async_trait::async_trait;
use fanfold_store::Store;
use fanfold_store::contract::random::{Subject, exported, limits};
use fanfold_store::sqlite::Sqlite;
use tempfile::TempDir;

use super::open;
use crate::random::compare_with_model;

struct Reopened {
    directory: TempDir,
    store: Option<Arc<Sqlite>>,
}

#[async_trait]
impl Subject for Reopened {
    fn store(&self) -> Arc<dyn Store> {
        self.store.clone().expect("it is only away while it is opened again")
    }

    async fn reopen(&mut self) {
        let store = self.store.take().expect("it was opened");
        store.close().await.expect("nothing stands in the way of closing");
        drop(store);
        self.store = Some(open(&self.directory, limits()));
    }

    /// Read past the open store, as another process does.
    async fn exported(&mut self) -> Option<String> {
        let store = Sqlite::open_to_read(self.directory.path().join("fanfold.db")).expect("it is there");
        Some(exported(store.as_ref()).await)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_random_history_goes_as_in_the_model() {
    // Answers are compared here, not what survives a loss of power, so memory will do where it can be had as a file system.
    let directory = TempDir::new_in("/dev/shm").or_else(|_| TempDir::new()).expect("a temporary directory can be made");
    let store = Some(open(&directory, limits()));
    let mut subject = Reopened { directory, store };
    compare_with_model(&mut subject, 10_000, 2_000).await;
}
