//! The store in PostgreSQL against the contract of all stores, on a private cluster.

mod audit;
mod moving;
mod opening;
mod random;
mod sealing;
mod trouble;

use std::sync::Arc;
use std::time::Duration;

use fanfold_store::contract::{self, Handle};
use fanfold_store::postgres::{Config, Postgres};
use fanfold_store::{Limits, Store};
use fanfold_testkit::PATIENCE;
use fanfold_testkit::postgres::Cluster;
use tokio::task::JoinSet;
use tokio_postgres::{Client, NoTls};

/// A key for tests.
const KEY: [u8; 32] = [7; 32];

/// An empty database of its own; `None` where there is no PostgreSQL to be had.
fn database() -> Option<String> {
    let cluster = Cluster::shared()?;
    Some(cluster.url(&cluster.create_database()))
}

async fn open(url: &str, limits: Limits) -> Arc<Postgres> {
    let config = Config { limits, readers: 4, ..Config::new(url.parse().expect("it is an address"), KEY) };
    Postgres::open(config).await.expect("the database is there")
}

/// Somebody else in the same database. The set runs the connection.
async fn other(url: &str) -> (Client, JoinSet<()>) {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("the database is there");
    let mut running = JoinSet::new();
    running.spawn(async move { drop(connection.await) });
    (client, running)
}

async fn eventually(what: &str, is_so: impl AsyncFn() -> bool) {
    let waiting = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("waited in vain: {what}"));
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(future))
}

fn fresh(limits: Limits) -> Arc<dyn Store> {
    wait(open(&database().expect("this was looked at before"), limits))
}

fn handles(limits: Limits, count: usize) -> Vec<Handle> {
    let url = database().expect("this was looked at before");
    let handle = |_| {
        let store = wait(open(&url, limits.clone()));
        Handle { store: Arc::<Postgres>::clone(&store), nodes: store }
    };
    (0..count).map(handle).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn it_keeps_the_contract() {
    if Cluster::shared().is_some() {
        contract::run_all(&fresh).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_keeps_the_contract_of_nodes() {
    if Cluster::shared().is_some() {
        contract::nodes(&handles).await;
    }
}
