//! The store in PostgreSQL against the contract of all stores, on a private cluster.

mod random;

use std::sync::Arc;

use fanfold_store::contract;
use fanfold_store::postgres::{Config, Postgres};
use fanfold_store::{Limits, Store};

/// A key for tests.
const KEY: [u8; 32] = [7; 32];

/// An empty database of its own; `None` where there is no PostgreSQL to be had.
#[expect(clippy::disallowed_methods, reason = "a test has no configuration")]
fn database() -> Option<String> {
    let admin = std::env::var("FANFOLD_PG").ok()?;
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    let name = format!("t{}_{}", std::process::id(), NEXT.fetch_add(1, std::sync::atomic::Ordering::SeqCst));
    let made = std::process::Command::new("psql")
        .arg(format!("{admin}/postgres"))
        .arg("-qc")
        .arg(format!("CREATE DATABASE {name}"))
        .status();
    assert!(made.unwrap().success());
    Some(format!("{admin}/{name}"))
}

async fn open(url: &str, limits: Limits) -> Arc<Postgres> {
    let config = Config { limits, readers: 4, ..Config::new(url.parse().expect("it is an address"), KEY) };
    Postgres::open(config).await.expect("the database is there")
}

fn fresh(limits: Limits) -> Arc<dyn Store> {
    let url = database().expect("this was looked at before");
    tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(open(&url, limits)))
}

#[tokio::test(flavor = "multi_thread")]
async fn it_keeps_the_contract() {
    if database().is_some() {
        contract::run_all(&fresh).await;
    }
}
