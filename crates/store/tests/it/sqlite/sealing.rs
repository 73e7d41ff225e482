//! The sealing key, and what stands in the file.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, symlink};
use std::sync::Arc;

use bytes::Bytes;
use fanfold_core::{Operation, Slot};
use fanfold_store::contract;
use fanfold_store::contract::fixtures::{accept, acceptance, at, end, plan};
use fanfold_store::sqlite::{Config, Sqlite, back_up, list_keys, retire_keys, rotate_key};
use fanfold_store::{Acceptance, Error, Limits, Resealed, SEALING_KEYS_MAX, Sealed as _, SealingKey, Store};
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

#[tokio::test]
async fn a_key_can_be_changed() {
    let directory = directory();
    contract::sealing(&|keys| reopened_with(&directory, keys)).await;
}

#[tokio::test]
async fn a_key_can_be_changed_that_has_sealed_much() {
    let directory = directory();
    contract::sealing_of_large(&|keys| reopened_with(&directory, keys)).await;
}

fn reopened_with(directory: &TempDir, keys: &[&SealingKey]) -> Result<Arc<dyn Store>, Error> {
    let octets: Vec<u8> = keys.iter().flat_map(|key| key.0).collect();
    fs::write(directory.path().join("fanfold.db.key"), octets).expect("it can be written");
    reopened_or_begun(directory).map(|store| store as Arc<dyn Store>)
}

/// A key that is there before its database would mean that the database was lost.
fn reopened_or_begun(directory: &TempDir) -> Result<Arc<Sqlite>, Error> {
    let (path, key) = (directory.path().join("fanfold.db"), directory.path().join("fanfold.db.key"));
    if !path.exists() {
        let keys = fs::read(&key).expect("it was written");
        fs::remove_file(&key).expect("it is there");
        drop(Sqlite::open(Config::new(&path))?);
        fs::write(&key, keys).expect("it can be written");
    }
    reopened(directory)
}

async fn reseal(store: &Sqlite) {
    while store.reseal().await != Ok(Resealed::Done) {}
}

#[tokio::test]
async fn a_box_that_was_sealed_anew_opens_only_where_it_belongs() {
    let directory = directory();
    let store = open(&directory, Limits::default());
    let operation = accept_sealed(&store).await;
    drop(store);
    let (before, database) = (box_of(&directory, "request"), directory.path().join("fanfold.db"));
    rotate_key(&database).expect("no server has it open");
    let store = reopened(&directory).expect("both keys are there");
    reseal(&store).await;
    drop(store);
    assert_ne!(box_of(&directory, "request"), before);
    let sql = Connection::open(&database).expect("it is a database");
    let swap = "UPDATE sealed SET box = (SELECT box FROM sealed WHERE slot = 'final') WHERE slot = 'request'";
    sql.execute(swap, []).expect("the row is there");
    drop(sql);
    rotate_key(&database).expect("no server has it open");
    let store = reopened(&directory).expect("all keys are there");
    assert!(matches!(store.sealed(operation.id, Slot::Request).await, Err(Error::Corrupt { .. })));
    // It does not become good by being sealed anew, and keeps nothing else from it.
    assert_eq!(store.reseal().await, Ok(Resealed::Whole { resealed: 1 }));
    assert!(matches!(store.sealed(operation.id, Slot::Request).await, Err(Error::Corrupt { .. })));
    assert_eq!(store.sealed(operation.id, Slot::Final).await, Ok(Some(Bytes::from_static(b"other"))));
}

#[tokio::test]
async fn a_key_goes_only_when_nothing_needs_it() {
    let directory = directory();
    let database = directory.path().join("fanfold.db");
    let store = open(&directory, Limits::default());
    accept_sealed(&store).await;
    let fingerprints = store.fingerprint_key();
    assert!(matches!(rotate_key(&database), Err(Error::Locked { .. })), "a server would not hear of it");
    drop(store);
    let new = rotate_key(&database).expect("no server has it open");
    let counts = |database| -> Vec<u64> {
        list_keys(database).expect("they are there").iter().map(|key| key.messages).collect()
    };
    assert_eq!(counts(&database), [0, 2]);
    let refused = retire_keys(&database).expect_err("it is needed").to_string();
    assert!(refused.contains("2 messages") && refused.contains("start the server"), "{refused}");

    let store = reopened(&directory).expect("both are there");
    reseal(&store).await;
    assert_eq!(counts(&database), [2, 0], "it can be looked at meanwhile");
    let made = back_up(&database, &directory.path().join("backup.db"), at(3)).expect("there is room");
    assert_eq!(made.key_ids, Some(new.clone()), "it does without the one of before");
    assert!(matches!(retire_keys(&database), Err(Error::Locked { .. })));
    drop(store);
    assert_eq!(retire_keys(&database).expect("it is not needed").len(), 1);
    assert_eq!(list_keys(&database).expect("it is there")[0].id, new);
    assert_eq!(fs::read(directory.path().join("fanfold.db.key")).expect("it is there").len(), 32);
    let store = reopened(&directory).expect("one is enough");
    assert_eq!(store.fingerprint_key(), fingerprints, "requests that are repeated are recognised still");
}

