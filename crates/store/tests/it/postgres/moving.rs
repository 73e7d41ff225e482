//! Everything of a SQLite database is moved, and nothing opens what has it only half.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use fanfold_core::Slot;
use fanfold_store::contract::fixtures::{accept, acceptance, at, begun, commit, end, plan, session, token};
use fanfold_store::contract::random::{Plan, Subject, compare, exported, limits};
use fanfold_store::postgres::{Config, Destination, Postgres};
use fanfold_store::sqlite::{self, Source, Sqlite};
use fanfold_store::{
    Acceptance, Commit, Error, Limits, NewNode, Nodes, ReadTokens as _, Sealed, SessionBegun, SessionOf, Sessions as _,
    Store,
};
use tempfile::TempDir;

use super::{KEY, database};

struct File {
    path: PathBuf,
    store: Arc<Sqlite>,
}

impl File {
    fn open(path: &Path) -> Arc<Sqlite> {
        Sqlite::open(sqlite::Config { limits: limits(), ..sqlite::Config::new(path) }).expect("it can be opened")
    }
}

#[async_trait]
impl Subject for File {
    fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.store) as Arc<dyn Store>
    }

    async fn reopen(&mut self) {
        self.store.close().await.expect("nothing stands in the way of closing");
        self.store = File::open(&self.path);
    }
}

/// A database with a random history.
async fn history(folder: &TempDir) -> PathBuf {
    let path = folder.path().join("fanfold.db");
    let mut file = File { store: File::open(&path), path: path.clone() };
    compare(&mut file, Plan { seed: 11, steps: 3_000, picture_every: 3_000 }).await;
    file.store.close().await.expect("nothing stands in the way of closing");
    path
}

fn config(url: &str) -> Config {
    Config { readers: 4, ..Config::new(url.parse().expect("it is an address"), KEY) }
}

async fn open_error(url: &str) -> String {
    Postgres::open(config(url)).await.expect_err("it must not be opened").to_string()
}

/// Moves everything, and begins anew after each batch, as after a crash.
async fn move_all(source: &Source, url: &str) -> Destination {
    let mut begun = 0;
    loop {
        let mut destination =
            Destination::begin(config(url), source.identity()).await.expect("it is empty, or was begun with this");
        assert_eq!(destination.is_resumed(), begun > 0);
        begun += 1;
        assert!(open_error(url).await.contains("is not finished"));
        if destination.is_whole() {
            return destination;
        }
        let batch = source.batch(destination.after()).expect("it can be read");
        let entries = source.audit(destination.audit_after()).expect("it can be read");
        match batch.is_empty() {
            true if !entries.is_empty() => destination.add_audit(entries).await.expect("it can be written"),
            true => destination.complete(source.rest().expect("it can be read")).await.expect("it can be written"),
            false => destination.add(batch).await.expect("it can be written"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_random_history_is_moved_whole_and_goes_on_after_every_crash() {
    let Some(url) = database() else { return };
    let folder = TempDir::new().unwrap();
    let path = history(&folder).await;
    let source = Source::open(&path).unwrap();
    assert!(matches!(Sqlite::open(sqlite::Config::new(&path)), Err(Error::Locked { .. })));
    let destination = move_all(&source, &url).await;
    assert_eq!(destination.inventory().await.unwrap(), source.inventory().unwrap());
    let before = exported(source.read_all().unwrap().as_ref()).await;
    assert!(before.lines().count() > 20, "there is something to be moved");
    assert!(exported(destination.read_all().as_ref()).await == before, "the exports differ");
    destination.release().await.unwrap();
    drop(source);

    let again = Source::open(&path).unwrap();
    let taken = Destination::begin(config(&url), again.identity()).await.unwrap_err().to_string();
    assert!(taken.contains("it is not empty"), "{taken}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_moved_goes_on_where_it_was() {
    let Some(url) = database() else { return };
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("fanfold.db");
    let store = Sqlite::open(sqlite::Config::new(&path)).unwrap();
    let sealed = vec![(Slot::Request, b"s3cret".as_slice().into())];
    let (operation, _) = accept(store.as_ref(), Acceptance { sealed, ..acceptance(1, at(1), plan()) }).await;
    let of_somebody = session(3, SessionOf::Token(token(1, "").id));
    assert_eq!(store.begin_session(of_somebody).await, Ok(SessionBegun::New));
    store.close().await.unwrap();
    let source = Source::open(&path).unwrap();
    move_all(&source, &url).await.release().await.unwrap();

    let store = Postgres::open(Config { limits: Limits::default(), ..config(&url) }).await.unwrap();
    let (name, configuration, version) = ("a".to_owned(), "c".to_owned(), "1".to_owned());
    store
        .join(NewNode { name, configuration, version, lease: std::time::Duration::from_secs(10), joined_at: at(5) })
        .await
        .unwrap();
    assert_eq!(store.live_tokens().await.unwrap().sessions, [], "people sign in again");
    let adopted = store.adopt(at(6), 10).await.unwrap();
    assert_eq!(adopted.operations, 1);
    assert_eq!(store.sealed(operation.id, Slot::Request).await.unwrap().unwrap(), "s3cret");
    let going_on = commit(store.as_ref(), Commit::new(begun(&operation, at(7)))).await;
    assert_eq!(going_on.operation.started_at, Some(at(7)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_goes_on_only_with_what_it_began_with() {
    let Some(url) = database() else { return };
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("fanfold.db");
    let store = Sqlite::open(sqlite::Config::new(&path)).unwrap();
    let (operation, _) = accept(store.as_ref(), acceptance(1, at(1), plan())).await;
    store.close().await.unwrap();
    let first = Source::open(&path).unwrap();
    drop(Destination::begin(config(&url), first.identity()).await.unwrap());
    drop(first);

    let store = Sqlite::open(sqlite::Config::new(&path)).unwrap();
    end(store.as_ref(), &operation, at(2)).await;
    store.close().await.unwrap();
    let changed = Source::open(&path).unwrap();
    let refused = Destination::begin(config(&url), changed.identity()).await.unwrap_err().to_string();
    assert!(refused.contains("served again"), "{refused}");
}
