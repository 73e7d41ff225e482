//! SQLite against the contract, and what only a store in files has to do.

mod audit;
mod backup;
mod crash;
mod full;
mod opening;
mod random;
mod sealing;

use std::sync::Arc;

use fanfold_store::contract;
use fanfold_store::sqlite::{Config, Sqlite};
use fanfold_store::{Limits, Store};
use tempfile::TempDir;

fn directory() -> TempDir {
    TempDir::new().expect("a temporary directory can be made")
}

fn open(directory: &TempDir, limits: Limits) -> Arc<Sqlite> {
    let path = directory.path().join("fanfold.db");
    Sqlite::open(Config { limits, ..Config::new(path) }).expect("an empty directory can be used")
}

macro_rules! contract_tests {
    ($($noun:ident),+) => {
        $(
            #[tokio::test(flavor = "multi_thread")]
            async fn $noun() {
                let root = directory();
                let number = std::sync::atomic::AtomicU32::new(0);
                contract::$noun(&|limits| -> Arc<dyn Store> {
                    let number = number.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    let path = root.path().join(format!("{number}.db"));
                    Sqlite::open(Config { limits, ..Config::new(path) }).expect("an empty directory can be used")
                })
                .await;
            }
        )+
    };
}

mod keeps_the_contract_of {
    use super::*;

    contract_tests!(
        operations, bodies, locks, queue, list, history, attention, notices, retention, tokens, audit, scope
    );
}