// What repeated requests are recognised by is sealed too, and needs the old key until a server has started with the new one.
#[tokio::test]
async fn a_key_that_has_sealed_no_message_goes_only_after_a_start() {
    let directory = directory();
    let database = directory.path().join("fanfold.db");
    let fingerprints = open(&directory, Limits::default()).fingerprint_key();
    rotate_key(&database).expect("no server has it open");
    let refused = retire_keys(&database).expect_err("it is needed").to_string();
    assert!(refused.contains("has not been started"), "{refused}");
    drop(reopened(&directory).expect("both are there"));
    retire_keys(&database).expect("it is not needed");
    assert_eq!(reopened(&directory).expect("one is enough").fingerprint_key(), fingerprints);
}

#[tokio::test]
async fn keys_are_bounded() {
    let directory = directory();
    let database = directory.path().join("fanfold.db");
    drop(open(&directory, Limits::default()));
    for _ in 1..SEALING_KEYS_MAX {
        rotate_key(&database).expect("there is room");
    }
    let refused = rotate_key(&database).expect_err("there is none").to_string();
    assert!(refused.contains("retire"), "{refused}");
    drop(reopened(&directory).expect("so many can be used"));
}

// A database of the version before has no key of fingerprints in it: it followed from the sealing key.
#[tokio::test]
async fn a_database_of_the_version_before_goes_on_with_its_fingerprints() {
    let directory = directory();
    let database = directory.path().join("fanfold.db");
    let store = open(&directory, Limits::default());
    let operation = accept_sealed(&store).await;
    let fingerprints = store.fingerprint_key();
    drop(store);
    let sql = Connection::open(&database).expect("it is a database");
    assert_eq!(sql.execute("DELETE FROM meta WHERE name = 'fingerprint_key'", []), Ok(1));
    drop(sql);
    rotate_key(&database).expect("no server has it open");
    let store = reopened(&directory).expect("both are there");
    assert_eq!(store.fingerprint_key(), fingerprints);
    assert_eq!(store.sealed(operation.id, Slot::Request).await, Ok(Some(Bytes::from_static(SECRET))));
}

// The power may fail between what is written at a start with a new key.
#[tokio::test]
async fn a_start_that_is_broken_off_forgets_no_fingerprints() {
    let directory = directory();
    let database = directory.path().join("fanfold.db");
    let fingerprints = open(&directory, Limits::default()).fingerprint_key();
    let run = |text: &str| Connection::open(&database).and_then(|sql| sql.execute_batch(text)).expect("it is SQL");
    run("DELETE FROM meta WHERE name = 'fingerprint_key'");
    rotate_key(&database).expect("no server has it open");
    for (name, event) in [("fingerprint_key", "INSERT"), ("sealing_key", "UPDATE")] {
        run(&format!(
            "CREATE TRIGGER broken BEFORE {event} ON meta WHEN NEW.name = '{name}' BEGIN SELECT RAISE(ABORT, 'broken'); END"
        ));
        reopened(&directory).map(drop).expect_err("it is broken off");
        run("DROP TRIGGER broken");
    }
    assert_eq!(reopened(&directory).expect("both are there").fingerprint_key(), fingerprints);
}

// A command that root runs must leave the server a key that it can read. Only root can give a file away; others see at least the mode.
#[tokio::test]
async fn a_key_file_keeps_its_owner_and_its_mode() {
    let directory = directory();
    let (database, key) = (directory.path().join("fanfold.db"), directory.path().join("fanfold.db.key"));
    drop(open(&directory, Limits::default()));
    fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).expect("it is ours");
    drop(chown(&key, Some(12_345), Some(12_345)));
    let like = || fs::metadata(&key).map(|file| (file.uid(), file.gid(), file.mode())).expect("it is there");
    let before = like();
    rotate_key(&database).expect("no server has it open");
    assert_eq!(like(), before);
    assert_eq!(fs::read(&key).expect("it is there").len(), 64);
}

#[tokio::test]
async fn a_key_file_elsewhere_stays_there() {
    let directory = directory();
    let (database, key) = (directory.path().join("fanfold.db"), directory.path().join("fanfold.db.key"));
    drop(open(&directory, Limits::default()));
    let elsewhere = tempfile::tempdir().expect("there is room");
    let real = elsewhere.path().join("key");
    fs::rename(&key, &real)
        .or_else(|_| fs::copy(&key, &real).and_then(|_| fs::remove_file(&key)))
        .expect("there is room");
    symlink(&real, &key).expect("there is room");
    rotate_key(&database).expect("no server has it open");
    assert_eq!(fs::read_link(&key).expect("it is a link still"), real);
    assert_eq!(fs::read(&real).expect("it is there").len(), 64);
    // Where the link leads nowhere, the key is not lost: perhaps its disk is not there yet.
    fs::remove_file(&real).expect("it is there");
    let refused = reopened(&directory).map(drop).expect_err("there is a key somewhere");
    assert!(matches!(refused, Error::Key { .. }), "{refused}");
    assert_eq!(fs::read_link(&key).expect("it is a link still"), real);
}
