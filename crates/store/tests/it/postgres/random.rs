//! Random histories. `FANFOLD_STEPS` and `FANFOLD_SEED` in the environment make them longer, or other ones.

use std::str::FromStr;
use std::sync::Arc;

use async_trait::async_trait;
use fanfold_store::Store;
use fanfold_store::contract::random::{Plan, Subject, compare, limits};
use fanfold_store::postgres::Postgres;

use super::{database, open};

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

#[expect(clippy::disallowed_methods, reason = "a test has no configuration")]
fn from_environment<T: FromStr>(name: &str, default: T) -> T {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stdout, reason = "the figures of the comparison are its result")]
async fn a_random_history_goes_as_in_the_model() {
    let Some(url) = database() else { return };
    let store = Some(open(&url, limits()).await);
    let mut subject = Reopened { url, store };
    let plan = Plan {
        seed: from_environment("FANFOLD_SEED", 7),
        steps: from_environment("FANFOLD_STEPS", 3_000),
        picture_every: 1_000,
    };
    println!("{}", compare(&mut subject, plan).await);
}
