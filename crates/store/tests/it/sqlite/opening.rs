//! Opening, closing, and the refusals of files that are not as they should be.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use fanfold_core::operation::Phase;
use fanfold_store::contract::fixtures::{accept_plain, acceptance, at, begun, commit, end, plan};
use fanfold_store::sqlite::{Config, Sqlite};
use fanfold_store::{Commit, Error, Filter, Limits, Operations as _, Page, ReadOperations as _};
use rusqlite::Connection;
use tempfile::TempDir;

use super::{directory, open};

fn database(directory: &TempDir) -> PathBuf {
    directory.path().join("fanfold.db")
}

fn refusal(path: &Path) -> Error {
    Sqlite::open(Config::new(path)).map(|_| ()).expect_err("this file must not be used")
}

/// Makes a database and changes it behind the store's back.
async fn tampered(directory: &TempDir, change: &str) -> PathBuf {
    let store = open(directory, Limits::default());
    accept_plain(&*store, 1).await;
    store.close().await.expect("nothing stands in the way of closing");
    let sql = Connection::open(database(directory)).expect("it is a database");
    sql.execute_batch(change).expect("the change is possible");
    database(directory)
}

#[tokio::test]
async fn what_was_recorded_is_there_after_closing_and_after_dropping() {
    let directory = directory();
    let store = open(&directory, Limits::default());
    let first = accept_plain(&*store, 1).await;
    store.close().await.expect("nothing stands in the way of closing");
    assert!(!directory.path().join("fanfold.db-wal").exists(), "the log was copied into the file");
    let refused = store.accept(acceptance(2, at(2), plan())).await;
    assert!(matches!(refused, Err(Error::Unavailable { may_have_committed: false, .. })), "{refused:?}");
    assert!(matches!(store.operation(first.id).await, Err(Error::Unavailable { .. })));
    store.close().await.expect("closing twice changes nothing");
    drop(store);

    let store = open(&directory, Limits::default());
    let second = accept_plain(&*store, 2).await;
    end(&*store, &first, at(9)).await;
    drop(store);

    let store = open(&directory, Limits::default());
    let all = store.list(&Filter::default(), Page::newest(9)).await.expect("it can be read");
    assert_eq!(all.iter().map(|operation| operation.id).collect::<Vec<_>>(), [second.id, first.id]);
    assert_eq!(store.counts(None).await.expect("it can be read").values().sum::<u64>(), 2);
}

/// What is answered by what the migrations fill in.
fn filters() -> [Filter; 4] {
    [
        Filter { route: Some("create-thing".to_owned()), ..Filter::default() },
        Filter { resource: Some("/v1/things".to_owned()), ..Filter::default() },
        Filter { target: Some("osaka".into()), ..Filter::default() },
        Filter { text: Some("?dry=0".to_owned()), ..Filter::default() },
    ]
}

/// Takes back what later migrations have added.
const BEFORE_PHASES: &str = "DROP INDEX operations_by_phase; ALTER TABLE operations DROP COLUMN phase;
    DROP INDEX operations_by_attention; DROP INDEX attention_by_target; DROP TABLE facets; DROP TABLE kinds; DROP TABLE texts;
    DROP TABLE tokens; DROP TABLE versions; DROP TABLE audit; DROP TABLE sessions; DELETE FROM migrations WHERE version >= 5;";

#[tokio::test]
async fn what_was_recorded_before_there_were_phases_is_found_by_its_phase() {
    let directory = directory();
    let store = open(&directory, Limits::default());
    let calling = begun(&accept_plain(&*store, 1).await, at(3));
    let calling = commit(&*store, Commit::new(calling)).await.operation;
    let ended = accept_plain(&*store, 2).await;
    end(&*store, &ended, at(4)).await;
    store.close().await.expect("nothing stands in the way of closing");
    let sql = Connection::open(database(&directory)).expect("it is a database");
    sql.execute_batch(BEFORE_PHASES).expect("the change is possible");
    drop(sql);

    let store = open(&directory, Limits::default());
    let filter = Filter { phases: Phase::ALL.into(), ..Filter::default() };
    assert_eq!(store.list(&filter, Page::newest(9)).await, Ok(vec![*calling.clone()]));
    end(&*store, &calling, at(5)).await;
    assert_eq!(store.list(&filter, Page::newest(9)).await, Ok(Vec::new()));
    for filter in filters() {
        assert_eq!(store.list(&filter, Page::newest(9)).await.unwrap().len(), 2, "{filter:?}");
    }
}

