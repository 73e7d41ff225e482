//! Random histories.

use std::sync::Arc;

use async_trait::async_trait;
use fanfold_store::Store;
use fanfold_store::contract::random::{Subject, limits};
use fanfold_store::postgres::Postgres;

use super::{database, open};
use crate::random::compare_with_model;

struct Reopened {
    url: String,
    store: Option<Arc<Postgres>>,
}

#[async_trait]
impl Subject for Reopened {
    fn store(&self) -> Arc<dyn Store> {
        self.store.clone().expect("it is only away while it is opened again")
    }

    async fn reopen(&mut self) {
        let store = self.store.take().expect("it was opened");
        store.close().await;
        drop(store);
        self.store = Some(open(&self.url, limits()).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_random_history_goes_as_in_the_model() {
    let Some(url) = database() else { return };
    let store = Some(open(&url, limits()).await);
    let mut subject = Reopened { url, store };
    compare_with_model(&mut subject, 3_000, 1_000).await;
}
