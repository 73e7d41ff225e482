//! The sealing key, and what stands in the file.

use std::fs;
use std::sync::Arc;

use bytes::Bytes;
use fanfold_core::{Operation, Slot};
use fanfold_store::contract::fixtures::{accept, acceptance, at, end, plan};
use fanfold_store::sqlite::{Config, Sqlite};
use fanfold_store::{Acceptance, Error, Limits, Sealed as _};
use rusqlite::Connection;
use tempfile::TempDir;

use super::{directory, open};

const SECRET: &[u8] = b"a secret that nobody may read";

async fn accept_sealed(store: &Sqlite) -> Operation {
    let sealed = vec![(Slot::Request, Bytes::from_static(SECRET)), (Slot::Final, Bytes::from_static(b"other"))];
    accept(store, Acceptance { sealed, ..acceptance(1, at(1), plan()) }).await.0
}

fn contains(directory: &TempDir, needle: &[u8]) -> bool {
    let files = fs::read_dir(directory.path()).expect("the directory can be read");
    files.into_iter().any(|file| {
        let octets = fs::read(file.expect("the directory can be read").path()).expect("the file can be read");
        octets.windows(needle.len()).any(|window| window == needle)
    })
}

fn reopened(directory: &TempDir) -> Result<Arc<Sqlite>, Error> {
    Sqlite::open(Config::new(directory.path().join("fanfold.db")))
}

fn box_of(directory: &TempDir, slot: &str) -> Option<Vec<u8>> {
    let sql = Connection::open(directory.path().join("fanfold.db")).expect("it is a database");
    sql.query_row("SELECT box FROM sealed WHERE slot = ?1", [slot], |row| row.get(0)).ok()
}

#[tokio::test]
async fn sealed_messages_stand_nowhere_in_clear() {
    let directory = directory();
    let store = open(&directory, Limits::default());
    let operation = accept_sealed(&store).await;
    assert!(!contains(&directory, SECRET));
    store.close().await.expect("nothing stands in the way of closing");
    drop(store);
    assert!(!contains(&directory, SECRET));
    let sealed = box_of(&directory, "request").expect("it is sealed");

    let store = reopened(&directory).expect("the key is there");
    assert_eq!(store.sealed(operation.id, Slot::Request).await, Ok(Some(Bytes::from_static(SECRET))));
    end(&*store, &operation, at(2)).await;
    store.close().await.expect("nothing stands in the way of closing");
    assert!(!contains(&directory, &sealed), "what is wiped is overwritten, not only forgotten");
}

#[tokio::test]
async fn a_box_opens_only_where_it_belongs() {
    let directory = directory();
    let store = open(&directory, Limits::default());
    let operation = accept_sealed(&store).await;
    store.close().await.expect("nothing stands in the way of closing");
    drop(store);
    let sql = Connection::open(directory.path().join("fanfold.db")).expect("it is a database");
    let swap = "UPDATE sealed SET box = (SELECT box FROM sealed WHERE slot = 'final') WHERE slot = 'request'";
    sql.execute(swap, []).expect("the row is there");
    drop(sql);
    let store = reopened(&directory).expect("the key is there");
    let opened = store.sealed(operation.id, Slot::Request).await;
    assert!(matches!(opened, Err(Error::Corrupt { .. })), "{opened:?}");
    assert_eq!(store.sealed(operation.id, Slot::Final).await, Ok(Some(Bytes::from_static(b"other"))));
}

#[tokio::test]
async fn a_key_that_does_not_fit_is_refused() {
    let directory = directory();
    let key = directory.path().join("fanfold.db.key");
    let store = open(&directory, Limits::default());
    accept_sealed(&store).await;
    drop(store);
    let right = fs::read(&key).expect("it was made at the first start");
    assert_eq!(right.len(), 32);
    let mut wrong = right.clone();
    wrong[0] ^= 1;
    for other in [None, Some(&right[..31]), Some(&wrong[..])] {
        match other {
            Some(octets) => fs::write(&key, octets).expect("it can be written"),
            None => fs::remove_file(&key).expect("it is there"),
        }
        let refused = reopened(&directory).map(|_| ()).expect_err("this key must not be used");
        assert!(matches!(refused, Error::Key { .. }), "{refused:?}");
    }
    fs::write(&key, right).expect("it can be written");
    reopened(&directory).expect("the right key is back");
}

// Without sealed messages nothing depends on the key, so a lost one is no reason to stay down.
#[tokio::test]
async fn a_lost_key_is_replaced_while_nothing_is_sealed() {
    let directory = directory();
    let key = directory.path().join("fanfold.db.key");
    let store = open(&directory, Limits::default());
    let operation = accept_sealed(&store).await;
    end(&*store, &operation, at(2)).await;
    drop(store);
    let first = fs::read(&key).expect("it was made at the first start");
    fs::remove_file(&key).expect("it is there");
    drop(reopened(&directory).expect("nothing is sealed"));
    assert_ne!(fs::read(&key).expect("a new one was made"), first);
    reopened(&directory).expect("the new one is the right one now");
}