// What migrations fill in takes room; a database that has none left starts all the same, and accepts nothing.
#[tokio::test]
async fn a_database_at_its_bound_is_migrated() {
    let directory = directory();
    let store = open(&directory, Limits::default());
    for number in 1..=50 {
        accept_plain(&*store, number).await;
    }
    store.close().await.expect("nothing stands in the way of closing");
    let sql = Connection::open(database(&directory)).expect("it is a database");
    sql.execute_batch(BEFORE_PHASES).and_then(|()| sql.execute_batch("VACUUM")).expect("the change is possible");
    drop(sql);

    let size = fs::metadata(database(&directory)).expect("it is there").len();
    let limits = Limits { size_hard: Some(size), ..Limits::default() };
    let config = Config { limits, size_reserve: 0, ..Config::new(database(&directory)) };
    let store = Sqlite::open(config).expect("it can be migrated");
    for filter in filters() {
        assert_eq!(store.list(&filter, Page::newest(99)).await.unwrap().len(), 50, "{filter:?}");
    }
    let refused = store.accept(acceptance(51, at(2), plan())).await;
    assert!(matches!(refused, Err(Error::Full { may_have_committed: false, .. })), "{refused:?}");
}

#[tokio::test]
async fn a_second_process_is_refused() {
    let directory = directory();
    let store = open(&directory, Limits::default());
    let error = refusal(&database(&directory));
    assert_eq!(error, Error::Locked { path: database(&directory), holder: Some(std::process::id()) });
    assert!(error.to_string().contains("is locked by another process (process "), "{error}");
    drop(store);
    open(&directory, Limits::default());
}

#[tokio::test]
async fn files_are_for_their_owner_alone() {
    let directory = directory();
    let _store = open(&directory, Limits::default());
    for name in ["fanfold.db", "fanfold.db-wal", "fanfold.db.key", "fanfold.db.lock"] {
        let metadata = fs::metadata(directory.path().join(name)).expect(name);
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600, "{name}");
    }
}

#[test]
fn files_that_cannot_be_used_are_refused() {
    let directory = directory();
    assert!(matches!(refusal(&directory.path().join("missing/fanfold.db")), Error::Unusable { .. }));
    let folder = directory.path().join("folder");
    fs::create_dir(&folder).expect("it is not there yet");
    assert!(matches!(refusal(&folder), Error::Unusable { .. }));
    let text = directory.path().join("text");
    fs::write(&text, "this is no database, whatever its name may be. ".repeat(100)).expect("it can be written");
    assert!(matches!(refusal(&text), Error::Corrupt { .. }));
    let foreign = directory.path().join("foreign");
    Connection::open(&foreign).and_then(|sql| sql.execute_batch("CREATE TABLE t (a)")).expect("it can be made");
    let error = refusal(&foreign);
    assert!(error.to_string().contains("another program"), "{error}");
}

#[tokio::test]
async fn a_read_only_file_is_refused() {
    let directory = directory();
    let path = tampered(&directory, "").await;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).expect("the file is ours");
    assert_eq!(refusal(&path), Error::ReadOnly { path });
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let directory = directory();
    let path = tampered(&directory, "INSERT INTO migrations VALUES (99, 'future', 'x')").await;
    let error = refusal(&path);
    assert!(matches!(error, Error::NewerSchema { found: 99, .. }), "{error:?}");
    assert!(error.to_string().contains("use a newer program"), "{error}");
}

#[tokio::test]
async fn a_changed_migration_is_refused() {
    let directory = directory();
    let path = tampered(&directory, "UPDATE migrations SET checksum = 'x' WHERE version = 1").await;
    assert_eq!(refusal(&path), Error::ChangedMigration { path, version: 1 });
}

// What does not fit together is reported as damage, and never handed on as an operation.
#[tokio::test]
async fn damaged_records_are_reported() {
    let id = acceptance(1, at(1), plan()).operation.id;
    for change in [
        "DELETE FROM policies",
        "UPDATE policies SET policy = replace(policy, 'osaka', 'kyoto')",
        "UPDATE operations SET state = '{'",
        "UPDATE operations SET state = json_remove(state, '$.steps[0]')",
        "UPDATE plans SET plan = '[]'",
    ] {
        let directory = directory();
        tampered(&directory, change).await;
        let store = open(&directory, Limits::default());
        let found = store.operation(id).await;
        assert!(matches!(found, Err(Error::Corrupt { .. })), "{change}: {found:?}");
    }
}

#[tokio::test]
async fn a_damaged_file_is_reported() {
    let directory = directory();
    let path = tampered(&directory, "").await;
    let mut octets = fs::read(&path).expect("it is there");
    octets[4_096..].fill(0xa5);
    fs::write(&path, octets).expect("it can be written");
    let error = refusal(&path);
    assert!(matches!(error, Error::Corrupt { .. }), "{error:?}");
}

#[tokio::test]
async fn a_lost_database_is_not_replaced_by_an_empty_one() {
    let directory = directory();
    let store = open(&directory, Limits::default());
    accept_plain(&*store, 1).await;
    store.close().await.expect("nothing stands in the way of closing");
    let path = database(&directory);
    fs::File::options().write(true).open(&path).and_then(|file| file.set_len(0)).expect("it can be emptied");
    assert!(matches!(refusal(&path), Error::Unusable { .. }), "emptied");
    fs::remove_file(&path).expect("it can be removed");
    let refused = refusal(&path).to_string();
    assert!(refused.contains("fanfold.db.key") && refused.contains("put the database back"), "{refused}");
    fs::remove_file(directory.path().join("fanfold.db.key")).expect("the key is there");
    drop(open(&directory, Limits::default()));
}
